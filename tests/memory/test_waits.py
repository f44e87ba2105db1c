"""Who else runs in the process while the index catches up: Chroma lets nobody run in a step, so steps are small."""

from __future__ import annotations

import itertools
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
from word_vectors import open_memory

from agentevo.memory import Memory

COUNT = 1_000


def large(folder: Path) -> Memory:
    memory = open_memory(folder, exact_limit=COUNT - 1)
    made = np.random.default_rng(0).standard_normal((COUNT, 32))
    memory.insert([f"text {n}" for n in range(COUNT)], vectors=made)
    return memory


def ticks_between_steps(memory: Memory) -> tuple[list[int], list[int]]:
    """Reindex while another thread counts; return how far the index was after each step, and how far the count."""
    ended, ticks, indexed, counted = threading.Event(), [0], list[int](), list[int]()

    def tick() -> None:
        while not ended.wait(0.001):
            ticks[0] += 1

    def told(what: str, done: int, total: int) -> None:
        indexed.append(done)
        counted.append(ticks[0])

    other = threading.Thread(target=tick)
    other.start()
    try:
        memory.reindex(progress=told)
    finally:
        ended.set()
        other.join()
    return indexed, counted


def test_others_get_a_turn_after_every_hundred_vectors(tmp_path: Path) -> None:
    with large(tmp_path) as memory:
        indexed, counted = ticks_between_steps(memory)
        assert indexed == list(range(100, COUNT + 1, 100))
        assert all(later > earlier for earlier, later in itertools.pairwise(counted))
        assert memory.verify().ok


def test_a_caller_whom_nobody_waits_for_takes_large_steps(tmp_path: Path) -> None:
    large(tmp_path).close()
    code = f"""
import sys; sys.path.insert(0, {str(Path(__file__).parent)!r})
from word_vectors import open_memory
indexed = []
with open_memory(sys.argv[1], exact_limit={COUNT - 1}) as memory:
    memory.reindex(progress=lambda what, done, total: indexed.append(done))
print(indexed)
"""
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
