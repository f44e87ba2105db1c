"""Search by words: BM25 from the full-text table, led by the rare words of a question.

A word that half of all texts hold says little and costs much. So candidates are the texts that hold one of the
question's rarer words; what its common words add is then counted for those alone.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from agentevo.memory.words import match, stems

_CHEAP = 20_000
"""A question whose words occur so often in all is simply asked with all of them."""
_ENOUGH = 200
"""Else the rarest words lead, as many as it takes to lead to so many texts."""
_COUNTED = 1_000
"""What common words add is counted where the rare ones lead to no more texts than this."""

Scores = list[tuple[int, float]]


def best(
    db: sqlite3.Connection, ns: int, asked: Sequence[str], k: int, passing: Callable[[Sequence[int]], set[int]]
) -> Scores:
    """Return the k best rows that pass, best first; of equals the older first. Larger scores are better."""
    rare, common = _split(db, ns, asked)
    if not rare:
        return []
    page = 2 * k + 20
    while True:
        found = _scored(db, ns, rare, common, page)
        kept = passing([row for row, _ in found])
        hits = [pair for pair in found if pair[0] in kept]
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


def _scored(db: sqlite3.Connection, ns: int, rare: Sequence[str], common: Sequence[str], page: int) -> Scores:
    led = match(ns, rare)
    scores = dict(_asked(db, led, page))
    if common:
        scores |= dict(_asked(db, f"({led}) AND ({match(ns, common)})", page))
    return sorted(scores.items(), key=lambda pair: (-pair[1], pair[0]))[:page]


def _asked(db: sqlite3.Connection, query: str, page: int) -> list[tuple[int, Any]]:
    # Sorted here by number as well, for an order that does not depend on how the table was merged.
    sql = "SELECT rowid, -bm25(words) AS score FROM words WHERE words MATCH ? ORDER BY score DESC, rowid LIMIT ?"
    return db.execute(sql, (query, page)).fetchall()
