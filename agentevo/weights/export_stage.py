"""Rows on their way out, on disk: without those that others repeat, and balanced by ability.

Repeats are found by digest, near repeats by min-hashing: rows that share a band of hashes are compared by all their
n-grams. That is done once all have come, as what is repeated may be withdrawn until then. What is held in memory does
not grow with the number of rows.
"""

from __future__ import annotations

import random
import sqlite3
from array import array
from collections.abc import Iterator, Sequence
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from agentevo.overlap import alike, digest, grams, words

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

GRAM = 5
"""So many words in a row make one n-gram of a row."""
_BANDS, _WIDTH = 8, 6
"""Rows of which 80 % is alike share a band 9 times in 10; of which half is, 1 time in 8."""
_COMPARED = 64
"""So many rows that share a band are compared; a template that thousands of rows share stays affordable."""
_AT_ONCE = 2_048

_TABLES = """
PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; PRAGMA cache_size = -4000;
CREATE TABLE bands (band INTEGER, row INTEGER, PRIMARY KEY (band, row)) WITHOUT ROWID;
CREATE TABLE rows (
    row INTEGER PRIMARY KEY, ability TEXT, lot BLOB, grams BLOB, line TEXT NOT NULL, digest BLOB, attempt TEXT,
    value REAL, correction INTEGER, synthetic INTEGER, masked INTEGER, mended INTEGER
);
CREATE INDEX rows_by_digest ON rows (digest);
CREATE INDEX rows_by_attempt ON rows (attempt);
CREATE INDEX rows_by_ability ON rows (ability, lot);
"""


class Staged(NamedTuple):
    """A row as it goes out, what it is about, and what the card counts of it."""

    line: str
    core: str
    ability: str
    attempt: str
    """The attempt whose last judgement by a person decides whether it stands; empty where none does."""
    value: float | None
    is_correction: bool
    is_synthetic: bool
    is_masked: bool
    is_mended: bool


class Totals(NamedTuple):
    """How many rows there are, how many of them are of a kind, and the mean of their values."""

    rows: int
    corrections: int
    synthetic: int
    masked: int
    mended: int
    mean: float | None


class Stage:
    """Rows in a file of their own, in the order in which they came."""

    def __init__(self, path: Path, near: float | None, seed: int) -> None:
        self._near, self._seed = near, seed
        self._rows = self._withdrawn = 0
        self._factors: tuple[NDArray[np.uint64], NDArray[np.uint64]] | None = None
        self._db = sqlite3.connect(path, isolation_level=None)
        self._db.executescript(_TABLES)
        self._db.execute("BEGIN")

    def close(self) -> None:
        self._db.close()

    def add(self, new: Staged) -> None:
        """Take a row, whether or not others say the same."""
        name = digest(new.core)
        twin = self._db.execute("SELECT grams FROM rows WHERE digest = ?", (name,)).fetchone()
        held = twin[0] if twin else self._grams(new.core)
        self._rows += 1
        lot = blake2b(f"{self._seed}/".encode() + name, digest_size=8).digest()
        row = (self._rows, new.ability, lot, held, new.line, name, *new[3:])
        self._db.execute("INSERT INTO rows VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", row)

    def withdraw(self, attempts: Sequence[str], anew: Sequence[Staged], *, by_value: bool = True) -> None:
        """Remove what was said of attempts, but for what is said anew: the last word on each stands.

        by_value: what is said anew with another value is removed, too, as it comes in its place.
        """
        stays = {(digest(one.core), one.value if by_value else None) for one in anew}
        for attempt in attempts:
            query = "SELECT row, digest, value FROM rows WHERE attempt = ?"
            for row, name, value in self._db.execute(query, (attempt,)).fetchall():
                if (name, value if by_value else None) not in stays:
                    self._db.execute("DELETE FROM rows WHERE row = ?", (row,))
                    self._withdrawn += 1

    def settle(self) -> dict[str, int]:
        """Keep, of rows that say the same or nearly, the first; return how many rows were left out, by reason."""
        first = "SELECT 1 FROM rows AS first WHERE first.digest = rows.digest AND first.row < rows.row"
        left = {"superseded": self._withdrawn}
        left["duplicate"] = self._db.execute(f"DELETE FROM rows WHERE EXISTS ({first})").rowcount
        left["near duplicate"] = 0 if self._near is None else sum(map(self._leave, range(1, self._rows + 1)))
        return left

    def balance(self, most: int) -> int:
        """Keep so many rows of each ability, drawn by lot; return how many went."""
        ranked = "SELECT row, row_number() OVER (PARTITION BY ability ORDER BY lot, row) AS place FROM rows"
        query = f"DELETE FROM rows WHERE row IN (SELECT row FROM ({ranked}) WHERE place > ?)"
        return self._db.execute(query, (most,)).rowcount

    def lines(self) -> Iterator[str]:
        """Yield the rows that are left, in order."""
        for (line,) in self._db.execute("SELECT line FROM rows ORDER BY row"):
            yield line

    def abilities(self) -> dict[str, int]:
        """Return how many rows there are of each ability."""
        return dict(self._db.execute("SELECT ability, count(*) FROM rows GROUP BY ability ORDER BY ability"))

    def totals(self) -> Totals:
        """Count the rows that are left."""
        query = (
            "SELECT total(correction), total(synthetic), total(masked), total(mended), count(*), avg(value) FROM rows"
        )
        *counts, rows, mean = self._db.execute(query).fetchone()
        corrections, synthetic, masked, mended = map(int, counts)
        return Totals(rows, corrections, synthetic, masked, mended, mean)

    # --- near repeats

    def _leave(self, row: int) -> bool:
        """Remove a row that nearly repeats an earlier one; say whether it did."""
        found = self._db.execute("SELECT grams FROM rows WHERE row = ?", (row,)).fetchone()
        if found is None or not found[0]:
            return False
        bands = self._bands(found[0])
        if self._is_repeat(found[0], bands):
            self._db.execute("DELETE FROM rows WHERE row = ?", (row,))
            return True
        self._db.executemany("INSERT OR IGNORE INTO bands VALUES (?, ?)", [(band, row) for band in bands])
        return False

    def _is_repeat(self, held: bytes, bands: Sequence[int]) -> bool:
        runs, marks = set(array("I", held)), ", ".join("?" * len(bands))
        query = f"SELECT DISTINCT row FROM bands WHERE band IN ({marks}) ORDER BY row DESC LIMIT {_COMPARED}"
        for (row,) in self._db.execute(query, bands).fetchall():
            (other,) = self._db.execute("SELECT grams FROM rows WHERE row = ?", (row,)).fetchone()
            if alike(runs, set(array("I", other))) >= (self._near or 0.0):
                return True
        return False

    def _grams(self, core: str) -> bytes:
        runs = grams(words(core, signs=True), GRAM) if self._near is not None else set()
        return array("I", sorted(runs)).tobytes()

    def _bands(self, held: bytes) -> list[int]:
        """Return hashes of which alike sets share one; the same in each process."""
        import numpy as np

        if self._factors is None:
            draw = random.Random(0)
            odd = [draw.getrandbits(64) | 1 for _ in range(_BANDS * _WIDTH)]
            self._factors = np.array(odd, np.uint64)[:, None], np.array(odd[::-1], np.uint64)[:, None]
        factors, terms = self._factors
        least = np.full(_BANDS * _WIDTH, np.iinfo(np.uint64).max, np.uint64)
        every = np.frombuffer(held, np.uintc).astype(np.uint64)
        for start in range(0, len(every), _AT_ONCE):
            hashed = (every[start : start + _AT_ONCE] * factors + terms) >> np.uint64(24)
            least = np.minimum(least, hashed.min(axis=1))
        parts = least.reshape(_BANDS, _WIDTH)
        return [
            int.from_bytes(blake2b(part.tobytes(), digest_size=8, salt=bytes([n])).digest(), "big", signed=True)
            for n, part in enumerate(parts)
        ]
