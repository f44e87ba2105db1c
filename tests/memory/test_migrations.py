"""A ledger of an earlier version is put right when it is opened, and one that is damaged is still read where it can."""

from __future__ import annotations

import contextlib
import json
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import cast

import pytest
from word_vectors import open_memory

from agentevo.errors import LedgerCorrupt
from agentevo.memory.migrations import STEPS


def as_before(folder: Path, said: list[str]) -> None:
    """Make a ledger in which these texts are one that has taken two steps: with words and metadata as they were."""
    with contextlib.closing(sqlite3.connect(folder / "ledger.db")) as db, db:
        db.execute("INSERT INTO words (words) VALUES ('delete-all')")
        bodies = (" ".join(f"1q{word}" for word in text.lower().split()) for text in said)
        db.executemany("INSERT INTO words (rowid, body) VALUES (?, ?)", enumerate(bodies, 1))
        db.execute("DELETE FROM fields WHERE key IN ('home', 'tags')")
        db.execute("PRAGMA user_version = 2")


def test_words_and_metadata_are_found_as_in_a_new_ledger(tmp_path: Path) -> None:
    said = ["die Hauptstraße", "plain words", "Zürich without a key"]
    with open_memory(tmp_path / "m") as memory:
        street, *_ = [memory.insert(text, key_text="", metadata={"home": {}, "tags": []}) for text in said]
    as_before(tmp_path / "m", said)
    with open_memory(tmp_path / "m") as memory:
        for asked, text in (("hauptstrasse", said[0]), ("plain", said[1]), ("zurich", said[2])):
            assert [hit.item.text for hit in memory.recall(asked, 5, mode="bm25")] == [text]
        assert len(memory.list(where={"home": {"$exists": True}, "tags": {"$exists": True}})) == 3
        memory.edit(street.id, "die Gasse")
        assert memory.recall("hauptstrasse", 5, mode="bm25") == []
        assert memory.verify().ok
    with contextlib.closing(sqlite3.connect(tmp_path / "m" / "ledger.db")) as db:
        assert db.execute("PRAGMA user_version").fetchone() == (len(STEPS),)


def test_what_is_readable_of_a_damaged_one_is_exported(tmp_path: Path) -> None:
    said = [f"the text Nº {n:03} {'with more to say ' * 20}" for n in range(300)]
    with open_memory(tmp_path / "m") as memory:
        memory.insert(said, metadata={"home": {"n": 1}})
    as_before(tmp_path / "m", [])
    pages, size = (tmp_path / "m" / "ledger.db").read_bytes(), 4096
    at = pages.index(said[150].encode()) // size * size
    (tmp_path / "m" / "ledger.db").write_bytes(pages[:at] + b"\xa5" * size + pages[at + size :])
    lines: list[str] = []
    with open_memory(tmp_path / "m") as memory:
        with pytest.raises(LedgerCorrupt):
            memory.list()
        with pytest.raises(LedgerCorrupt, match="could not be read"):
            lines.extend(cast("Iterator[str]", memory.export()))
    assert 250 < sum(json.loads(line)["type"] == "item" for line in lines) < 300
