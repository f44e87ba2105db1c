"""Search by words: BM25 from the full-text table, led by the rare words of a question.

A word that half of all texts hold says little and costs much. So candidates are the texts that hold one of the
question's rarer words; what its common words add is then counted for those alone.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from typing import TypeAlias

from agentevo.memory.words import match, stems

_CHEAP = 20_000
"""A question whose words occur so often in all is simply asked with all of them."""
_ENOUGH = 200
"""Else the rarest words lead, as many as it takes to lead to so many texts."""
_COUNTED = 1_000
"""What common words add is counted where the rare ones lead to no more texts than this."""

Scores = list[tuple[int, float]]
_Scored: TypeAlias = tuple[int, float, float]
"""A row, its score, and when it was made."""


def best(
    db: sqlite3.Connection, ns: int, asked: Sequence[str], k: int, passing: Callable[[Sequence[int]], set[int]]
) -> Scores:
    """Return the k best rows that pass, best first: of equals first the newer, then the one inserted first."""
    rare, common = _split(db, ns, asked)
    if not rare:
        return []
    page = 2 * k + 20
    while True:
        found = _scored(db, ns, rare, common, page)
        kept = passing([row for row, _, _ in found])
        hits = [(row, score) for row, score, _ in found if row in kept]
        if len(hits) >= k or len(found) < page:
            return hits[:k]
        page *= 8


def _split(db: sqlite3.Connection, ns: int, asked: Sequence[str]) -> tuple[list[str], list[str]]:
    """Return the words that lead the search, and those that only add to its scores; unknown words are left out."""
    texts_with = frequencies(db, stems(ns, asked))
    pairs = zip(asked, stems(ns, asked), strict=True)
    known = sorted((texts_with[stem], word) for word, stem in pairs if stem in texts_with)
    if sum(count for count, _ in known) <= _CHEAP:
        return [word for _, word in known], []
    rare: list[str] = []
    reached = 0
    for count, word in known:
        if reached >= _ENOUGH:
            break
        rare.append(word)
        reached += count
    return rare, [word for _, word in known[len(rare) :]] if reached <= _COUNTED else []


def frequencies(db: sqlite3.Connection, wanted: Sequence[str]) -> Mapping[str, int]:
    """Return in how many texts each stem occurs; one that occurs in none is missing."""
    marks = ", ".join("?" * len(wanted))
    return dict(db.execute(f"SELECT term, doc FROM vocabulary WHERE term IN ({marks})", tuple(wanted)))


def _scored(db: sqlite3.Connection, ns: int, rare: Sequence[str], common: Sequence[str], page: int) -> list[_Scored]:
    led = match(ns, rare)
    scores = {one[0]: one for one in _asked(db, led, page)}
    if common:
        scores |= {one[0]: one for one in _asked(db, f"({led}) AND ({match(ns, common)})", page)}
    return sorted(scores.values(), key=lambda one: (-one[1], -one[2], one[0]))[:page]


_LEADING = "SELECT rowid, -bm25(words) AS score FROM words WHERE words MATCH ? ORDER BY score DESC, rowid LIMIT ?"
_TIED = """WITH found AS MATERIALIZED (SELECT rowid AS at, -bm25(words) AS score FROM words WHERE words MATCH ?)
    SELECT row, score, created_at FROM found CROSS JOIN items ON row = at
    WHERE score >= coalesce((SELECT score FROM found ORDER BY score DESC LIMIT 1 OFFSET ?), -1e999)
    ORDER BY score DESC, created_at DESC, row LIMIT ?"""
"""Where more score as much as the last one wanted, when each of these was made says which of them are."""


def _asked(db: sqlite3.Connection, query: str, page: int) -> list[_Scored]:
    found = db.execute(_LEADING, (query, page + 1)).fetchall()
    if len(found) > page and found[page][1] == found[page - 1][1]:
        return db.execute(_TIED, (query, page - 1, page)).fetchall()
    made = "SELECT row, created_at FROM items WHERE row IN (SELECT value FROM json_each(?))"
    created = dict(db.execute(made, (json.dumps([row for row, _ in found]),)))
    return [(row, score, created[row]) for row, score in found[:page] if row in created]
