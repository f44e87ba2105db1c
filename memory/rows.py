"""Items as rows of the ledger, and back."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from agentevo.types import Item, Json, Status

COLUMNS = (
    "id", "kind", "text", "key_text", "metadata", "source", "trust", "status", "pinned", "created_at", "expires_at",
    "strength", "last_used_at", "uses", "importance", "wins", "losses", "links", "supersedes", "derived_from",
)  # fmt: skip
SELECT = ", ".join(f"items.{name}" for name in COLUMNS)
_ALL = {*COLUMNS, "namespace"}
_set = object.__setattr__
_EMPTY_DICT, _EMPTY_LIST = "{}", "[]"


def to_row(item: Item) -> tuple[Any, ...]:
    """Return an item's columns, in the order of COLUMNS."""
    return (
        item.id, item.kind, item.text, item.key_text, _dumps(item.metadata) if item.metadata else _EMPTY_DICT,
        item.source, item.trust, item.status, item.pinned, item.created_at, item.expires_at,
        item.strength, item.last_used_at, item.uses, item.importance, item.wins, item.losses,
        _dumps(item.links) if item.links else _EMPTY_LIST, item.supersedes,
        _dumps(item.derived_from) if item.derived_from else _EMPTY_LIST,
    )  # fmt: skip


def to_item(row: Sequence[Any], namespace: str) -> Item:
    """Return the item of a row; it was validated when it was written."""
    values: dict[str, Any] = dict(zip(COLUMNS, row, strict=True))
    values["namespace"] = namespace
    values["pinned"] = bool(values["pinned"])
    values["metadata"] = {} if values["metadata"] == _EMPTY_DICT else json.loads(values["metadata"])
    for name in ("links", "derived_from"):
        values[name] = () if values[name] == _EMPTY_LIST else tuple(json.loads(values[name]))
    return _made(values)


def _made(values: dict[str, Any]) -> Item:
    """Do what model_construct does, at a tenth of its cost: every field is here, and nothing needs a default."""
    item = Item.__new__(Item)
    _set(item, "__dict__", values)
    _set(item, "__pydantic_fields_set__", _ALL)
    _set(item, "__pydantic_extra__", None)
    _set(item, "__pydantic_private__", None)
    return item


def marked(item: Item, **marks: Status | bool) -> Item:
    """Return an item with another status or pin, which need no validation."""
    return _made({**item.__dict__, **marks})


def image(row: Sequence[Any]) -> str:
    """Return the item of a row as the journal keeps what was: JSON without what is at its default."""
    said = [
        head + write(value) for (head, default, write), value in zip(_WRITTEN, row, strict=True) if value != default
    ]
    return "{" + ",".join(said) + "}"


def _written() -> Iterator[tuple[str, Any, Callable[[Any], str]]]:
    """Yield how each column is written, and the value that is left out; ids, texts and times are always written."""
    own: dict[str, Callable[[Any], str]] = {"pinned": lambda value: "true" if value else "false"}
    own |= dict.fromkeys(("metadata", "links", "derived_from"), str)
    own |= dict.fromkeys(("trust", "created_at", "expires_at", "strength", "last_used_at", "uses"), repr)
    own |= dict.fromkeys(("importance", "wins", "losses"), repr)
    plain = dict(zip(COLUMNS, to_row(Item(id="", text="", created_at=0.0)), strict=True))
    for name in COLUMNS:
        default = ... if name in ("id", "text", "created_at") else plain[name]
        yield f'"{name}":', default, own.get(name, _encode)


_encode = json.JSONEncoder(ensure_ascii=False).encode
_WRITTEN = tuple(_written())


def digest(kind: str, text: str) -> bytes:
    """Return what two items share that say the very same."""
    return hashlib.blake2b(f"{kind}\0{text}".encode(), digest_size=16).digest()


def fields(metadata: Mapping[str, Json]) -> Iterator[tuple[str, Any]]:
    """Yield (key, value) pairs to search metadata by: nested keys are dotted, each element of a list counts."""
    yield from dict.fromkeys(_flat("", metadata))


def _flat(prefix: str, value: object) -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _flat(f"{prefix}.{key}" if prefix else key, inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _flat(prefix, inner)
    else:
        yield prefix, scalar(value)


def scalar(value: object) -> Any:
    """Return a value as the database compares it: truth values and null stay apart from numbers and texts."""
    if isinstance(value, bool):
        return b"\1" if value else b"\0"
    if isinstance(value, int) and not -(2**63) <= value < 2**63:
        return float(value) if abs(value) < 2**1023 else (math.inf if value > 0 else -math.inf)
    return b"" if value is None else value


def _dumps(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
