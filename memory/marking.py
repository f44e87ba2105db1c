"""Ops that set no more than a status or a pin, carried out as a set: a sweep has tens of thousands of them.

They are written into tables of the connection's own, and SQLite reads the items, the journal's lines and the new marks
from there; what an op does to which marks is asked of `change.marks` before, once for each of the few there are.
"""

from __future__ import annotations

import itertools
import sqlite3
from collections.abc import Iterable, Iterator
from types import TracebackType
from typing import Any, Self, get_args

from agentevo.memory import images
from agentevo.memory.change import marks
from agentevo.memory.trust import DOUBTED
from agentevo.types import Status, Verb

_TABLES = (
    """CREATE TEMP TABLE IF NOT EXISTS wanted (
        n INTEGER PRIMARY KEY, item TEXT NOT NULL, expected INTEGER, reason TEXT NOT NULL, detail TEXT NOT NULL)""",
    """CREATE TEMP TABLE IF NOT EXISTS due (
        n INTEGER PRIMARY KEY, row INTEGER NOT NULL, before TEXT NOT NULL,
        status TEXT NOT NULL, pinned INTEGER NOT NULL)""",
)  # fmt: skip
# `CROSS JOIN` keeps the order of the tables: what is wanted leads to its items, never all items to what is wanted.
_LOST = """SELECT n, row IS NOT NULL FROM wanted LEFT JOIN items ON ns = ? AND id = item
    WHERE row IS NULL OR version > expected"""
_SAID = """SELECT n FROM (
        SELECT n, ns, digest, row_number() OVER (PARTITION BY digest ORDER BY n) AS nth
        FROM wanted CROSS JOIN items ON ns = ? AND id = item WHERE status = 'forgotten') AS back
    WHERE nth > 1 OR EXISTS (SELECT 1 FROM items AS other
        WHERE other.ns = back.ns AND other.digest = back.digest AND other.status != 'forgotten')"""
_DUE = """WITH moves (status, pinned, is_doubted, before, to_status, to_pinned) AS (VALUES {moves})
    INSERT INTO due SELECT n, row, before, to_status, to_pinned
    FROM wanted CROSS JOIN items ON ns = ? AND id = item CROSS JOIN moves
        ON moves.status = items.status AND moves.pinned = items.pinned AND is_doubted = {is_doubted}"""
_JOURNAL = """INSERT INTO ops (seq, txn, verb, item, reason, detail, before)
    SELECT ? + n, ?, ?, item, reason, detail, before FROM due CROSS JOIN wanted USING (n)"""
_MARK = """UPDATE items SET version = ? + n, status = due.status, pinned = due.pinned
    FROM due WHERE items.row = due.row"""


class Marking:
    """Ops of one verb, each of another item, over an open transaction of the ledger; they are known by their place."""

    def __init__(self, db: sqlite3.Connection, ns: int, verb: Verb) -> None:
        self._db, self._ns, self._verb = db, ns, verb

    def __enter__(self) -> Self:
        for table in _TABLES:
            self._db.execute(table)
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self._db.execute("DELETE FROM wanted")
        self._db.execute("DELETE FROM due")

    def want(self, lines: Iterable[tuple[int, str, int | None, str, str]]) -> None:
        """Take in ops: each one's place, its item, the version that this had at most, its reason and its detail."""
        self._db.executemany("INSERT INTO wanted VALUES (?,?,?,?,?)", lines)

    def lost(self) -> list[tuple[int, bool]]:
        """Return the places of those whose item is gone, or changed, and whether it is here."""
        return [(n, bool(is_here)) for n, is_here in self._db.execute(_LOST, (self._ns,))]

    def said(self) -> list[int]:
        """Return the places of those that would bring back what another item says, or one before them brings back."""
        return [n for (n,) in self._db.execute(_SAID, (self._ns,))] if self._verb == "restore" else []

    def leave_out(self, places: Iterable[int]) -> None:
        self._db.executemany("DELETE FROM wanted WHERE n = ?", ((n,) for n in places))

    def carry_out(self, txn: int, seq: int) -> int:
        """Write what is left and changes something into journal, from a line on, and items; return how many."""
        moves = [*_moves(self._verb)]
        rows = ", ".join("(?,?,?,?,?,?)" for _ in moves)
        is_doubted = f"(json_type(metadata, '$.{DOUBTED}') IS NOT NULL)" if self._verb == "restore" else "0"
        due = _DUE.format(moves=rows, is_doubted=is_doubted)
        self._db.execute(due, (*itertools.chain.from_iterable(moves), self._ns))
        self._db.execute(_JOURNAL, (seq, txn, self._verb))
        return self._db.execute(_MARK, (seq,)).rowcount

    def changed(self) -> list[int]:
        """Return the places of those that changed something."""
        return [n for (n,) in self._db.execute("SELECT n FROM due ORDER BY n")]


def _moves(verb: Verb) -> Iterator[tuple[Any, ...]]:
    """Yield which marks an op changes, of what is doubted or not where that matters, into which."""
    doubted = (False, True) if verb == "restore" else (False,)
    for status, pinned, is_doubted in itertools.product(get_args(Status), (False, True), doubted):
        after = marks(verb, status, pinned, doubted=is_doubted)
        if after != (status, pinned):
            yield status, pinned, is_doubted, images.OF_MARKS[status, pinned], *after
