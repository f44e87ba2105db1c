"""Exact search: a namespace's rows and vectors as arrays, kept in step with the ledger by version."""

from __future__ import annotations

import math
import sqlite3
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, get_args

import numpy as np
from numpy.typing import NDArray

from agentevo.types import Kind

Rows = NDArray[np.int64]
Vector = NDArray[np.float32]
Scored = list[tuple[int, float]]

KIND_CODES: dict[str, int] = {kind: code for code, kind in enumerate(get_args(Kind))}
_NO_KIND = 255
"""What stands in a damaged ledger, and is never asked for."""
_CHUNK = 20_000


@dataclass(frozen=True, slots=True)
class Columns:
    """A namespace as it was at one moment: parallel arrays, sorted by row."""

    rows: Rows
    kinds: NDArray[np.uint8]
    live: NDArray[np.bool_]
    expires: NDArray[np.float64]
    created: NDArray[np.float64]
    version: int
    kept: dict[tuple[str, ...], tuple[NDArray[np.bool_], float]] = field(default_factory=dict)

    def eligible(self, kinds: Sequence[str], now: float) -> NDArray[np.bool_]:
        """Return which rows are live, of these kinds, and not expired; not to be written to."""
        key = tuple(kinds)
        mask, ends = self.kept.get(key, (None, 0.0))
        if mask is None:
            wanted = np.zeros(256, dtype=bool)
            wanted[[KIND_CODES[kind] for kind in kinds]] = True
            mask = self.live & wanted[self.kinds]
            ends = float(self.expires[mask].min()) if mask.any() else math.inf
            self.kept[key] = (mask, ends)
        return mask if now < ends else mask & (self.expires > now)

    def positions(self, rows: Rows) -> NDArray[np.intp]:
        """Return where these rows stand; rows that are not here are left out."""
        if not len(self.rows):
            return np.empty(0, dtype=np.intp)
        found = np.minimum(np.searchsorted(self.rows, rows), len(self.rows) - 1)
        here: NDArray[np.intp] = found[self.rows[found] == rows]
        return here


_NOTHING = Columns(
    np.empty(0, np.int64), np.empty(0, np.uint8), np.empty(0, np.bool_), np.empty(0), np.empty(0), version=0
)


class Shelf:
    """The arrays of one namespace; `columns` brings them up to date before it answers."""

    def __init__(self, ns: int) -> None:
        self.ns = ns
        self._lock = threading.Lock()
        self._columns = _NOTHING
        self._purged = 0
        self._vectors: NDArray[np.float32] | None = None
        self._vectors_version = 0

    @property
    def holds_vectors(self) -> bool:
        return self._vectors is not None

    @property
    def length(self) -> int:
        """How many items it held when it was asked last."""
        return len(self._columns.rows)

    def columns(self, db: sqlite3.Connection) -> Columns:
        """Return the namespace as the ledger has it now."""
        with self._lock:
            return self._refreshed(db)

    def _refreshed(self, db: sqlite3.Connection) -> Columns:
        query = """SELECT (SELECT max(seq) FROM purged WHERE seq > ? AND ns = ?),
            EXISTS (SELECT 1 FROM items WHERE ns = ? AND version > ?)"""
        asked = (self._purged, self.ns, self.ns, self._columns.version)
        purged, has_changed = db.execute(query, asked).fetchone()
        if purged is not None:
            self._purged, self._columns, self._vectors, self._vectors_version = purged, _NOTHING, None, 0
        if has_changed or purged is not None:
            query = "SELECT row, version, kind, status, expires_at, created_at FROM items WHERE ns = ? AND version > ?"
            changed = db.execute(query, (self.ns, self._columns.version)).fetchall()
            self._columns = _merged(self._columns, changed) if changed else self._columns
        return self._columns

    def vectors(self, db: sqlite3.Connection, dimensions: int) -> tuple[Columns, NDArray[np.float32]]:
        """Return the columns and a matrix with one row for each; an item without a vector has zeros.

        They are as `columns` left them, which whoever asks has called at this moment already.
        """
        with self._lock:
            columns = self._columns
            if self._vectors is not None and self._vectors.shape[1] != dimensions:
                self._vectors, self._vectors_version = None, 0
            if self._vectors is None or self._vectors_version < columns.version:
                self._vectors = self._filled(db, columns, dimensions)
                # This connection may see an older moment than the one that brought the columns here.
                seen = db.execute("SELECT max(version) FROM items WHERE ns = ?", (self.ns,)).fetchone()[0] or 0
                self._vectors_version = min(columns.version, seen)
            return columns, self._vectors[: len(columns.rows)]

    def _filled(self, db: sqlite3.Connection, columns: Columns, dimensions: int) -> NDArray[np.float32]:
        matrix = self._room(len(columns.rows), dimensions)
        query = """SELECT vectors.row, vector FROM items CROSS JOIN vectors ON vectors.row = items.row
            WHERE ns = ? AND version > ? AND version <= ?"""
        cursor = db.execute(query, (self.ns, self._vectors_version, columns.version))
        while chunk := cursor.fetchmany(_CHUNK):
            rows = np.fromiter((row for row, _ in chunk), np.int64, len(chunk))
            new = np.frombuffer(b"".join(vector for _, vector in chunk), np.float32)
            matrix[np.searchsorted(columns.rows, rows)] = new.reshape(len(chunk), dimensions)
        return matrix

    def _room(self, n: int, dimensions: int) -> NDArray[np.float32]:
        """Return a matrix with room for n rows that holds what was loaded; rows only ever come at the end."""
        old = self._vectors
        if old is not None and len(old) >= n and old.shape[1] == dimensions:
            return old
        grown = np.zeros((max(n, 64, 0 if old is None else len(old) * 3 // 2), dimensions), np.float32)
        if old is not None:
            grown[: len(old)] = old
        return grown


def _merged(columns: Columns, changed: list[tuple[Any, ...]]) -> Columns:
    """Return new columns with the changed rows put in; arrays that readers hold are left alone."""
    changed.sort()
    rows = np.array([c[0] for c in changed], np.int64)
    kinds = np.array([KIND_CODES.get(c[2], _NO_KIND) for c in changed], np.uint8)
    live = np.array([c[3] == "live" for c in changed], np.bool_)
    expires = np.array([np.inf if c[4] is None else c[4] for c in changed], np.float64)
    created = np.array([c[5] for c in changed], np.float64)
    version = max(c[1] for c in changed)
    last = columns.rows[-1] if len(columns.rows) else -1
    new = rows > last
    at = np.searchsorted(columns.rows, rows[~new])
    merged = []
    pairs = ((columns.kinds, kinds), (columns.live, live), (columns.expires, expires), (columns.created, created))
    for old, fresh in pairs:
        kept = old.copy()
        kept[at] = fresh[~new]
        merged.append(np.concatenate([kept, fresh[new]]))
    return Columns(np.concatenate([columns.rows, rows[new]]), merged[0], merged[1], merged[2], merged[3], version)


def likeness(matrix: NDArray[np.float32], vector: Vector) -> NDArray[np.float32]:
    """Return the cosine of each row; not by BLAS, whose threads cost more than they bring on a busy machine."""
    scores: NDArray[np.float32] = np.einsum("ij,j->i", matrix, vector)
    return scores


def likenesses(vectors: Mapping[int, Vector], vector: Vector) -> dict[int, float]:
    """Return the cosine of each of these rows, to the last bit what `likeness` says of it in a matrix."""
    if not vectors:
        return {}
    scores = likeness(np.stack(list(vectors.values())), vector)
    return dict(zip(vectors, map(float, scores), strict=True))


def nearest(columns: Columns, at: NDArray[np.intp], scores: NDArray[np.floating[Any]], k: int) -> Scored:
    """Return the k best of the rows at these places, which ascend, best first; of equals first the newer, then the
    one inserted first.
    """
    if k <= 0:
        return []
    best = _leading(columns.created, at, scores, k) if k < len(scores) else np.arange(len(scores))
    order = best[np.lexsort((at[best], -columns.created[at[best]], -scores[best]))]
    return [(int(columns.rows[at[i]]), float(scores[i])) for i in order]


def _leading(
    created: NDArray[np.float64], at: NDArray[np.intp], scores: NDArray[np.floating[Any]], k: int
) -> NDArray[np.intp]:
    """Return where the k best scores stand; of those equal to the last of them, the newest."""
    best = np.argpartition(-scores, k - 1)[:k]
    last = scores[best].min()
    better = best[scores[best] > last]
    alike = np.flatnonzero(scores == last)
    if len(alike) > k - len(better):
        alike = alike[np.argsort(-created[at[alike]], kind="stable")]
    return np.concatenate([better, alike[: k - len(better)]])
