"""What a text passes before it becomes an item: checked, masked, trusted as its origin deserves, linked to its like."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

from pydantic import ValidationError

from agentevo.errors import Misuse
from agentevo.memory.exact import Vector
from agentevo.memory.masking import masked
from agentevo.memory.orders import gives_orders
from agentevo.memory.source import Filter, Source
from agentevo.memory.trust import LOW_TRUST, lowest, trust_of
from agentevo.types import Item, Json, Op, why_invalid

Metadata: TypeAlias = Mapping[str, Json]

NEAR = 0.95
"""Texts this alike are linked; they are never merged by themselves."""

MAX_TEXT = 1_000_000
"""So many characters fit one item; longer texts are split before they are inserted."""


def new_id() -> str:
    """Return an id nobody else has."""
    return secrets.token_hex(8)


def admitted(
    texts: Sequence[str], fields: Mapping[str, Any], namespace: str, now: float, get: Callable[[str], Item | None]
) -> list[Item]:
    """Return the items that texts and fields make; fields that are lists of their own hold one value a text."""
    metadata = _each("metadata", fields.get("metadata"), len(texts), Mapping)
    created = _each("created_at", fields.get("created_at"), len(texts), (int, float))
    rest = {name: value for name, value in fields.items() if name not in ("metadata", "created_at")}
    parents = [_parent(name, get) for name in rest.get("derived_from", ())]
    return [
        _admitted(text, {**rest, "metadata": meta or {}, "created_at": now if at is None else at}, namespace, parents)
        for text, meta, at in zip(texts, metadata, created, strict=True)
    ]


def _each(name: str, value: Any, count: int, one: Any) -> list[Any]:
    """Return one value a text: the same for all, or as listed."""
    if value is None or isinstance(value, one):
        return [value] * count
    values = list(value) if isinstance(value, Sequence) and not isinstance(value, str) else None
    if values is None or len(values) != count:
        raise Misuse(f"{name} is {value!r:.80}; expected one for all or a list of {count}, one a text")
    return values


def _parent(name: str, get: Callable[[str], Item | None]) -> Item | None:
    """Return the item something is derived from; other names (attempts, experiences) carry no trust of their own."""
    return get(name)


def _admitted(text: str, fields: dict[str, Any], namespace: str, parents: Sequence[Item | None]) -> Item:
    _must_be_text(text)
    source = fields.get("source", "user")
    own = fields.pop("trust", None)
    trust = lowest(trust_of(source) if own is None else own, (p.trust for p in parents if p is not None))
    fields["metadata"] = _masked(dict(fields["metadata"]))
    if fields.get("key_text"):
        fields["key_text"] = masked(fields["key_text"])
    if _is_held(trust, text):
        fields["status"] = "quarantined"
    try:
        return Item(id=new_id(), namespace=namespace, text=masked(text), trust=trust, **fields)
    except ValidationError as error:
        raise Misuse(f"this cannot become an item: {why_invalid(error)}") from error


def _must_be_text(text: object) -> None:
    if not isinstance(text, str):
        raise Misuse(f"a memory holds texts, not {text!r:.80}")
    if not text.strip():
        raise Misuse("an empty text cannot be remembered")
    if len(text) > MAX_TEXT:
        raise Misuse(f"a text of {len(text):,} characters is too long for one item ({MAX_TEXT:,}); split it")


def screened(ops: Sequence[Op], get: Callable[[str], Item | None]) -> list[Op]:
    """Return ops as they may be carried out: secrets masked, and orders from untrusted sources quarantined."""
    checked: list[Op] = []
    for op in ops:
        op = _without_secrets(op)
        checked.append(op)
        item = get(op.id) if op.verb == "restore" or "text" in op.changes else None
        if item is not None and _is_held(op.changes.get("trust", item.trust), str(op.changes.get("text", item.text))):
            checked.append(Op(verb="quarantine", id=op.id, reason="it gives orders, and its source is not trusted"))
    return checked


def _without_secrets(op: Op) -> Op:
    if op.item is not None:
        _must_be_text(op.item.text)
        held = op.item.status == "live" and _is_held(op.item.trust, op.item.text)
        said = {name: _masked(getattr(op.item, name)) for name in ("text", "key_text", "metadata")}
        item = op.item.model_copy(update={**said, "status": "quarantined" if held else op.item.status})
        return op if item == op.item else op.model_copy(update={"item": item})
    said = {name: _masked(value) for name, value in op.changes.items() if name in ("text", "key_text", "metadata")}
    if "text" in said:
        _must_be_text(said["text"])
    return op.model_copy(update={"changes": {**op.changes, **said}}) if said else op


def _is_held(trust: Any, text: str) -> bool:
    return isinstance(trust, (int, float)) and trust < LOW_TRUST and gives_orders(text)


def _masked(value: Any) -> Any:
    """Mask every text inside a metadata value."""
    if isinstance(value, str):
        return masked(value)
    if isinstance(value, Mapping):
        return {key: _masked(inner) for key, inner in value.items()}
    return [_masked(inner) for inner in value] if isinstance(value, (list, tuple)) else value


def link_near(source: Source, items: Sequence[Item], vectors: Sequence[Vector], now: float) -> list[Item]:
    """Return the items, linked to what they nearly repeat."""
    nearest = source.nearest_each(vectors, Filter(now=now))
    near = [found[0] if found is not None and found[1] >= NEAR else None for found in nearest]
    others = source.items([row for row in near if row is not None])
    return [
        item if row is None or row not in others else _linked(item, others[row].id)
        for item, row in zip(items, near, strict=True)
    ]


def _linked(item: Item, other: str) -> Item:
    return item.model_copy(update={"links": tuple(dict.fromkeys((*item.links, other)))})
