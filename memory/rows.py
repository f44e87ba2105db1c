"""Items as rows of the ledger, and back."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypeVar

from pydantic_core import from_json

from agentevo.types import Item, Json, Record, Status

R = TypeVar("R", bound=Record)

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
    values["namespace"], values["pinned"] = namespace, bool(values["pinned"])
    said, links, parents = values["metadata"], values["links"], values["derived_from"]
    values["metadata"] = {} if said == _EMPTY_DICT else _loads(said)
    values["links"] = () if links == _EMPTY_LIST else tuple(_loads(links))
    values["derived_from"] = () if parents == _EMPTY_LIST else tuple(_loads(parents))
    return made(Item, values, _ALL)


def _loads(said: str) -> Any:
    try:
        return from_json(said)  # a tenth of the cost of json.loads
    except ValueError:
        return json.loads(said)  # nested deeper than pydantic goes; or damaged, which this one says as others do


def made(record: type[R], values: dict[str, Any], told: set[str]) -> R:
    """Do what model_construct does, at a tenth of its cost: every field is here, and nothing needs a default."""
    new = record.__new__(record)
    _set(new, "__dict__", values)
    _set(new, "__pydantic_fields_set__", told)
    _set(new, "__pydantic_extra__", None)
    _set(new, "__pydantic_private__", None)
    return new


def marked(item: Item, **marks: Status | bool) -> Item:
    """Return an item with another status or pin, which need no validation."""
    return made(Item, {**item.__dict__, **marks}, _ALL)


def digest(kind: str, text: str) -> bytes:
    """Return what two items share that say the very same."""
    return hashlib.blake2b(f"{kind}\0{text}".encode(), digest_size=16).digest()


HOLDS = b"\2"
"""Stands for an object or a list among what metadata is searched by: it is there, and equals nothing."""


def fields(metadata: Mapping[str, Json]) -> Iterator[tuple[str, Any]]:
    """Yield (key, value) pairs to search metadata by: nested keys are dotted, each element of a list counts."""
    yield from dict.fromkeys(_flat("", metadata))


def _flat(prefix: str, value: object) -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping):
        for key, inner in value.items():
            name = f"{prefix}.{key}" if prefix else key
            if isinstance(inner, (Mapping, list)):
                yield name, HOLDS
            yield from _flat(name, inner)
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
