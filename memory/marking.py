"""Ops that set no more than a status or a pin, carried out as a set: a sweep has tens of thousands of them.

They are written into tables of the connection's own, and SQLite reads the items, the journal's lines and the new marks
from there; what an op does to which marks is asked of `change.marks` before, once for each of the few there are.
"""

from __future__ import annotations

import itertools
import json
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from types import TracebackType
from typing import Any, Self, TypeAlias, get_args

from agentevo.memory import images
from agentevo.memory.change import marks
from agentevo.memory.trust import BLOCKED, DOUBTED
from agentevo.types import Status, Verb

Wanted: TypeAlias = tuple[int, Verb, str, int | None, str, str]
"""An op: its place, its verb, its item and the version that this may have at most, its reason and its detail."""

_TABLES = (
    """CREATE TEMP TABLE IF NOT EXISTS wanted (
        n INTEGER PRIMARY KEY, verb TEXT NOT NULL, item TEXT NOT NULL, expected INTEGER,
        reason TEXT NOT NULL, detail TEXT NOT NULL)""",
    """CREATE TEMP TABLE IF NOT EXISTS due (
        n INTEGER PRIMARY KEY, row INTEGER NOT NULL, before TEXT NOT NULL,
        status TEXT NOT NULL, pinned INTEGER NOT NULL)""",
)  # fmt: skip
_ALIKE = "INSERT INTO wanted SELECT key, ?, value, ?, ?, ? FROM json_each(?)"
_NUL, _SURROGATE = "\\u0000", "\\ud"
"""In JSON: SQLite would end a text at the one, and not refuse half of the other."""
# Each goes from what is wanted to its items: `CROSS JOIN` and `LEFT JOIN` keep the order of the tables.
_LOST = """SELECT n, row IS NOT NULL FROM wanted LEFT JOIN items ON ns = ? AND id = item
    WHERE row IS NULL OR version > expected ORDER BY n"""
_SAID = """SELECT n FROM (
        SELECT n, ns, digest, row_number() OVER (PARTITION BY digest ORDER BY n) AS nth
        FROM wanted CROSS JOIN items ON ns = ? AND id = item WHERE verb = 'restore' AND status = 'forgotten') AS back
    WHERE nth > 1 OR EXISTS (SELECT 1 FROM items AS other
        WHERE other.ns = back.ns AND other.digest = back.digest AND other.status != 'forgotten')"""
_HELD = f"""(json_type(metadata, '$.{DOUBTED}') IS NOT NULL
    OR (kind = 'adapter' AND json_type(metadata, '$.{BLOCKED}') IS NOT NULL))"""
_DUE = f"""INSERT INTO due
    WITH moves (verb, status, pinned, is_held, before, to_status, to_pinned) AS (VALUES {{moves}})
    SELECT n, row, before, to_status, to_pinned
    FROM wanted CROSS JOIN items ON ns = ? AND id = item CROSS JOIN moves
        ON moves.verb = wanted.verb AND moves.status = items.status AND moves.pinned = items.pinned
        AND (is_held IS NULL OR is_held = {_HELD})
    WHERE coalesce(version <= expected, 1)"""
_JOURNAL = """INSERT INTO ops (seq, txn, verb, item, reason, detail, before)
    SELECT ? + n, ?, verb, item, reason, detail, before FROM due CROSS JOIN wanted USING (n)"""
_MARK = """UPDATE items SET version = ? + n, status = due.status, pinned = due.pinned
    FROM due WHERE items.row = due.row"""


class Marking:
    """Ops over an open transaction of the ledger, no two of one item, known by their place among them."""

    def __init__(self, db: sqlite3.Connection, ns: int) -> None:
        self._db, self._ns = db, ns

    def __enter__(self) -> Self:
        for table in _TABLES:
            self._db.execute(table)
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        if self._db.in_transaction:  # else SQLite has rolled back by itself, the tables with it
            self._db.execute("DELETE FROM wanted")
            self._db.execute("DELETE FROM due")

    def want(self, lines: Iterable[Wanted]) -> None:
        self._db.executemany("INSERT INTO wanted VALUES (?,?,?,?,?,?)", lines)

    def want_alike(self, items: Sequence[str], verb: Verb, expected: int | None, reason: str, detail: str) -> None:
        """Take in ops that differ by their items only, one at each place from the first on."""
        named = json.dumps(items)
        if _NUL in named or _SURROGATE in named:
            self.want((n, verb, item, expected, reason, detail) for n, item in enumerate(items))
        else:
            self._db.execute(_ALIKE, (verb, expected, reason, detail, named))

    def lost(self) -> list[tuple[int, bool]]:
        """Return the places of those whose item is gone, or changed, and whether it is here."""
        return [(n, bool(is_here)) for n, is_here in self._db.execute(_LOST, (self._ns,))]

    def said(self) -> list[int]:
        """Return the places of those that would bring back what another item says, or one before them brings back."""
        return [n for (n,) in self._db.execute(_SAID, (self._ns,))]

    def leave_out(self, places: Iterable[int]) -> None:
        self._db.executemany("DELETE FROM wanted WHERE n = ?", ((n,) for n in places))

    def settle(self, verbs: Iterable[Verb]) -> int:
        """Find out what is to be done of what is wanted, of these verbs; return how many would change something."""
        moves = [move for verb in verbs for move in _moves(verb)]
        due = _DUE.format(moves=", ".join("(?,?,?,?,?,?,?)" for _ in moves))
        self._db.execute("DELETE FROM due")
        return self._db.execute(due, (*itertools.chain.from_iterable(moves), self._ns)).rowcount

    def carry_out(self, txn: int, seq: int) -> None:
        """Write what was settled into journal and items.

        A line of the journal has the number `seq` and its place, so that where nothing changed one is left out.
        """
        self._db.execute(_JOURNAL, (seq, txn))
        self._db.execute(_MARK, (seq,))

    def changed(self) -> list[int]:
        """Return the places of those that were carried out and changed something."""
        return [n for (n,) in self._db.execute("SELECT n FROM due ORDER BY n")]


def _moves(verb: Verb) -> Iterator[tuple[Any, ...]]:
    """Yield which marks an op changes into which, of what is doubted or blocked or not, or, as None, of either."""
    held = (False, True) if verb == "restore" else (None,)
    for status, pinned, is_held in itertools.product(get_args(Status), (False, True), held):
        after = marks(verb, status, pinned, doubted=bool(is_held))
        if after != (status, pinned):
            yield verb, status, pinned, is_held, images.OF_MARKS[status, pinned], *after
