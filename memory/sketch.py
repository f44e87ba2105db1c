"""Sketches: a vector as bits, so that what nearly repeats it is looked up in thousands without loading their vectors.

Each bit says on which side of a random plane a vector lies. Two vectors with the cosine c differ in about
arccos(c) / pi of their bits, whatever the embedder, so few bits apart means much alike.
"""

from __future__ import annotations

import math
import sqlite3
import threading

import numpy as np
from numpy.typing import NDArray

from agentevo.errors import LedgerError
from agentevo.memory.exact import Rows, Vector
from agentevo.memory.ledger import Ledger

_BITS = 256
_CERTAINTY = 4.0
"""So many standard deviations more bits may differ than are expected to."""
_CHECKED = 64
"""So many of the most alike are named; whoever asks compares their vectors."""
_BATCH = 2_000
_INLINE = 100
"""So many batches are sketched by whoever asks first, which is a second; more are in the background."""

Words = NDArray[np.uint64]


class Sketches:
    """The sketches of one namespace, made in the background where there are many; 40 bytes a vector."""

    def __init__(self, ledger: Ledger, ns: int, *, batch: int = _BATCH) -> None:
        self._ledger, self._ns, self._batch = ledger, ns, batch
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._clear(0)

    def _clear(self, purged: int) -> None:
        self._purged, self._seen, self._count = purged, 0, 0
        self._rows: Rows = np.empty(0, np.int64)
        self._words: Words = np.empty((_BITS // 64, 0), np.uint64)  # a line a word: whole lines are compared at once
        self._planes: NDArray[np.float32] | None = None

    def like(self, db: sqlite3.Connection, vector: Vector, at_least: float) -> list[int] | None:
        """Return rows whose cosine may reach `at_least`; None while the sketches are being made."""
        if not self._lock.acquire(blocking=False):
            return None
        try:
            if any(self._took(db) for _ in range(_INLINE)):
                return self._alike(vector, at_least)
        finally:
            self._lock.release()
        self._begin()
        return None

    def _alike(self, vector: Vector, at_least: float) -> list[int]:
        asked = self._sketched(vector[None])
        apart = np.bitwise_count(self._words[0, : self._count] ^ asked[0])  # 64 bits rule out nearly all
        close = np.flatnonzero(apart <= _most_apart(64, at_least))
        apart = apart[close] + _apart(self._words[1:, close], asked[1:])
        is_near = apart <= _most_apart(_BITS, at_least)
        close, apart = close[is_near], apart[is_near]
        if len(close) > _CHECKED:
            close = close[np.argpartition(apart, _CHECKED)[:_CHECKED]]
        return list(dict.fromkeys(self._rows[close].tolist()))

    def _begin(self) -> None:
        if self._thread is None or not self._thread.is_alive():
            self._thread = threading.Thread(target=self._make, name="agentevo-sketches", daemon=True)
            self._thread.start()

    def _make(self) -> None:
        is_done = False
        while not is_done:
            try:
                with self._ledger.reading() as db, self._lock:
                    is_done = self._took(db)
            except LedgerError:  # closed meanwhile, or damaged, which whoever reads next is told
                return

    def _took(self, db: sqlite3.Connection) -> bool:
        """Sketch a batch of what is new; True where nothing is left."""
        query = "SELECT max(seq), min(row) FROM purged WHERE seq > ? AND ns = ?"
        purged, first = db.execute(query, (self._purged, self._ns)).fetchone()
        if first == 0:  # all vectors were made anew
            self._clear(purged)
        self._purged = purged or self._purged
        query = """SELECT version, items.row, vector FROM items JOIN vectors USING (row)
            WHERE ns = ? AND version > ? AND status = 'live' ORDER BY version LIMIT ?"""
        new = db.execute(query, (self._ns, self._seen, self._batch)).fetchall()
        if new:
            matrix = np.frombuffer(b"".join(vector for _, _, vector in new), np.float32).reshape(len(new), -1)
            self._add(np.fromiter((row for _, row, _ in new), np.int64, len(new)), self._sketched(matrix))
            self._seen = new[-1][0]
        return len(new) < self._batch

    def _sketched(self, matrix: NDArray[np.float32]) -> Words:
        """Return the words of each vector, a column a vector."""
        if self._planes is None:
            self._planes = np.random.default_rng(0).standard_normal((_BITS, matrix.shape[1]), np.float32)
        # BLAS for many, none for one: its threads cost more than they bring on a busy machine.
        sides = np.einsum("ij,kj->ki", self._planes, matrix) if len(matrix) == 1 else matrix @ self._planes.T
        return np.ascontiguousarray(np.packbits(sides > 0, axis=1).view(np.uint64).T)

    def _add(self, rows: Rows, words: Words) -> None:
        if self._count + len(rows) > len(self._rows):
            self._grow(len(rows))
        self._rows[self._count : self._count + len(rows)] = rows
        self._words[:, self._count : self._count + len(rows)] = words
        self._count += len(rows)

    def _grow(self, more: int) -> None:
        """Make room, and drop what was sketched anew since: an item that was edited or restored stands here twice."""
        _, last = np.unique(self._rows[: self._count][::-1], return_index=True)
        kept = np.sort(self._count - 1 - last)
        room = (len(kept) + more) * 3 // 2
        rows, words = np.zeros(room, np.int64), np.zeros((len(self._words), room), np.uint64)
        rows[: len(kept)], words[:, : len(kept)] = self._rows[kept], self._words[:, kept]
        self._rows, self._words, self._count = rows, words, len(kept)


def _apart(words: Words, asked: Words) -> NDArray[np.uint16]:
    """Return in how many bits each column differs from the one asked for."""
    apart = np.zeros(words.shape[1], np.uint16)
    for line, word in zip(words, asked, strict=True):
        apart += np.bitwise_count(line ^ word)
    return apart


def _most_apart(bits: int, at_least: float) -> float:
    """Return by how many bits two vectors of this cosine may differ."""
    share = math.acos(at_least) / math.pi
    return bits * share + _CERTAINTY * math.sqrt(bits * share * (1 - share))
