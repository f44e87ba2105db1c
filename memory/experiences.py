"""Experiences: immutable rows of the ledger. Items are made from them; export and training read them."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from agentevo.errors import Misuse
from agentevo.memory.damage import read_back
from agentevo.memory.named_secrets import masked_within
from agentevo.memory.source import Stored
from agentevo.types import Experience

_PAGE = 200


def without_secrets(experience: Experience) -> Experience:
    """Return an experience with its secrets masked, wherever they stand."""
    return Experience.model_validate(masked_within(experience.model_dump(mode="json", exclude_defaults=True)))


def put(db: sqlite3.Connection, stored: Stored, id: str, experience: Experience, run: str, at: float) -> None:
    """Write an experience inside an open transaction; the same one under the same id is written once."""
    body = experience.model_dump_json(exclude_defaults=True)
    query = "SELECT body FROM experiences WHERE ns = ? AND id = ?"
    found = db.execute(query, (stored.ns, id)).fetchone()
    if found is not None and found[0] != body:
        raise Misuse(f"experience {id!r} is here already and says something else; experiences do not change")
    if found is None:
        _must_be_free(db, stored, id)
        row = (id, stored.ns, run, experience.task.id, experience.score, at, body)
        db.execute("INSERT INTO experiences (id, ns, run, task, score, at, body) VALUES (?,?,?,?,?,?,?)", row)


def _must_be_free(db: sqlite3.Connection, stored: Stored, id: str) -> None:
    """Raise Misuse where an item has this id: what is derived from it would not say from which of the two."""
    if db.execute("SELECT 1 FROM items WHERE ns = ? AND id = ?", (stored.ns, id)).fetchone() is not None:
        raise Misuse(f"{id!r:.80} is the id of an item; record the experience under another, or under none")


def holds(stored: Stored, id: str) -> bool:
    """Say whether there is an experience of this id."""
    with stored.ledger.reading() as db:
        query = "SELECT 1 FROM experiences WHERE ns = ? AND id = ?"
        return db.execute(query, (stored.ns, id)).fetchone() is not None


def attempted(db: sqlite3.Connection, ns: int, attempts: Iterable[str]) -> set[str]:
    """Return those of these attempts that a namespace has in an experience of its own."""
    query = """SELECT DISTINCT json_extract(attempt.value, '$.id') AS name
        FROM experiences JOIN json_each(CASE WHEN json_valid(body) THEN body ELSE '{}' END, '$.attempts') AS attempt
        WHERE ns = ? AND name IN (SELECT value FROM json_each(?))"""
    named = list(attempts)
    return {str(name) for (name,) in db.execute(query, (ns, json.dumps(named)))} if named else set()


class Kept(NamedTuple):
    """An experience as it is kept: under which id, by which run, and since when."""

    id: str
    run: str
    at: float
    experience: Experience


def read(
    stored: Stored, run: str | None, task: str | None, min_score: float | None, limit: int | None
) -> Iterator[Kept]:
    """Yield experiences, oldest first, a few at a time; of their bodies, which may be large, one at a time."""
    last = 0
    conditions = {"run = ?": run, "task = ?": task, "score >= ?": min_score}
    wanted = {text: value for text, value in conditions.items() if value is not None}
    where = " AND ".join(["ns = ?", "row > ?", *wanted])
    left = limit if limit is not None else -1
    while left:
        size = _PAGE if left < 0 else min(_PAGE, left)
        with stored.ledger.reading() as db:
            query = f"SELECT row FROM experiences WHERE {where} ORDER BY row LIMIT ?"
            page = [row for (row,) in db.execute(query, (stored.ns, last, *wanted.values(), size))]
        for last in page:
            if (kept := _kept(stored, last)) is not None:
                yield kept
        left -= len(page)
        if len(page) < size:
            return


def _kept(stored: Stored, row: int) -> Kept | None:
    with stored.ledger.reading() as db:
        found = db.execute("SELECT id, run, at, body FROM experiences WHERE row = ?", (row,)).fetchone()
    if found is None:
        return None  # purged meanwhile
    with read_back(stored.ledger.name):
        name, run, at, body = found
        return Kept(name, run, at, Experience.model_validate_json(body))
