"""arecall: what takes a millisecond is done at once, what may wait or take longer in a thread."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from agentevo.memory import Memory
from agentevo.models.hash_embedder import HashEmbedder

if TYPE_CHECKING:
    from agentevo.protocols import Vectors


class Where(HashEmbedder):
    """Tells whether it was asked in the thread that waits, or in another."""

    asked_in = 0

    def embed_now(self, texts: Sequence[str]) -> Vectors:
        self.asked_in = threading.get_ident()
        return super().embed_now(texts)


def is_at_once(memory: Memory, embedder: Where) -> bool:
    """Say whether a recall, which must find what is here, ran in the loop's own thread."""
    hits = asyncio.run(memory.arecall("red bikes", 1))
    assert [hit.item.text for hit in hits] == ["bikes are red"]
    return embedder.asked_in == threading.get_ident()


@pytest.mark.parametrize("place", [":memory:", "m"])
def test_a_small_memory_is_asked_at_once(tmp_path: Path, place: str) -> None:
    embedder = Where()
    with Memory.open(place if place == ":memory:" else tmp_path / place, embedder=embedder) as memory:
        memory.insert(["bikes are red", "cars are blue"])
        assert is_at_once(memory, embedder)


def test_a_memory_that_was_opened_just_now_reads_its_vectors_in_a_thread(tmp_path: Path) -> None:
    embedder = Where()
    with Memory.open(tmp_path, embedder=embedder) as memory:
        memory.insert(["bikes are red", "cars are blue"])
    with Memory.open(tmp_path, embedder=embedder) as memory:
        assert [is_at_once(memory, embedder) for _ in range(2)] == [False, True]


def test_a_draft_is_asked_at_once_until_it_holds_much() -> None:
    embedder = Where()
    with Memory.open(":memory:", embedder=embedder) as memory:
        memory.insert(["bikes are red", "cars are blue"])
        memory.recall("cars")
        with memory.draft() as draft:
            draft.insert("cars are green")
            hits = asyncio.run(draft.arecall("green cars", 1))
            assert (hits[0].item.text, embedder.asked_in) == ("cars are green", threading.get_ident())
            draft.insert([f"number {n} is here" for n in range(300)])
            asyncio.run(draft.arecall("green cars", 1))
            assert embedder.asked_in != threading.get_ident()


def test_a_large_memory_is_asked_in_a_thread() -> None:
    embedder = Where()
    with Memory.open(":memory:", embedder=embedder) as memory:
        memory.insert(["bikes are red", *(f"number {n} is here" for n in range(2_500))])
        memory.recall("red bikes")
        assert not is_at_once(memory, embedder)


def test_a_long_question_is_asked_in_a_thread() -> None:
    embedder = Where()
    with Memory.open(":memory:", embedder=embedder) as memory:
        memory.insert("bikes are red")
        memory.recall("bikes")
        asyncio.run(memory.arecall("bikes " * 10_000, 1))
        assert embedder.asked_in != threading.get_ident()


def test_a_memory_that_another_thread_writes_to_is_not_waited_for_in_the_loop() -> None:
    """A memory without a file has one connection: where a long transaction has it, the loop must go on meanwhile."""
    embedder, in_the_middle, done = Where(), threading.Event(), threading.Event()
    with Memory.open(":memory:", embedder=embedder) as memory:
        memory.insert(["bikes are red", "cars are blue"])
        memory.recall("cars")

        def write() -> None:
            with memory._store.ledger.writing():
                in_the_middle.set()
                assert done.wait(60)

        async def recall() -> list[str]:
            recalling = asyncio.create_task(memory.arecall("red bikes", 1))
            await asyncio.sleep(0)
            done.set()  # were the loop waiting for the writer, this would never be reached
            return [hit.item.text for hit in await recalling]

        writer = threading.Thread(target=write)
        writer.start()
        assert in_the_middle.wait(60)
        assert asyncio.run(recall()) == ["bikes are red"]
        writer.join()
        assert embedder.asked_in != threading.get_ident()


def test_an_embedder_that_waits_is_asked_in_a_thread() -> None:
    class Waiting:
        name, fingerprint, dimensions = "waiting", "1", 4
        answers = threading.Event()

        async def embed(self, texts: Sequence[str]) -> Vectors:
            assert await asyncio.to_thread(self.answers.wait, 60)
            return np.ones((len(texts), 4), np.float32)

    embedder = Waiting()

    async def recall(memory: Memory) -> None:
        recalling = asyncio.create_task(memory.arecall("bikes", 1))
        await asyncio.sleep(0)
        embedder.answers.set()
        await recalling

    with Memory.open(":memory:", embedder=embedder) as memory:
        embedder.answers.set()
        memory.insert("bikes are red")
        memory.recall("bikes")
        embedder.answers.clear()
        asyncio.run(recall(memory))
