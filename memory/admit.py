"""What a text passes before it becomes an item: checked, masked, trusted as its origin deserves, linked to its like."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
from pydantic import ValidationError

from agentevo.errors import Misuse
from agentevo.memory.arguments import is_text
from agentevo.memory.change import applied, untold
from agentevo.memory.dates import undated
from agentevo.memory.exact import Vector
from agentevo.memory.masking import masked
from agentevo.memory.named_secrets import masked_within
from agentevo.memory.narrow import Filter
from agentevo.memory.nearby import COMPARED
from agentevo.memory.orders import why
from agentevo.memory.source import Source
from agentevo.memory.trust import BLOCKED, DOUBTED, LOW_TRUST, lowest, trust_of
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
    kinds = _each("kind", fields.get("kind", "fact"), len(texts), str)
    metadata = _each("metadata", fields.get("metadata"), len(texts), Mapping)
    created = _each("created_at", fields.get("created_at"), len(texts), (int, float))
    rest = {name: value for name, value in fields.items() if name not in ("kind", "metadata", "created_at")}
    parents = [_parent(name, get) for name in rest.get("derived_from", ())]
    return [
        _admitted(text, {**rest, "kind": kind, "metadata": meta or {}, "created_at": now if at is None else at},
                  namespace, parents)
        for text, kind, meta, at in zip(texts, kinds, metadata, created, strict=True)
    ]  # fmt: skip


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
    must_be_text(text)
    _must_be_key(fields.get("key_text"))
    source = fields.get("source", "user")
    if isinstance(source, str) and not source.strip():
        raise Misuse(f"source is {source!r}; expected where the text is from, such as 'user', 'document' or 'web'")
    _must_be_dated(fields)
    own = fields.pop("trust", None)
    trust = lowest(trust_of(source) if own is None else own, (p.trust for p in parents if p is not None))
    fields["metadata"] = masked_within(dict(fields["metadata"]))
    for name in ("key_text", "source"):
        if isinstance(fields.get(name), str):
            fields[name] = masked(fields[name])
    try:
        item = Item(id=new_id(), namespace=namespace, text=masked(text), trust=trust, **fields)
    except ValidationError as error:
        raise Misuse(f"this cannot become an item: {why_invalid(error)}") from error
    return item.model_copy(update={"status": "quarantined"}) if held_because(item) else item


def must_be_text(text: object) -> None:
    """Raise Misuse where a text cannot become an item."""
    if not isinstance(text, str):
        raise Misuse(f"a memory holds texts, not {text!r:.80}")
    if not is_text(text):
        raise Misuse(f"{text!r:.40} holds half of a surrogate pair; a memory takes whole characters")
    if not shows(text):
        raise Misuse(f"{unfit(text)} cannot be remembered")
    if why := too_long(text):
        raise Misuse(f"{why}; split it")


def _must_be_dated(fields: Mapping[str, object]) -> None:
    """Raise Misuse where an item would be of a time that no calendar holds."""
    if why := undated(fields.get("created_at")):
        raise Misuse(why)


def _must_be_key(key_text: object) -> None:
    """Raise Misuse where recall would match an item by a text that shows nothing; an empty one stands for none."""
    if isinstance(key_text, str) and key_text and not shows(key_text):
        raise Misuse(f"key_text is {key_text!r:.40}; expected what recall is to match, or None for the text itself")


def shows(text: str) -> bool:
    """Say whether a text has anything in it that can be seen."""
    return any(c.isprintable() and not c.isspace() for c in text)


def unfit(text: str) -> str:
    """Return what a text is that cannot become an item; nothing where it can."""
    if shows(text):
        return too_long(text)
    return f"a text that shows nothing ({text!r:.40})" if text.strip() else "an empty text"


def too_long(text: str) -> str:
    """Return why a text is too long for one item, if it is."""
    return f"a text of {len(text):,} characters is too long for one item ({MAX_TEXT:,})" if len(text) > MAX_TEXT else ""


def inserting(item: Item, reason: str) -> Op:
    """Return the op that inserts an item; where it is held, the reason says why."""
    op = Op(verb="insert", id=item.id, item=item, reason=reason)
    return _told(op, held_because(item)) if item.status == "quarantined" else op


def screened(ops: Sequence[Op], get: Callable[[str], Item | None]) -> list[Op]:
    """Return ops as they may be carried out: secrets masked, and orders from untrusted sources quarantined.

    Each is judged by what those before it leave of its item; parents count wherever in the list they come.
    """
    checked: list[Op] = []
    left = _Left(ops, get)
    for op in ops:
        if op.verb in ("release", "restore"):
            _must_not_be_blocked(left.item(op.id))
        if op.item is None and not op.changes and op.verb != "restore":
            checked.append(op)  # it says nothing; a sweep has tens of thousands of these
            left.see(op)
            continue
        op = _without_secrets(op)
        if op.item is not None:
            trusted = _trusted(op.item, left.parents(op.item))
            because = held_because(trusted) if trusted.status != "forgotten" else None
            item = trusted.model_copy(update={"status": "quarantined" if because else trusted.status})
            op = _told(op.model_copy(update={"item": item}) if item != op.item else op, because)
            checked.append(op)
            left.see(op)
            continue
        before = left.item(op.id) if op.verb == "restore" or _READ.intersection(op.changes) else None
        op = op if before is None else _keeping(op, before)
        checked.append(op)
        left.see(op)
        after = left.item(op.id) if before is not None else None
        because = held_because(after) if after is not None else None
        if because:
            checked.append(Op(verb="quarantine", id=op.id, reason=because))
    return checked


class _Left:
    """What ops leave of the items that they say something of, one after the other."""

    def __init__(self, ops: Sequence[Op], get: Callable[[str], Item | None]) -> None:
        self._get = get
        self._known: dict[str, Item | None] = {}
        self._coming: dict[str, Item] = {}
        """What the ops insert, the first of an id."""
        for item in (op.item for op in ops if op.item is not None):
            self._coming.setdefault(item.id, item)

    def item(self, id: str) -> Item | None:
        """Return an item as the ops seen leave it."""
        if id not in self._known:
            self._known[id] = self._get(id)
        return self._known[id]

    def see(self, op: Op) -> None:
        """Look at an op; of an item that nobody asked for nothing is kept."""
        if op.item is not None and self.item(op.item.id) is None:  # else the id is taken, and it is not inserted
            self._known[op.item.id] = op.item
        if (item := self._known.get(op.id)) is not None and item is not op.item:
            self._known[op.id] = applied(item, op)

    def parents(self, item: Item) -> list[Item]:
        """Return what an item is derived from, and what that is which is still to come, however far up."""
        found: list[Item] = []
        seen, waiting = {item.id}, list(item.derived_from)
        while waiting:
            name = waiting.pop()
            parent = self.item(name)
            if parent is None and name in self._coming and name not in seen:
                parent = _trusted(self._coming[name], [])
                waiting += parent.derived_from
            seen.add(name)
            found += [] if parent is None else [parent]
        return found


def _must_not_be_blocked(item: Item | None) -> None:
    if item is not None and item.kind == "adapter" and (why_not := item.metadata.get(BLOCKED)):
        raise Misuse(f"adapter {item.id} is not put into use: {why_not}; train another without that")


def _keeping(op: Op, item: Item) -> Op:
    """Return an op whose new metadata keeps what was found out of the item: why it is doubted, or blocked.

    Of an adapter it keeps, too, what a gate said and the hash, unless it says otherwise itself. An op that restores
    what is doubted says why it is held.
    """
    kept = {name: item.metadata[name] for name in (DOUBTED, BLOCKED) if name in item.metadata}
    metadata = op.changes.get("metadata")
    if item.kind == "adapter" and isinstance(metadata, Mapping):
        kept |= untold(item, metadata)
    if op.verb == "restore" and DOUBTED in kept:
        return _told(op, f"quarantined: {kept[DOUBTED]}")
    if kept and isinstance(metadata, Mapping):
        return op.model_copy(update={"changes": {**op.changes, "metadata": {**metadata, **kept}}})
    return op


def _trusted(item: Item, parents: Sequence[Item]) -> Item:
    """Return an item trusted as it says, else as its source is, and no more than what it was derived from."""
    own = item.trust if "trust" in item.model_fields_set else trust_of(item.source)
    trust = lowest(own, (parent.trust for parent in parents))
    return item if trust == item.trust else item.model_copy(update={"trust": trust})


_SAID = ("text", "key_text", "metadata")
_MASKED = (*_SAID, "source")
_READ = frozenset((*_SAID, "trust"))


def _without_secrets(op: Op) -> Op:
    if op.item is not None:
        must_be_text(op.item.text)
        _must_be_dated(op.item.__dict__)
        _must_be_key(op.item.key_text)
        said = {name: masked_within(getattr(op.item, name)) for name in _MASKED}
        item = op.item.model_copy(update=said)
        return op if item == op.item else op.model_copy(update={"item": item})
    if strange := next((said for said in _texts(op.changes) if not is_text(said)), None):
        raise Misuse(f"{strange!r:.40} holds half of a surrogate pair; a memory takes whole characters")
    said = {name: masked_within(value) for name, value in op.changes.items() if name in _MASKED}
    if "text" in said:
        must_be_text(said["text"])
    _must_be_key(said.get("key_text"))
    return op.model_copy(update={"changes": {**op.changes, **said}}) if said else op


def _told(op: Op, because: str | None) -> Op:
    said = "; ".join(part for part in (op.reason, because) if part)
    return op if because is None or because in op.reason else op.model_copy(update={"reason": said})


def held_because(item: Item) -> str | None:
    """Say which orders an untrusted item gives in its text, its key or its metadata; None where it is not held."""
    if item.trust >= LOW_TRUST:
        return None
    given = next((given for said in _texts([item.text, item.key_text, item.metadata]) if (given := why(said))), None)
    return None if given is None else f"it gives orders ({given}), and its source {item.source!r} is not trusted"


def _texts(value: Any) -> Iterator[str]:
    """Yield every text inside a value, names included."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, (list, tuple, Mapping)):
        inner = [*value, *value.values()] if isinstance(value, Mapping) else value
        for one in inner:
            yield from _texts(one)


def gives_way(held: Item, item: Item) -> bool:
    """Say whether what is held in quarantine gives way to an item that says the very same, by who may say it."""
    may = item.status == "live" and not item.derived_from and item.trust >= max(held.trust, LOW_TRUST)
    return may and held.status == "quarantined" and not held.pinned and held.kind != "adapter"


def link_near(source: Source, items: Sequence[Item], vectors: Sequence[Vector], now: float) -> list[Item]:
    """Return the items, linked to what they nearly repeat, be it here already or before them among these."""
    near = source.nearest_each(vectors, NEAR, Filter(now=now))
    before = _nearest_before(items, vectors, now)
    others = source.items([found[0] for found in near if found is not None])
    here = [(found[1], others[found[0]].id) if found and found[0] in others else None for found in near]
    nearest = (max(filter(None, both), key=lambda one: one[0], default=None) for both in zip(here, before, strict=True))
    return [item if one is None else _linked(item, one[1]) for item, one in zip(items, nearest, strict=True)]


def _nearest_before(items: Sequence[Item], vectors: Sequence[Vector], now: float) -> Sequence[tuple[float, str] | None]:
    """Return for each item which one before it nearly says the same, and how nearly; of many, for none."""
    if not 1 < len(items) <= COMPARED:
        return [None] * len(items)
    fit = [item.status == "live" and (item.expires_at is None or item.expires_at > now) for item in items]
    stacked = np.stack(vectors)
    cosines = np.tril(stacked @ stacked.T, -1) * fit
    pairs = [(float(cosines[n, place]), items[place].id) for n, place in enumerate(cosines.argmax(axis=1))]
    return [pair if pair[0] >= NEAR else None for pair in pairs]


def near_linked(source: Source, ops: Sequence[Op], vectors: Mapping[str, Vector], now: float) -> list[Op]:
    """Return the ops, what they insert linked to what it nearly repeats, unless they forget just that."""
    new = [op.item for op in ops if op.verb == "insert" and op.item is not None]
    gone = {op.id for op in ops if op.verb in ("forget", "supersede")}
    linked = link_near(source, new, [vectors[item.id] for item in new], now) if new else []
    pairs = zip(linked, new, strict=True)  # in order, because two may come under one id
    items = iter([before if gone & (set(after.links) - set(before.links)) else after for after, before in pairs])
    return [op.model_copy(update={"item": next(items)}) if op.verb == "insert" else op for op in ops]


def _linked(item: Item, other: str) -> Item:
    return item.model_copy(update={"links": tuple(dict.fromkeys((*item.links, other)))})
