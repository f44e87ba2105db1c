"""What recall reads: one namespace of a ledger with its arrays and its index."""

from __future__ import annotations

import json
import math
import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from agentevo.memory import lexical
from agentevo.memory.exact import Columns, Shelf, Vector, likeness, likenesses, nearest
from agentevo.memory.index import Index, collection_name
from agentevo.memory.ledger import Ledger
from agentevo.memory.narrow import Masks
from agentevo.memory.rows import SELECT, digest, to_item
from agentevo.memory.where import Node, to_sql
from agentevo.types import RECALLED_KINDS, Item, Status

T = TypeVar("T")

Scored = list[tuple[int, float]]

_FETCHED = 2_000
"""So many vectors are read one by one rather than loading all of them."""
_COMPARED = 256
"""So many texts inserted at once are each compared with what is here, to link what repeats; larger loads are not."""
_NARROW = 3
"""So many narrow questions read the vectors they need; from then on all are kept in memory."""
_FOLLOW = 1_000
"""So many changes may wait before the index is brought up to date in the background."""


@dataclass(frozen=True, slots=True)
class Frequencies:
    """What BM25 needs to know of all texts: how many hold each stem, how many there are, how many words they have."""

    texts_with: Mapping[str, int]
    texts: int
    words: int


@dataclass(frozen=True, slots=True)
class Filter:
    """Which items count: live ones of these kinds that have not expired, and pass the tree."""

    kinds: Sequence[str] = RECALLED_KINDS
    node: Node | None = None
    now: float = 0.0


@dataclass(frozen=True, slots=True)
class Found:
    """An item with the row it stands in and the version it has."""

    row: int
    version: int
    item: Item


class Source(Protocol):
    """What recall needs of a memory or a draft; rows are numbers that stand for items, negative in drafts."""

    def near(self, vector: Vector, k: int, only: Filter) -> Scored: ...

    def said(self, asked: Sequence[str], k: int, only: Filter) -> Scored: ...

    def frequencies(self, stems: Sequence[str]) -> Frequencies: ...

    def cosines(self, vector: Vector, wanted: Sequence[int]) -> dict[int, float]: ...

    def vectors(self, wanted: Sequence[int]) -> dict[int, Vector]: ...

    def items(self, wanted: Sequence[int]) -> dict[int, Item]: ...

    def rows(self, ids: Sequence[str]) -> dict[str, int]: ...

    def find(self, id: str) -> tuple[Item, int] | None: ...

    def found(self, ids: Sequence[str]) -> dict[str, Found]: ...

    def twin(self, kind: str, text: str) -> Item | None: ...

    def credit(self, key: str, id: str) -> Mapping[str, float] | None: ...

    def nearest_each(self, vectors: Sequence[Vector], only: Filter) -> list[tuple[int, float] | None]: ...

    def listed(
        self, kinds: Sequence[str], statuses: Sequence[Status], node: Node | None, order: str, limit: int | None
    ) -> list[Item]: ...


class Stored:
    """A namespace as it is committed: exact search while it is small or a filter narrow, else the index."""

    def __init__(self, ledger: Ledger, index: Index | None, namespace: str, *, exact_limit: int) -> None:
        self.ledger, self.index, self.namespace, self.exact_limit = ledger, index, namespace, exact_limit
        self.ns = ledger.ns(namespace)
        self.collection = collection_name(ledger.meta("id"), namespace)
        self.shelf = Shelf(self.ns)
        self._masks = Masks(self.ns)
        self._narrow = 0
        self._followed = 0

    def latest(self) -> int:
        """Return the number of the latest change to anything in the ledger."""
        with self.ledger.reading() as db:
            row = db.execute("SELECT seq FROM sqlite_sequence WHERE name = 'ops'").fetchone()
        return int(row[0]) if row else 0

    # --- by vector

    def near(self, vector: Vector, k: int, only: Filter) -> Scored:
        """Return the k live items nearest to the vector, by cosine."""
        with self.ledger.reading() as db:
            columns = self.shelf.columns(db)
            passing = columns.eligible(only.kinds, only.now)
            if only.node is not None:
                passing = passing & self._masks.passing(db, columns, only.node)
            count = int(passing.sum())
            if self._asks_index(columns, count):
                found = self._from_index(db, vector, k, columns, passing, count)
                if found is not None:
                    return found
            return self._exactly(db, vector, k, columns, passing, count)

    def _asks_index(self, columns: Columns, count: int) -> bool:
        return self.index is not None and count > self.exact_limit and len(columns.rows) > self.exact_limit

    def _exactly(
        self, db: sqlite3.Connection, vector: Vector, k: int, columns: Columns, passing: NDArray[np.bool_], count: int
    ) -> Scored:
        if count <= _FETCHED and self._rather_fetches(columns):
            wanted = columns.rows[passing]
            found = likenesses(self._fetched(db, wanted.tolist()), vector)
            few = [found.get(row, 0.0) for row in wanted.tolist()]
            return nearest(wanted, np.array(few, np.float32), k)
        now, matrix = self.shelf.vectors(db, len(vector))
        if len(now.rows) != len(passing):  # the purge of another process shortened the arrays meanwhile
            passing = np.isin(now.rows, columns.rows[passing])
        if count < len(now.rows) // 4:
            return nearest(now.rows[passing], likeness(matrix[passing], vector), k)
        scores = likeness(matrix, vector)
        return nearest(now.rows[passing], scores[passing], k) if count < len(scores) else nearest(now.rows, scores, k)

    def _rather_fetches(self, columns: Columns) -> bool:
        """Say whether a few vectors are read for this question alone: not once all are here, or it keeps happening."""
        self._narrow += 1
        return not self.shelf.holds_vectors and len(columns.rows) > self.exact_limit and self._narrow <= _NARROW

    def _fetched(self, db: sqlite3.Connection, wanted: Sequence[int]) -> dict[int, Vector]:
        found: dict[int, Vector] = {}
        for chunk in _chunks(wanted):
            query = f"SELECT row, vector FROM vectors WHERE row IN ({_marks(chunk)})"
            found.update((row, np.frombuffer(blob, np.float32)) for row, blob in db.execute(query, chunk))
        return found

    def _from_index(
        self, db: sqlite3.Connection, vector: Vector, k: int, columns: Columns, passing: NDArray[np.bool_], count: int
    ) -> Scored | None:
        """Ask the index for more than k, drop what does not pass, and add what it has not seen yet."""
        assert self.index is not None
        seen = self.index.seen(self.ns, self.collection)
        if seen is None:
            return None
        waiting = db.execute(
            "SELECT row FROM items WHERE ns = ? AND version > ? LIMIT ?", (self.ns, seen, self.exact_limit + 1)
        ).fetchall()
        if len(waiting) > _FOLLOW:
            self.follow()
        if len(waiting) > self.exact_limit:
            return None
        share = max(1.0, len(columns.rows) / count)
        asked = min(len(columns.rows), k + 5 if share < 1.1 else int(k * share * 2) + 5)
        found = self.index.query(self.ns, self.collection, vector, asked)
        if found is None:
            return None
        fresh = {row for (row,) in waiting}
        rest = columns.positions(np.array(sorted(fresh), np.int64))
        wanted = columns.rows[rest[passing[rest]]].tolist()
        kept = self._kept(found, fresh, columns, passing)
        if len(kept) < min(k, count - len(wanted)):
            return None
        kept += likenesses(self._fetched(db, wanted), vector).items()
        return sorted(kept, key=lambda pair: (-pair[1], pair[0]))[:k]

    def _kept(self, found: Scored, fresh: set[int], columns: Columns, passing: NDArray[np.bool_]) -> Scored:
        if not found:
            return []
        at = np.searchsorted(columns.rows, [row for row, _ in found])
        at = np.minimum(at, len(columns.rows) - 1)
        return [
            pair
            for pair, i in zip(found, at.tolist(), strict=True)
            if columns.rows[i] == pair[0] and passing[i] and pair[0] not in fresh
        ]

    def follow(self) -> None:
        """Let the index catch up in the background where there is enough for it to do."""
        if self.index is not None:
            self.index.follow(self.ledger, self.ns, self.collection)

    def catch_up(self) -> bool:
        """Bring the index up to date before returning; False where another process has it."""
        return self.index is not None and self.index.catch_up(self.ledger, self.ns, self.collection)

    def settle(self) -> None:
        """Start the index on its way when a large namespace has changed a lot."""
        if self.index is None:
            return
        with self.ledger.reading() as db:
            columns = self.shelf.columns(db)
        if len(columns.rows) > self.exact_limit and columns.version - self._followed > _FOLLOW:
            self._followed = columns.version
            self.follow()

    def cosines(self, vector: Vector, wanted: Sequence[int]) -> dict[int, float]:
        """Return how near each of these rows is."""
        return likenesses(self.vectors(wanted), vector)

    def vectors(self, wanted: Sequence[int]) -> dict[int, Vector]:
        """Return the vectors of these rows."""
        with self.ledger.reading() as db:
            return self._fetched(db, wanted)

    def nearest_each(self, vectors: Sequence[Vector], only: Filter) -> list[tuple[int, float] | None]:
        """Return the nearest item of each vector; None for all where there are too many to compare."""
        if len(vectors) > _COMPARED:
            return [None] * len(vectors)
        return [next(iter(self.near(vector, 1, only)), None) for vector in vectors]

    # --- by words

    def said(self, asked: Sequence[str], k: int, only: Filter) -> Scored:
        """Return the k live items whose words match best, by BM25; larger is better."""
        if not asked:
            return []
        condition, parameters = to_sql(only.node, self.ns) if only.node else ("1", [])
        with self.ledger.reading() as db:

            def passing(found: Sequence[int]) -> set[int]:
                query = f"""SELECT row FROM items WHERE row IN ({_marks(found)}) AND ns = ? AND status = 'live'
                    AND kind IN ({_marks(only.kinds)}) AND (expires_at IS NULL OR expires_at > ?) AND {condition}"""
                bound = (*found, self.ns, *only.kinds, only.now, *parameters)
                return {row for (row,) in db.execute(query, bound)}

            return lexical.best(db, self.ns, asked, k, passing)

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
            for chunk in _chunks(wanted):
                query = f"SELECT row, {SELECT} FROM items WHERE row IN ({_marks(chunk)})"
                found.update((row[0], to_item(row[1:], self.namespace)) for row in db.execute(query, chunk))
        return found

    def rows(self, ids: Sequence[str]) -> dict[str, int]:
        """Return the rows of these ids; an id that is not here is missing."""
        found: dict[str, int] = {}
        with self.ledger.reading() as db:
            for chunk in _chunks(ids):
                query = f"SELECT id, row FROM items WHERE ns = ? AND id IN ({_marks(chunk)})"
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
            for chunk in _chunks(ids):
                query = f"SELECT row, version, {SELECT} FROM items WHERE ns = ? AND id IN ({_marks(chunk)})"
                for row in db.execute(query, (self.ns, *chunk)):
                    item = to_item(row[2:], self.namespace)
                    found[item.id] = Found(row[0], row[1], item)
        return found

    def twin(self, kind: str, text: str) -> Item | None:
        """Return the item that says the very same and is not forgotten, or None."""
        query = f"""SELECT {SELECT} FROM items WHERE ns = ? AND digest = ? AND status != 'forgotten'
            ORDER BY row LIMIT 1"""
        with self.ledger.reading() as db:
            row = db.execute(query, (self.ns, digest(kind, text))).fetchone()
        return to_item(row, self.namespace) if row else None

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
        query = f"""SELECT {SELECT} FROM items WHERE ns = ? AND kind IN ({_marks(kinds)})
            AND status IN ({_marks(statuses)}) AND {condition} ORDER BY {ORDERS[order]} LIMIT ?"""
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

SORTS: Mapping[str, Callable[[Item], Any]] = {
    "newest": lambda item: -item.created_at,
    "oldest": lambda item: item.created_at,
    "used": lambda item: -(item.last_used_at or -math.inf),
    "uses": lambda item: -item.uses,
    "utility": lambda item: -item.utility,
    "importance": lambda item: -item.importance,
    "strength": lambda item: -item.strength,
}
"""The same orders for items in hand."""


def _marks(values: Sequence[object]) -> str:
    return ", ".join("?" * len(values))


def _chunks(values: Sequence[T], size: int = 500) -> Iterator[Sequence[T]]:
    for start in range(0, len(values), size):
        yield values[start : start + size]


def _varints(block: bytes) -> list[int]:
    """Return the numbers of the full-text table's own totals: seven bits a byte, the high bit says that more follow."""
    numbers, value = [], 0
    for byte in block:
        value = value << 7 | byte & 0x7F
        if byte < 0x80:
            numbers.append(value)
            value = 0
    return numbers
