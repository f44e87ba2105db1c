"""verify finds each way in which a ledger or an index can contradict itself."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest
from word_vectors import open_memory


@pytest.mark.parametrize(
    ("harm", "said"),
    [
        ("UPDATE items SET text = 'other' WHERE row = 3", "not the text that was written"),
        ("UPDATE items SET trust = 7 WHERE row = 3", "cannot be read"),
        ("UPDATE items SET metadata = '{' WHERE row = 3", "cannot be read"),
        ("DELETE FROM fields WHERE row = 3", "its metadata"),
        ("DELETE FROM items WHERE row = 3", "vectors without an item"),
        ("DELETE FROM vectors WHERE row = 3; DELETE FROM items WHERE row = 3", "fields without an item"),
        ("UPDATE vectors SET vector = x'0000803f' WHERE row = 3", "has 1 dimensions, not 32"),
        ("DELETE FROM transactions", "ops without a transaction"),
        ("UPDATE ops SET before = '{' WHERE seq = 3", "journal entry 3"),
        ("INSERT INTO words (words, rowid, body) VALUES ('delete', 3, '1qtext 1q2')", "words cannot be found"),
    ],
)
def test_each_contradiction_is_a_problem(tmp_path: Path, harm: str, said: str) -> None:
    with open_memory(tmp_path / "m") as memory:
        memory.insert([f"text {n}" for n in range(5)], metadata=[{"n": n} for n in range(5)])
        assert (memory.verify().ok, memory.verify().items, memory.verify().vectors) == (True, 5, 5)
    with sqlite3.connect(tmp_path / "m" / "ledger.db") as db:
        db.executescript(harm)
    db.close()
    with open_memory(tmp_path / "m") as memory:
        problems = " ".join(memory.verify().problems)
        assert said in problems


def test_vectors_that_the_index_lost_are_a_problem_until_it_is_built_anew(tmp_path: Path) -> None:
    with open_memory(tmp_path / "m", exact_limit=10) as memory:
        memory.insert([f"text {n}" for n in range(50)])
        assert memory.catch_up()
        stored, index = memory._stored, memory._store.index
        assert index is not None
        index._collections[stored.ns].delete(ids=["7", "9"])
        assert "lost 2 vectors" in memory.verify().problems[0]
        memory.reindex()
        assert memory.verify().problems == ()


def test_stats_count_what_is_here(tmp_path: Path) -> None:
    with open_memory(tmp_path / "m") as memory:
        items = memory.insert(["a", "b", "c", "d"], kind="lesson", source="tool")
        memory.forget(items[0].id)
        memory.quarantine(items[1].id)
        memory.pin(items[2].id)
        stats = memory.stats()
        assert (stats.live, stats.forgotten, stats.quarantined, stats.pinned) == (2, 1, 1, 1)
        assert (stats.kinds, stats.sources, stats.transactions) == ({"lesson": 4}, {"tool": 4}, 4)
        assert (stats.embedder, stats.dimensions) == ("word-vectors", 32)
        assert stats.size_bytes > 10_000
