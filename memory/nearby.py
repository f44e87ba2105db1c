"""Search by vector in a committed namespace: exact while it is small or a filter narrow, else through the index."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from agentevo.memory.exact import Columns, Scored, Shelf, Vector, likeness, likenesses, nearest
from agentevo.memory.index import Index
from agentevo.memory.ledger import Ledger
from agentevo.memory.narrow import Filter, Masks
from agentevo.memory.sketch import Sketches
from agentevo.memory.where import to_sql

T = TypeVar("T")

_FETCHED = 2_000
"""So many vectors are read one by one rather than loading all of them; so few items are compared one by one."""
COMPARED = 256
"""So many texts inserted at once are each compared with what is here, to link what repeats; larger loads are not."""
_NARROW = 3
"""So many narrow questions read the vectors they need; from then on all are kept in memory."""
_EARLY = 3
"""So many inserts look for what they repeat as recall does; from then on by sketches, which take a while to make."""
_FOLLOW = 1_000
"""So many changes may wait before the index is brought up to date in the background."""
_SETTLED = 50
"""After so many changes of its own a process looks whether that many wait, and after its first."""


class Nearby:
    """A namespace's arrays, sketches and index, and which of them answers."""

    def __init__(self, ledger: Ledger, index: Index | None, ns: int, collection: str, exact_limit: int) -> None:
        self._ledger, self._index, self._ns, self._collection = ledger, index, ns, collection
        self._exact_limit = exact_limit
        self.shelf = Shelf(ns)
        self._masks = Masks(ns)
        self._sketches = Sketches(ledger, ns)
        self._narrow = self._looked_up = self._followed = 0
        self._unsettled = _SETTLED
        self._is_small = True

    def near(self, vector: Vector, k: int, only: Filter) -> Scored:
        """Return the k live items nearest to the vector, by cosine."""
        with self._ledger.reading() as db:
            columns = self.shelf.columns(db)
            passing = columns.eligible(only.kinds, only.now)
            if only.node is not None:
                passing = passing & self._masks.passing(db, columns, only.node)
            count = int(np.count_nonzero(passing))
            if self._index is not None and count > self._exact_limit:
                found = self._from_index(self._index, db, vector, k, columns, passing, count)
                if found is not None:
                    return found
            return self._exactly(db, vector, k, columns, passing, count)

    # --- exactly

    def _exactly(
        self, db: sqlite3.Connection, vector: Vector, k: int, columns: Columns, passing: NDArray[np.bool_], count: int
    ) -> Scored:
        if count <= _FETCHED and self._rather_fetches(columns):
            at = np.flatnonzero(passing)
            wanted = columns.rows[at].tolist()
            found = likenesses(fetched(db, wanted), vector)
            return nearest(columns, at, np.array([found.get(row, 0.0) for row in wanted], np.float32), k)
        now, matrix = self.shelf.vectors(db, len(vector))
        if len(now.rows) != len(passing):  # the purge of another process shortened the arrays meanwhile
            passing = np.isin(now.rows, columns.rows[passing])
        at = np.flatnonzero(passing)
        scores = likeness(matrix[at], vector) if count < len(now.rows) // 4 else likeness(matrix, vector)[at]
        return nearest(now, at, scores, k)

    def _rather_fetches(self, columns: Columns) -> bool:
        """Say whether a few vectors are read for this question alone: not once all are here, or it keeps happening."""
        self._narrow += 1
        return not self.shelf.holds_vectors and len(columns.rows) > self._exact_limit and self._narrow <= _NARROW

    # --- through the index

    def _from_index(
        self,
        index: Index,
        db: sqlite3.Connection,
        vector: Vector,
        k: int,
        columns: Columns,
        passing: NDArray[np.bool_],
        count: int,
    ) -> Scored | None:
        """Ask the index for more than k, drop what does not pass, and add what it has not seen yet."""
        seen = index.seen(self._ns, self._collection)
        if seen is None:
            return None
        query = "SELECT row FROM items WHERE ns = ? AND version > ? LIMIT ?"
        waiting = [row for (row,) in db.execute(query, (self._ns, seen, self._exact_limit + 1))]
        if len(waiting) > _FOLLOW:
            self.follow()
        if len(waiting) > self._exact_limit:
            return None
        share = max(1.0, len(columns.rows) / count)
        asked = min(len(columns.rows), k + 5 if share < 1.1 else int(k * share * 2) + 5)
        found = index.query(self._ns, self._collection, vector, asked)
        if found is None:
            return None
        kept = _kept(found, set(waiting), columns, passing)
        fresh = _passing_rows(waiting, columns, passing)
        if len(kept) < min(k, count - len(fresh)):
            return None
        if fresh:
            kept += likenesses(fetched(db, fresh), vector).items()
        kept.sort()
        at = columns.positions(np.array([row for row, _ in kept], np.int64))
        return nearest(columns, at, np.array([score for _, score in kept], np.float64), k)

    def follow(self) -> None:
        """Let the index catch up in the background where there is enough for it to do."""
        if self._index is not None:
            self._index.follow(self._ledger, self._ns, self._collection)

    def settle(self, changes: int) -> None:
        """Start the index on its way when a large namespace has changed a lot; `changes` are this process's own."""
        self._unsettled += changes
        if self._unsettled < _SETTLED:  # to ask after every one costs each insert a twentieth of its time
            return
        self._unsettled = 0
        with self._ledger.reading() as db:
            latest = db.execute("SELECT max(version) FROM items WHERE ns = ?", (self._ns,)).fetchone()[0] or 0
            if latest - self._followed <= _FOLLOW:
                return
            self._followed = latest
            is_large = _has_more(db, self._ns, self._exact_limit)
        if is_large:
            self.follow()

    # --- what nearly repeats what is here

    def nearest_each(self, vectors: Sequence[Vector], at_least: float, only: Filter) -> list[tuple[int, float] | None]:
        """Return the nearest item of each vector, if it is as near as that; None for all where there are too many."""
        if len(vectors) > COMPARED:
            return [None] * len(vectors)
        with self._ledger.reading() as db:
            return [self._nearest(db, vector, at_least, only) for vector in vectors]

    def _nearest(
        self, db: sqlite3.Connection, vector: Vector, at_least: float, only: Filter
    ) -> tuple[int, float] | None:
        alike = self._sketched(db, vector, at_least)
        if alike is None:
            best = self.near(vector, 1, only)
        else:
            found = likenesses(fetched(db, alike), vector)
            rows = live(db, self._ns, [row for row in alike if row in found], only) if found else []
            best = sorted(((row, found[row]) for row in rows), key=lambda pair: -pair[1])
        return best[0] if best and best[0][1] >= at_least else None

    def _sketched(self, db: sqlite3.Connection, vector: Vector, at_least: float) -> list[int] | None:
        self._is_small = self._is_small and not _has_more(db, self._ns, _FETCHED)
        if self._is_small:
            return None
        self._looked_up += 1
        return self._sketches.like(db, vector, at_least) if self._looked_up > _EARLY else None


def _kept(found: Scored, fresh: set[int], columns: Columns, passing: NDArray[np.bool_]) -> Scored:
    """Return what of this is as the index knows it, and passes."""
    if not found:
        return []
    asked = np.fromiter((row for row, _ in found), np.int64, len(found))
    at = np.minimum(np.searchsorted(columns.rows, asked), len(columns.rows) - 1)
    passes = ((columns.rows[at] == asked) & passing[at]).tolist()
    return [pair for pair, is_in in zip(found, passes, strict=True) if is_in and pair[0] not in fresh]


def _passing_rows(rows: Sequence[int], columns: Columns, passing: NDArray[np.bool_]) -> list[int]:
    if not rows:
        return []
    at = columns.positions(np.array(sorted(rows), np.int64))
    passed: list[int] = columns.rows[at[passing[at]]].tolist()
    return passed


def _has_more(db: sqlite3.Connection, ns: int, count: int) -> bool:
    found = db.execute("SELECT 1 FROM items INDEXED BY items_by_version WHERE ns = ? LIMIT 1 OFFSET ?", (ns, count))
    return found.fetchone() is not None


def fetched(db: sqlite3.Connection, wanted: Sequence[int]) -> dict[int, Vector]:
    """Return the vectors of these rows, as far as they have any."""
    found: dict[int, Vector] = {}
    for chunk in chunks(wanted):
        query = f"SELECT row, vector FROM vectors WHERE row IN ({marks(chunk)})"
        found.update((row, np.frombuffer(blob, np.float32)) for row, blob in db.execute(query, chunk))
    return found


def live(db: sqlite3.Connection, ns: int, rows: Sequence[int], only: Filter) -> list[int]:
    """Return those of these rows that are live and pass, newest first."""
    condition, parameters = to_sql(only.node, ns) if only.node else ("1", [])
    # `+ns`: else all rows of the namespace are gone through rather than these few.
    query = f"""SELECT row FROM items WHERE row IN ({marks(rows)}) AND +ns = ? AND status = 'live'
        AND kind IN ({marks(only.kinds)}) AND (expires_at IS NULL OR expires_at > ?) AND {condition}
        ORDER BY created_at DESC, row"""
    return [row for (row,) in db.execute(query, (*rows, ns, *only.kinds, only.now, *parameters))]


def marks(values: Sequence[object]) -> str:
    """Return a placeholder for each value."""
    return ", ".join("?" * len(values))


def chunks(values: Sequence[T], size: int = 500) -> Iterator[Sequence[T]]:
    """Yield values in parts that one statement takes."""
    for start in range(0, len(values), size):
        yield values[start : start + size]
