"""A memory that was made for nothing is taken away, and never one that holds something or that somebody uses."""

from __future__ import annotations

from pathlib import Path

import pytest
from word_vectors import open_memory

from agentevo.errors import LedgerError
from agentevo.memory.newborn import remove_unused
from agentevo.types import Experience, Task


def test_a_memory_in_which_nothing_was_written_is_removed(tmp_path: Path) -> None:
    open_memory(tmp_path).close()
    (tmp_path / "mine").write_text("not of a memory")
    assert remove_unused(tmp_path)
    assert [entry.name for entry in tmp_path.iterdir()] == ["mine"]


def test_a_memory_that_holds_anything_stays(tmp_path: Path) -> None:
    for name in ("item", "experience", "draft", "other namespace"):
        with open_memory(tmp_path / name, namespace="other" if "other" in name else "default") as memory:
            if name == "experience":
                memory.record(Experience(task=Task(id="t", prompt="p")))
            elif name == "draft":
                memory.draft("kept").insert("drafted")
            else:
                memory.insert("a text")
            before = list(memory.export())  # type: ignore[arg-type]
        assert not remove_unused(tmp_path / name)
        with open_memory(tmp_path / name, namespace="other" if "other" in name else "default") as memory:
            assert list(memory.export()) == before  # type: ignore[arg-type]


def test_a_memory_that_somebody_has_open_stays(tmp_path: Path) -> None:
    with open_memory(tmp_path) as memory:
        assert not remove_unused(tmp_path)
        memory.insert("written after all")
    with open_memory(tmp_path) as memory:
        assert [item.text for item in memory.list()] == ["written after all"]


def test_what_is_no_ledger_stays(tmp_path: Path) -> None:
    (tmp_path / "ledger.db").write_bytes(b"something else " * 100)
    assert not remove_unused(tmp_path)
    with pytest.raises(LedgerError):
        open_memory(tmp_path)
