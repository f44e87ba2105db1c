"""Reading a damaged ledger: around what cannot be read, and without the indexes."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

T = TypeVar("T")

UNREADABLE = (sqlite3.DatabaseError, ValueError, TypeError, LookupError, AttributeError)
"""What reading a damaged row may raise: its columns may hold anything."""


def namespaces(db: sqlite3.Connection) -> dict[str, int]:
    """Return the number of each namespace; a table and its index both have it."""
    try:
        return dict(db.execute("SELECT name, ns FROM namespaces ORDER BY name"))
    except sqlite3.DatabaseError:
        return dict(db.execute("SELECT name, ns FROM namespaces NOT INDEXED"))


def last_row(db: sqlite3.Connection, table: str, row: str) -> int:
    """Return the number of a table's last row, or a higher one; raise sqlite3.DatabaseError where nothing tells it."""
    pages, size = (db.execute(f"PRAGMA {name}").fetchone()[0] for name in ("page_count", "page_size"))
    failed: sqlite3.DatabaseError | None = None
    for query in (
        f"SELECT max({row}) FROM {table} NOT INDEXED",
        f"SELECT seq FROM sqlite_sequence WHERE name = '{table}'",
        f"SELECT max(+{row}) FROM {table}",  # reads an index from end to end
    ):
        try:
            (found,) = db.execute(query).fetchone() or (None,)
        except sqlite3.DatabaseError as error:
            failed = error
            continue
        if isinstance(found, int) and 0 < found <= pages * size:  # each row there ever was has left a byte
            return found
    if failed is not None:
        raise failed
    return 0


def around(read: Callable[[int, int], list[T]], low: int, high: int, what: str, lost: list[str]) -> Iterator[T]:
    """Yield what is read of these rows; around damage they are halved until only what is damaged is left out."""
    try:
        found = read(low, high)
    except UNREADABLE:
        if low == high:
            lost.append(f"{what} in row {low}")
            return
        middle = (low + high) // 2
        yield from around(read, low, middle, what, lost)
        yield from around(read, middle + 1, high, what, lost)
    else:
        yield from found


def numbered(
    db: sqlite3.Connection,
    table: str,
    row: str,
    columns: Sequence[str],
    make: Callable[[Sequence[Any]], T | None],
    what: str,
    lost: list[str],
) -> Iterator[T]:
    """Yield what is made of a table's rows by their numbers, as far as they can be read; None is passed over."""
    query = f"SELECT {', '.join(columns)} FROM {table} NOT INDEXED WHERE {row} BETWEEN ? AND ? ORDER BY {row}"

    def read(low: int, high: int) -> list[T]:
        return [one for found in db.execute(query, (low, high)) if (one := make(found)) is not None]

    try:
        last = last_row(db, table, row)
    except sqlite3.DatabaseError:
        lost.append(f"every {what}")
    else:
        yield from around(read, 1, last, what, lost)


def from_both_ends(read: Callable[[str], Iterator[str]], what: str, lost: list[str]) -> Iterator[str]:
    """Yield what can be read of rows without numbers: from the first on (ASC), and from the last back (DESC)."""
    ends: dict[str, list[str]] = {"ASC": [], "DESC": []}
    for order, end in ends.items():
        with contextlib.suppress(*UNREADABLE):
            end.extend(read(order))
    lost.append(f"some {what}s")
    yield from dict.fromkeys([*ends["ASC"], *reversed(ends["DESC"])])
