"""Several processes on one memory: nothing is lost, all is found, and nobody waits for another's thinking."""

from __future__ import annotations

import asyncio
import json
import os
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from crowd import EXACT_LIMIT, found
from word_vectors import WordVectors, open_memory

from agentevo.memory import Memory

SLOW_WORK = Path(__file__).with_name("slow_work.py")
CROWD = Path(__file__).with_name("crowd.py")
COUNT = 60 if os.environ.get("AGENTEVO_SOAK") else 20


def start(folder: Path, name: str, count: int) -> subprocess.Popen[str]:
    """Start a process of the crowd; it is ready, and waits for a line."""
    process = subprocess.Popen(
        [sys.executable, str(CROWD), str(folder), name, str(count)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


def finish(process: subprocess.Popen[str]) -> list[str]:
    """Let a process go on to its end; return the ids it was told are kept."""
    said, _ = process.communicate("go\n", timeout=120)
    assert process.returncode == 0
    seen = json.loads(said)
    assert seen["lost"] == []
    ids: list[str] = seen["ids"]
    return ids


def all_is_there(folder: Path, ids: Sequence[str]) -> None:
    with open_memory(folder, exact_limit=EXACT_LIMIT) as memory:
        items = memory.list()
        assert {item.id for item in items} >= set(ids)
        assert [item.text for item in items].count("said by everyone at once") == 1
        assert memory.catch_up()
        assert memory.verify().problems == ()
        assert [item.text for item in items if not found(memory, item.text)] == []


@pytest.mark.parametrize("processes", [2, 4])
def test_processes_at_once_lose_nothing_and_find_all(tmp_path: Path, processes: int) -> None:
    crowd = [start(tmp_path / "m", f"p{n}", COUNT) for n in range(processes)]
    for process in crowd:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    ids = [name for process in crowd for name in finish(process)]
    assert len(set(ids)) == processes * COUNT
    all_is_there(tmp_path / "m", ids)


def test_a_long_lived_process_and_short_visitors_see_each_other(tmp_path: Path) -> None:
    with open_memory(tmp_path / "m", exact_limit=EXACT_LIMIT) as memory:
        ids = [item.id for item in memory.insert([f"resident {n} was here first" for n in range(40)])]
        assert memory.catch_up()
        for n in range(3):
            ids.append(memory.insert(f"resident {n} speaks again").id)
            ids += finish(start(tmp_path / "m", f"visitor{n}", 4))
            assert [f"visitor{n}x{i}" for i in range(4) if not found(memory, f"visitor{n}x{i} tells everyone")] == []
    all_is_there(tmp_path / "m", ids)


# --- waiting


class Visitor:
    """A second process that measures how long its inserts and recalls take."""

    def __init__(self, folder: Path) -> None:
        code = f"""
import sys, time; sys.path.insert(0, {str(CROWD.parent)!r})
from word_vectors import open_memory
memory = open_memory(sys.argv[1], exact_limit=100)
for n, _ in enumerate(sys.stdin):
    began = time.perf_counter()
    memory.insert(f"visitor wrote {{n}} of them {{began}}")
    memory.recall("visitor wrote", 3)
    print(time.perf_counter() - began, flush=True)
"""
        self.process = subprocess.Popen(
            [sys.executable, "-c", code, str(folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def waits(self, count: int) -> list[float]:
        """Return the seconds that each of so many writes and reads took."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        seconds = []
        for _ in range(count):
            self.process.stdin.write("\n")
            self.process.stdin.flush()
            seconds.append(float(self.process.stdout.readline()))
        return seconds


@contextmanager
def visiting(folder: Path) -> Iterator[Visitor]:
    visitor = Visitor(folder)
    try:
        visitor.waits(3)
        yield visitor
    finally:
        visitor.process.communicate()


class Slow(WordVectors):
    """An embedder that thinks for as long as it is told to."""

    def __init__(self) -> None:
        super().__init__()
        self.thinking, self.done = threading.Event(), threading.Event()

    async def embed(self, texts: Sequence[str]):  # type: ignore[no-untyped-def]
        if "slow" in texts[0]:
            self.thinking.set()
            await asyncio.to_thread(self.done.wait)
        return await super().embed(texts)


def holds_a_draft(memory: Memory, embedder: Slow) -> None:
    with memory.draft() as draft:
        draft.insert("something drafted")
        draft.insert("slow thoughts in the draft")
        draft.commit()


def thinks_in_a_write(memory: Memory, embedder: Slow) -> None:
    memory.insert("slow thoughts of a direct insert")


def catches_up(memory: Memory, embedder: Slow) -> None:
    embedder.thinking.set()
    while not embedder.done.is_set():
        assert memory._store.index is not None
        memory._store.index.drop([memory._stored.collection])
        memory.catch_up()


@pytest.mark.parametrize("work", [holds_a_draft, thinks_in_a_write, catches_up])
def test_a_second_process_is_not_blocked(tmp_path: Path, work: Callable[[Memory, Slow], None]) -> None:
    """Blocked means: over 100 ms more than the same work takes beside an idle process, as a median of many."""
    embedder = Slow()
    with open_memory(tmp_path / "m", embedder=embedder, exact_limit=100) as memory:
        memory.insert([f"number {n} is here" for n in range(2_000 if work is catches_up else 50)])
        memory.catch_up()
        with visiting(tmp_path / "m") as visitor:
            idle = statistics.median(visitor.waits(15))
            busy = threading.Thread(target=work, args=(memory, embedder))
            busy.start()
            assert embedder.thinking.wait(120)
            waits = visitor.waits(15)
            embedder.done.set()
            busy.join()
        assert statistics.median(waits) < idle + 0.1
        assert memory.verify().problems == ()


def in_the_middle(folder: Path, work: str) -> subprocess.Popen[str]:
    """Start a process that is in the middle of something over a memory, and stays there until it gets a line."""
    process = subprocess.Popen(
        [sys.executable, str(SLOW_WORK), str(folder), work], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )  # fmt: skip
    assert process.stdout is not None
    assert process.stdout.readline() == "in the middle\n"
    return process


@pytest.mark.parametrize("work", ["reflect", "evaluate", "catch_up"])
def test_a_second_process_works_while_the_first_is_in_the_middle(tmp_path: Path, work: str) -> None:
    """A wait of over 100 ms for another's lock is an error here; and the first goes on only when the second is done."""
    with open_memory(tmp_path / "m") as memory:
        memory.insert([f"number {n} is here" for n in range(300)], vectors=np.eye(300, 32) + 0.1)
    first = in_the_middle(tmp_path / "m", work)
    with open_memory(tmp_path / "m", exact_limit=100, busy_timeout_s=0.1) as memory:
        ids = [memory.insert(f"visitor wrote {n}").id for n in range(20)]
        memory.insert([f"visitor wrote {n} in bulk" for n in range(20)])
        memory.forget(ids[0])
        with memory.draft() as draft:
            draft.insert("visitor drafted")
            draft.commit()
        memory.undo()
        for mode in ("vector", "bm25", "hybrid"):
            assert "visitor wrote 7" in {hit.item.text for hit in memory.recall("visitor wrote 7", 3, mode=mode)}
        assert memory.verify().ok
        before = memory.stats()
        assert first.poll() is None
        first.communicate("go on\n", timeout=120)
        assert first.returncode == 0
        made = [item.text for item in memory.list(kind="lesson")]
        assert made == (["an insight of the first process"] if work == "reflect" else [])
        assert memory.stats().live == before.live + len(made) == 339 + len(made)
        assert memory.verify().ok


def test_a_writer_is_not_blocked_by_its_own_process_catching_up(tmp_path: Path) -> None:
    with open_memory(tmp_path / "m", exact_limit=100) as memory:
        memory.insert([f"number {n} is here" for n in range(4_000)])
        index = memory._store.index
        assert index is not None
        took = []
        for n in range(10):
            began = time.perf_counter()
            with index._starting:
                pass
            index.follow(memory._store.ledger, memory._ns(), memory._stored.collection)
            took.append(time.perf_counter() - began)
            memory.insert(f"meanwhile {n}")
        assert statistics.median(took) < 0.1
        assert memory.catch_up()
        assert memory.verify().problems == ()
