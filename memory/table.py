"""The rows of a namespace's items: each with its words, its vector, its fields and what it is derived from."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from agentevo.memory import rows
from agentevo.memory.words import body
from agentevo.types import Item

Vector = NDArray[np.float32]
Read = tuple[int, int, Item]
"""An item as the ledger has it: its row, its version, and what it says."""

_INSERT = f"""INSERT INTO items (ns, version, digest, {", ".join(rows.COLUMNS)})
    VALUES ({", ".join("?" * (3 + len(rows.COLUMNS)))})"""
_UPDATE = f"""UPDATE items SET version = ?, digest = ?,
    {", ".join(f"{name} = ?" for name in rows.COLUMNS)} WHERE row = ?"""


class Table:
    """Reads and writes items in one open transaction of the ledger."""

    def __init__(self, db: sqlite3.Connection, namespace: str, ns: int, vectors: Mapping[str, Vector]) -> None:
        self.db, self.namespace, self.ns, self.vectors = db, namespace, ns, vectors

    def twin(self, item: Item) -> str | None:
        """Return the item, not forgotten and not this one, that says the very same."""
        query = "SELECT id FROM items WHERE ns = ? AND digest = ? AND status != 'forgotten' AND id != ? ORDER BY row"
        found = self.db.execute(query, (self.ns, rows.digest(item.kind, item.text), item.id)).fetchone()
        return found[0] if found else None

    def read(self, ids: Sequence[str]) -> dict[str, Read]:
        """Return those of these items that are here."""
        query = f"SELECT row, version, {rows.SELECT} FROM items WHERE ns = ? AND id IN ({', '.join('?' * len(ids))})"
        found = (
            (row[0], row[1], rows.to_item(row[2:], self.namespace)) for row in self.db.execute(query, (self.ns, *ids))
        )
        return {one[2].id: one for one in found}

    def is_taken(self, id: str) -> bool:
        """Say whether there is an item of this id: callers may choose ids, and two may choose one."""
        return self.db.execute("SELECT 1 FROM items WHERE ns = ? AND id = ?", (self.ns, id)).fetchone() is not None

    def add_row(self, item: Item, version: int) -> None:
        """Write an item with all that is derived from it."""
        digest = rows.digest(item.kind, item.text)
        row = self.db.execute(_INSERT, (self.ns, version, digest, *rows.to_row(item))).lastrowid
        self.db.execute(
            "INSERT INTO words (rowid, body) VALUES (?, ?)", (row, body(self.ns, item.key_text or item.text))
        )
        if item.id in self.vectors:
            self.db.execute("INSERT INTO vectors (row, vector) VALUES (?, ?)", (row, self.vectors[item.id].tobytes()))
        for key, value in rows.fields(item.metadata):
            self.db.execute("INSERT OR IGNORE INTO fields VALUES (?,?,?,?)", (self.ns, key, value, row))
        for parent in item.derived_from:
            self.db.execute("INSERT OR IGNORE INTO derived VALUES (?,?,?)", (self.ns, parent, item.id))

    def replace(self, row: int, before: Item, after: Item, seq: int | None, vector: Vector | None) -> None:
        """Write an item's new state, and whatever is derived from its text and metadata."""
        said_before, said = before.key_text or before.text, after.key_text or after.text
        if said != said_before:
            drop_words(self.db, self.ns, row, said_before)
            self.db.execute("INSERT INTO words (rowid, body) VALUES (?, ?)", (row, body(self.ns, said)))
        if vector is not None:
            self.db.execute("INSERT OR REPLACE INTO vectors (row, vector) VALUES (?, ?)", (row, vector.tobytes()))
        if after.metadata != before.metadata:
            drop_fields(self.db, self.ns, row, before)
            new = [(self.ns, key, value, row) for key, value in rows.fields(after.metadata)]
            self.db.executemany("INSERT OR IGNORE INTO fields VALUES (?,?,?,?)", new)
        version = seq
        if version is None:
            version = self.db.execute("SELECT version FROM items WHERE row = ?", (row,)).fetchone()[0]
        digest = rows.digest(after.kind, after.text)
        self.db.execute(_UPDATE, (version, digest, *rows.to_row(after), row))


def drop_words(db: sqlite3.Connection, ns: int, row: int, said: str) -> None:
    """Take a text out of the full-text table, which must be told what was in it."""
    db.execute("INSERT INTO words (words, rowid, body) VALUES ('delete', ?, ?)", (row, body(ns, said)))


def drop_fields(db: sqlite3.Connection, ns: int, row: int, item: Item) -> None:
    """Take an item's metadata out of the table it is searched by."""
    gone = [(ns, key, value, row) for key, value in rows.fields(item.metadata)]
    db.executemany("DELETE FROM fields WHERE ns = ? AND key = ? AND value IS ? AND row = ?", gone)
