"""What adapters are in use for: a role of a base, which one of them has at most."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

from agentevo.memory.nearby import chunks, marks
from agentevo.types import Item, Json, Op

_RIVALS = """SELECT items.id FROM fields CROSS JOIN items ON items.row = fields.row
    WHERE fields.ns = ? AND fields.key = 'base' AND fields.value = ? AND kind = 'adapter' AND status = 'live'
    AND json_extract(metadata, '$.role') IS ? AND items.id != ?"""


def post_of(item: Item) -> tuple[Json, Json] | None:
    """Return the base and the role that an adapter is in use for; None where it is not in use."""
    base, role = item.metadata.get("base"), item.metadata.get("role")
    is_used = item.kind == "adapter" and item.status == "live" and isinstance(base, str)
    return (base, role) if is_used else None


def replaced_by(item: Item) -> str:
    """Return why an adapter is in use no more in whose place another came."""
    return f"replaced by {item.metadata.get('name', '')}"


def rivals(db: sqlite3.Connection, ns: int, item: Item) -> list[Op]:
    """Return ops that take out of use what is in use beside an adapter for the same."""
    if (post := post_of(item)) is None:
        return []
    found = db.execute(_RIVALS, (ns, post[0], post[1] if isinstance(post[1], str) else None, item.id))
    return [Op(verb="quarantine", id=name, reason=replaced_by(item)) for (name,) in found]


def adapters_among(db: sqlite3.Connection, ns: int, ids: Sequence[str]) -> list[str]:
    """Return those of these items that are adapters."""
    query = "SELECT id FROM items WHERE ns = ? AND kind = 'adapter' AND id IN ({})"
    return [name for part in chunks(ids) for (name,) in db.execute(query.format(marks(part)), (ns, *part))]
