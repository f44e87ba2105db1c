"""Is the memory whole? The ledger against itself, and the index against the ledger."""

from __future__ import annotations

import itertools
import json
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from agentevo.memory import rows
from agentevo.memory.ledger import Progress, silent
from agentevo.memory.source import Stored
from agentevo.memory.words import words


@dataclass(frozen=True, slots=True)
class Verification:
    """What was checked and what was wrong; `waiting` items are not in the index yet, which is no fault."""

    ok: bool
    problems: tuple[str, ...]
    items: int
    vectors: int
    waiting: int


@dataclass(frozen=True, slots=True)
class Stats:
    """How much there is of what."""

    live: int
    quarantined: int
    forgotten: int
    pinned: int
    kinds: dict[str, int]
    sources: dict[str, int]
    experiences: int
    transactions: int
    indexed: int
    size_bytes: int
    embedder: str
    dimensions: int | None


def verify(stored: Stored, progress: Progress = silent) -> Verification:
    """Check a namespace; every problem is a line."""
    problems: list[str] = []
    with stored.ledger.reading() as db:
        damage = [row[0] for row in db.execute("PRAGMA quick_check(5)")]
        problems += [f"ledger: {line}" for line in damage if line != "ok"]
        items, vectors = 0, 0
        count = db.execute("SELECT count(*) FROM items WHERE ns = ?", (stored.ns,)).fetchone()[0]
        query = f"""SELECT items.row, items.digest, vectors.row IS NOT NULL, length(vectors.vector), {rows.SELECT}
            FROM items LEFT JOIN vectors ON vectors.row = items.row WHERE ns = ? ORDER BY items.row"""
        dimensions = stored.ledger.meta("dimensions")
        searched = _searched_by(db, stored)
        for row, digest, has_vector, length, *columns in db.execute(query, (stored.ns,)):
            items += 1
            progress("items", items, count)
            vectors += has_vector
            problems += _item_problems(db, stored, row, digest, columns, searched(row))
            if has_vector and dimensions is not None and length != 4 * int(dimensions):
                problems.append(f"item {columns[0]}: its vector has {length // 4} dimensions, not {dimensions}")
        if vectors < items:
            problems.append(f"{items - vectors} items have no vector; run `agentevo memory reindex`")
        problems += _strays(db, stored)
    waiting, lost = _index_state(stored)
    problems += lost
    return Verification(not problems, tuple(problems), items, vectors, waiting)


Fields: TypeAlias = set[tuple[object, ...]]


def _searched_by(db: sqlite3.Connection, stored: Stored) -> Callable[[int], Fields]:
    """Return what tells by which metadata a row is searched; to be asked of rows as they ascend."""
    query = "SELECT row, key, value FROM fields WHERE ns = ? ORDER BY row"
    groups = itertools.groupby(db.execute(query, (stored.ns,)), key=lambda field: field[0])
    ahead: list[tuple[int, Fields]] = []

    def of(row: int) -> Fields:
        while not ahead or ahead[0][0] < row:
            found, fields = next(groups, (_NO_MORE, ()))
            ahead[:] = [(found, {field[1:] for field in fields})]
        return ahead[0][1] if ahead[0][0] == row else set()

    return of


_NO_MORE = 2**63


def _item_problems(
    db: sqlite3.Connection, stored: Stored, row: int, digest: bytes, columns: list[object], searched: Fields
) -> list[str]:
    try:
        item = rows.to_item(columns, stored.namespace)
        item.model_validate(item.model_dump())
    except ValueError as error:
        return [f"item {columns[0]}: cannot be read ({error})"]
    problems = []
    if digest != rows.digest(item.kind, item.text):
        problems.append(f"item {item.id}: its text is not the text that was written")
    length = db.execute("SELECT sz FROM words_docsize WHERE id = ?", (row,)).fetchone()
    if length is None or bool(length[0].strip(b"\0")) != bool(words(item.key_text or item.text)):
        problems.append(f"item {item.id}: its words cannot be found")
    if searched != set(rows.fields(item.metadata)):
        problems.append(f"item {item.id}: its metadata and what it is searched by differ")
    return problems


def _strays(db: sqlite3.Connection, stored: Stored) -> list[str]:
    """Find rows that lead nowhere, and a journal that cannot be read back."""
    problems = []
    queries = {
        "vectors without an item": "SELECT count(*) FROM vectors WHERE row NOT IN (SELECT row FROM items)",
        "fields without an item": "SELECT count(*) FROM fields WHERE row NOT IN (SELECT row FROM items)",
        "ops without a transaction": "SELECT count(*) FROM ops WHERE txn NOT IN (SELECT txn FROM transactions)",
    }
    for what, query in queries.items():
        if count := db.execute(query).fetchone()[0]:
            problems.append(f"{count} {what}")
    query = "SELECT seq, detail, before FROM ops JOIN transactions USING (txn) WHERE ns = ?"
    for seq, detail, before in db.execute(query, (stored.ns,)):
        try:
            json.loads(detail)
            json.loads(before or "null")
        except ValueError:
            problems.append(f"journal entry {seq} cannot be read")
    return problems


def _index_state(stored: Stored) -> tuple[int, list[str]]:
    """Return how many changes the index has not seen, and what it lost."""
    with stored.ledger.reading() as db:
        total = db.execute("SELECT count(*) FROM items WHERE ns = ?", (stored.ns,)).fetchone()[0]
        if stored.index is None or total <= stored.exact_limit:
            return 0, []
        seen = stored.index.seen(stored.ns, stored.collection)
        if seen is None:
            return 0, []
        query = "SELECT count(*) FROM items WHERE ns = ? AND version > ?"
        waiting = db.execute(query, (stored.ns, seen)).fetchone()[0]
    held = stored.index.rows(stored.ns, stored.collection)
    with stored.ledger.reading() as db:  # after asking the index: what it rightly dropped meanwhile is not expected
        query = """SELECT items.row FROM items JOIN vectors USING (row)
            WHERE ns = ? AND version <= ? AND status = 'live'"""
        expected = {row for (row,) in db.execute(query, (stored.ns, seen))}
    missing = expected - held if held is not None else set()
    return waiting, [f"the index lost {len(missing)} vectors; run `agentevo memory reindex`"] if missing else []


def stats(stored: Stored) -> Stats:
    """Count a namespace."""
    with stored.ledger.reading() as db:

        def counted(column: str) -> dict[str, int]:
            query = f"SELECT {column}, count(*) FROM items WHERE ns = ? GROUP BY 1 ORDER BY 2 DESC, 1"
            return dict(db.execute(query, (stored.ns,)))

        def count(table: str, condition: str = "1") -> int:
            query = f"SELECT count(*) FROM {table} WHERE ns = ? AND {condition}"
            return int(db.execute(query, (stored.ns,)).fetchone()[0])

        statuses = counted("status")
        path = stored.ledger.path
        return Stats(
            live=statuses.get("live", 0),
            quarantined=statuses.get("quarantined", 0),
            forgotten=statuses.get("forgotten", 0),
            pinned=count("items", "pinned"),
            kinds=counted("kind"),
            sources=counted("source"),
            experiences=count("experiences"),
            transactions=count("transactions"),
            indexed=stored.index.asked if stored.index else 0,
            size_bytes=sum(f.stat().st_size for f in path.parent.rglob("*") if f.is_file()) if path else 0,
            embedder=stored.ledger.meta("embedder") or "",
            dimensions=stored.ledger.meta("dimensions"),
        )
