"""What is known of kept experiences, read from one namespace of a memory after the other."""

from __future__ import annotations

import gc
import tracemalloc
from pathlib import Path

import pytest

from agentevo.errors import LedgerError, Misuse
from agentevo.memory import Memory
from agentevo.types import Attempt, Experience, Task


def experience(prompt: str, answer: str = "yes") -> Experience:
    task = Task(id=prompt, prompt=prompt)
    return Experience(task=task, attempts=(Attempt(id=f"a-{prompt}", task=task, answer=answer),))


def test_an_experience_is_kept_with_its_run_and_its_time() -> None:
    with Memory.open(":memory:", embedder="hash", clock=lambda: 7.0) as m:
        m.record(experience("one"), run="r1", id="x1")
        m.record(experience("two"), run="r2", id="x2")
        assert [(k.id, k.run, k.at, k.experience.task.id) for k in m.kept(run="r2")] == [("x2", "r2", 7.0, "two")]
        assert [name for name, _ in m.experiences(limit=1)] == ["x1"]


def test_a_memory_gives_a_handle_of_each_of_its_namespaces(tmp_path: Path) -> None:
    memory = Memory.open(tmp_path / "m", embedder="hash", namespace="b")
    other = memory.within("a")
    other.record(experience("elsewhere"))
    memory.close()
    assert [k.experience.task.id for k in other.kept()] == ["elsewhere"]
    assert other.namespaces() == ["a", "b"]
    other.close()
    with pytest.raises(LedgerError, match="closed"):
        memory.within("a")


def test_what_is_purged_while_it_is_read_is_left_out() -> None:
    with Memory.open(":memory:", embedder="hash") as m:
        for name in "abc":
            m.record(experience(name), id=name)
        reading = m.kept()
        first = next(reading).id
        m.purge("b")
        assert [first, *(k.id for k in reading)] == ["a", "c"]


def test_large_experiences_are_held_one_at_a_time(tmp_path: Path) -> None:
    with Memory.open(tmp_path / "m", embedder="hash") as m:
        for n in range(10):
            m.record(experience(str(n), "yes, " * 200_000))
        gc.collect()
        tracemalloc.start()
        count = sum(1 for _ in m.kept())
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert (count, peak < 6_000_000) == (10, True)


def test_an_experience_is_not_kept_under_the_id_of_an_item() -> None:
    with Memory.open(":memory:", embedder="hash") as m:
        item = m.insert("an item")
        with pytest.raises(Misuse, match=f"'{item.id}' is the id of an item; record the experience under another"):
            m.record(experience("one"), id=item.id)
        assert list(m.kept()) == []
        assert m.within("other").record(experience("one"), id=item.id) == item.id
