"""What recall reads: one namespace of a ledger with its arrays and its index."""

from __future__ import annotations

import json
import math
import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Protocol

from agentevo.memory import lexical
from agentevo.memory.exact import Scored, Vector
from agentevo.memory.index import Index, collection_name
from agentevo.memory.ledger import Ledger
from agentevo.memory.narrow import Filter
from agentevo.memory.nearby import Nearby, chunks, fetched, live, marks
from agentevo.memory.rank import Candidate
from agentevo.memory.rows import SELECT, digest, to_item
from agentevo.memory.trust import PURGED
from agentevo.memory.where import Node, to_sql
from agentevo.types import Item, Status


@dataclass(frozen=True, slots=True)
class Frequencies:
    """What BM25 needs to know of all texts: how many hold each stem, how many there are, how many words they have."""

    texts_with: Mapping[str, int]
    texts: int
    words: int


@dataclass(frozen=True, slots=True)
class Found:
    """An item with the row it stands in and the version it has."""

    row: int
    version: int
    item: Item


class Source(Protocol):
    """What recall needs of a memory or a draft; rows are numbers that stand for items, negative in drafts."""

    def reading(self) -> AbstractContextManager[object]:
        """Let all that is read within be as it was at one moment."""

    def alone(self) -> AbstractContextManager[object]:
        """Let nobody else write between what is read within and what is written; no model is called inside."""

    def near(self, vector: Vector, k: int, only: Filter) -> Scored: ...

    def said(self, asked: Sequence[str], k: int, only: Filter) -> Scored: ...

    def frequencies(self, stems: Sequence[str]) -> Frequencies: ...

    def vectors(self, wanted: Sequence[int]) -> dict[int, Vector]: ...

    def items(self, wanted: Sequence[int]) -> dict[int, Item]: ...

    def candidates(self, wanted: Sequence[int]) -> list[Candidate]: ...

    def rows(self, ids: Sequence[str]) -> dict[str, int]: ...

    def find(self, id: str) -> tuple[Item, int] | None: ...

    def found(self, ids: Sequence[str]) -> dict[str, Found]: ...

    def twin(self, kind: str, text: str) -> Item | None: ...

    def children(self, id: str) -> list[str]: ...

    def was_purged(self, attempt: str) -> bool: ...

    def was_held(self, id: str) -> bool: ...

    def credit(self, key: str, id: str) -> Mapping[str, float] | None: ...

    def nearest_each(
        self, vectors: Sequence[Vector], at_least: float, only: Filter
    ) -> list[tuple[int, float] | None]: ...

    def listed(
        self, kinds: Sequence[str], statuses: Sequence[Status], node: Node | None, order: str, limit: int | None
    ) -> list[Item]: ...


class Stored:
    """A namespace as it is committed: exact search while it is small or a filter narrow, else the index."""

    def __init__(self, ledger: Ledger, index: Index | None, namespace: str, *, exact_limit: int) -> None:
        self.ledger, self.index, self.namespace, self.exact_limit = ledger, index, namespace, exact_limit
        self.ns = ledger.ns(namespace)
        self.collection = collection_name(ledger.meta("id"), namespace)
        self._nearby = Nearby(ledger, index, self.ns, self.collection, exact_limit)
        self.shelf = self._nearby.shelf

    def reading(self) -> AbstractContextManager[object]:
        return self.ledger.reading()

    def alone(self) -> AbstractContextManager[object]:
        return self.ledger.writing()

    def latest(self) -> int:
        """Return the number of the latest change to anything in the ledger."""
        with self.ledger.reading() as db:
            row = db.execute("SELECT seq FROM sqlite_sequence WHERE name = 'ops'").fetchone()
        return int(row[0]) if row else 0

    # --- by vector

    def near(self, vector: Vector, k: int, only: Filter) -> Scored:
        """Return the k live items nearest to the vector, by cosine."""
        return self._nearby.near(vector, k, only)

    def nearest_each(self, vectors: Sequence[Vector], at_least: float, only: Filter) -> list[tuple[int, float] | None]:
        """Return the nearest item of each vector, if it is as near as that; None for all where there are too many."""
        return self._nearby.nearest_each(vectors, at_least, only)

    def vectors(self, wanted: Sequence[int]) -> dict[int, Vector]:
        """Return the vectors of these rows."""
        with self.ledger.reading() as db:
            return fetched(db, wanted)

    def catch_up(self) -> bool:
        """Bring the index up to date before returning; False where another process has it."""
        return self.index is not None and self.index.catch_up(self.ledger, self.ns, self.collection)

    def settle(self, changes: int) -> None:
        """Start the index on its way when a large namespace has changed a lot."""
        if self.index is not None:
            self._nearby.settle(changes)

    # --- by words

    def said(self, asked: Sequence[str], k: int, only: Filter) -> Scored:
        """Return the k live items whose words match best, by BM25; larger is better."""
        if not asked:
            return []
        with self.ledger.reading() as db:
            return lexical.best(db, self.ns, asked, k, lambda found: set(live(db, self.ns, found, only)))

    def frequencies(self, stems: Sequence[str]) -> Frequencies:
        """Return in how many texts each stem occurs, how many texts there are, and how many words they have."""
        with self.ledger.reading() as db:
            known = lexical.frequencies(db, stems)
            row = db.execute("SELECT block FROM words_data WHERE id = 1").fetchone()
        totals = _varints(row[0]) if row and row[0] else []
        texts, total = totals if len(totals) == 2 else (0, 0)
        return Frequencies(known, texts, total)

    # --- items

    def items(self, wanted: Sequence[int]) -> dict[int, Item]:
        """Return the items of these rows; a row that was purged is missing."""
        found: dict[int, Item] = {}
        with self.ledger.reading() as db:
            for chunk in chunks(wanted):
                query = f"SELECT row, {SELECT} FROM items WHERE row IN ({marks(chunk)})"
                found.update((row[0], to_item(row[1:], self.namespace)) for row in db.execute(query, chunk))
        return found

    def candidates(self, wanted: Sequence[int]) -> list[Candidate]:
        """Return what decides the place of these rows' items; a row that was purged is missing."""
        found: list[Candidate] = []
        with self.ledger.reading() as db:
            for chunk in chunks(wanted):
                query = f"SELECT {', '.join(Candidate._fields)} FROM items WHERE row IN ({marks(chunk)})"
                found.extend(map(Candidate._make, db.execute(query, chunk)))
        return found

    def rows(self, ids: Sequence[str]) -> dict[str, int]:
        """Return the rows of these ids; an id that is not here is missing."""
        found: dict[str, int] = {}
        with self.ledger.reading() as db:
            for chunk in chunks(ids):
                query = f"SELECT id, row FROM items WHERE ns = ? AND id IN ({marks(chunk)})"
                found.update(db.execute(query, (self.ns, *chunk)))
        return found

    def find(self, id: str) -> tuple[Item, int] | None:
        """Return the item of this id with its version, or None."""
        one = self.found([id]).get(id)
        return None if one is None else (one.item, one.version)

    def found(self, ids: Sequence[str]) -> dict[str, Found]:
        """Return those of these items that are here, all as they were at one moment."""
        found: dict[str, Found] = {}
        with self.ledger.reading() as db:
            for chunk in chunks(ids):
                query = f"SELECT row, version, {SELECT} FROM items WHERE ns = ? AND id IN ({marks(chunk)})"
                for row in db.execute(query, (self.ns, *chunk)):
                    item = to_item(row[2:], self.namespace)
                    found[item.id] = Found(row[0], row[1], item)
        return found

    def twin(self, kind: str, text: str) -> Item | None:
        """Return the item that says the very same and is not forgotten, or None."""
        query = "SELECT id FROM items WHERE ns = ? AND digest = ? AND status != 'forgotten' ORDER BY row LIMIT 1"
        with self.ledger.reading() as db:  # nearly always there is none, and then no columns need be looked up
            found = db.execute(query, (self.ns, digest(kind, text))).fetchone()
            return self.found([found[0]])[found[0]].item if found else None

    def children(self, id: str) -> list[str]:
        """Return the ids of what was derived from an item, an attempt or an experience, in one step."""
        query = "SELECT child FROM derived WHERE ns = ? AND parent = ?"
        with self.ledger.reading() as db:
            return [child for (child,) in db.execute(query, (self.ns, id))]

    def was_purged(self, attempt: str) -> bool:
        """Say whether the experience with this attempt was purged, or an experience item that was made of it."""
        query = "SELECT 1 FROM derived WHERE ns = ? AND parent = ? AND child = ?"
        with self.ledger.reading() as db:
            return db.execute(query, (self.ns, attempt, PURGED)).fetchone() is not None

    def was_held(self, id: str) -> bool:
        """Say whether a forgotten item was in quarantine when it was forgotten."""
        query = """SELECT json_extract(before, '$.status') FROM ops JOIN transactions USING (txn)
            WHERE item = ? AND ns = ? AND verb IN ('forget', 'supersede')
            AND json_extract(before, '$.status') IS NOT 'forgotten' ORDER BY seq DESC LIMIT 1"""
        with self.ledger.reading() as db:
            row = db.execute(query, (id, self.ns)).fetchone()
        return row is not None and row[0] == "quarantined"

    def credit(self, key: str, id: str) -> Mapping[str, float] | None:
        """Return what a reinforcement under this key has added to an item, or None."""
        query = "SELECT changes FROM credits WHERE ns = ? AND key = ? AND item = ?"
        with self.ledger.reading() as db:
            row = db.execute(query, (self.ns, key, id)).fetchone()
        return json.loads(row[0]) if row else None

    def listed(
        self, kinds: Sequence[str], statuses: Sequence[Status], node: Node | None, order: str, limit: int | None
    ) -> list[Item]:
        """Return items in the order asked for."""
        with self.ledger.reading() as db:
            return list(self._listed(db, kinds, statuses, node, order, limit))

    def _listed(
        self,
        db: sqlite3.Connection,
        kinds: Sequence[str],
        statuses: Sequence[str],
        node: Node | None,
        order: str,
        limit: int | None,
    ) -> Iterator[Item]:
        condition, parameters = to_sql(node, self.ns) if node else ("1", [])
        query = f"""SELECT {SELECT} FROM items WHERE ns = ? AND kind IN ({marks(kinds)})
            AND status IN ({marks(statuses)}) AND {condition} ORDER BY {ORDERS[order]} LIMIT ?"""
        bound: tuple[Any, ...] = (self.ns, *kinds, *statuses, *parameters, -1 if limit is None else limit)
        for row in db.execute(query, bound):
            yield to_item(row, self.namespace)


ORDERS: Mapping[str, str] = {
    "newest": "created_at DESC, row DESC",
    "oldest": "created_at, row",
    "used": "last_used_at DESC, row",
    "uses": "uses DESC, row",
    "utility": "(wins + 1.0) / (wins + losses + 2.0) DESC, row",
    "importance": "importance DESC, row",
    "strength": "strength DESC, row",
}
"""What a list can be sorted by, in the ledger."""

SORTS: Mapping[str, Callable[[Item], float]] = {
    "newest": lambda item: -item.created_at,
    "oldest": lambda item: item.created_at,
    "used": lambda item: math.inf if item.last_used_at is None else -item.last_used_at,
    "uses": lambda item: -item.uses,
    "utility": lambda item: -item.utility,
    "importance": lambda item: -item.importance,
    "strength": lambda item: -item.strength,
}
"""The same orders for items in hand."""


def _varints(block: bytes) -> list[int]:
    """Return the numbers of the full-text table's own totals: seven bits a byte, the high bit says that more follow."""
    numbers, value = [], 0
    for byte in block:
        value = value << 7 | byte & 0x7F
        if byte < 0x80:
            numbers.append(value)
            value = 0
    return numbers
