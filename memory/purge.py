"""Purge: the one verb that destroys. Nothing of a purged text is left in any file of the memory.

Covered: the row, its vector, its words, its metadata, its images in the journal, drafts that mention it, the index, the
write-ahead log. Not covered: backups and exports made before, other memories, copy-on-write file systems and disks
that keep old blocks, and the reasons people wrote.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass

from agentevo.memory import rows
from agentevo.memory.source import Stored
from agentevo.memory.writer import drop_words


@dataclass(frozen=True, slots=True)
class Purged:
    """What a purge did. `pending`: another process still has the files open; the rest is gone once it lets go."""

    items: tuple[str, ...]
    derived: tuple[str, ...] = ()
    """Items that were made from what was purged; they are quarantined."""
    adapters: tuple[str, ...] = ()
    """Adapters that were trained on what was purged."""
    pending: bool = False


def erase(db: sqlite3.Connection, stored: Stored, ids: Sequence[str]) -> list[int]:
    """Delete the items and all their traces inside an open transaction; return their rows."""
    gone = [row for name in ids if (row := _erase_item(db, stored, name)) is not None]
    for name in ids:
        db.execute("DELETE FROM experiences WHERE ns = ? AND id = ?", (stored.ns, name))
        db.execute(
            """UPDATE ops SET before = NULL, detail = '{}', reason = ''
            WHERE item = ? AND txn IN (SELECT txn FROM transactions WHERE ns = ?)""",
            (name, stored.ns),
        )
        db.execute("DELETE FROM credits WHERE ns = ? AND item = ?", (stored.ns, name))
        db.execute("DELETE FROM derived WHERE parent = ? OR child = ?", (name, name))
        db.execute("DELETE FROM drafts WHERE ns = ? AND instr(body, ?) > 0", (stored.ns, json.dumps(name).strip('"')))
    return gone


def _erase_item(db: sqlite3.Connection, stored: Stored, id: str) -> int | None:
    query = f"SELECT row, {rows.SELECT} FROM items WHERE ns = ? AND id = ?"
    found = db.execute(query, (stored.ns, id)).fetchone()
    if found is None:
        return None
    row, item = int(found[0]), rows.to_item(found[1:], stored.namespace)
    drop_words(db, stored.ns, row, item.key_text or item.text)
    db.execute("DELETE FROM fields WHERE ns = ? AND row = ?", (stored.ns, row))
    db.execute("DELETE FROM vectors WHERE row = ?", (row,))
    db.execute("DELETE FROM items WHERE row = ?", (row,))
    db.execute("INSERT INTO purged (ns, row) VALUES (?, ?)", (stored.ns, row))
    return row


def scrub(stored: Stored, gone: list[int]) -> bool:
    """Clear what the deleted rows leave behind in the files; True where something has to wait for another process."""
    if stored.index is not None and len(gone) > 0:
        removed = stored.index.remove(stored.ns, stored.collection, gone)
    else:
        removed = True
    with stored.ledger.writing() as db:
        db.execute("INSERT INTO words (words) VALUES ('optimize')")
    return stored.ledger.checkpoint() or not removed
