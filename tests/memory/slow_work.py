"""A process that stops in the middle of something long over a memory, and goes on when it is told to.

Started as `python slow_work.py FOLDER reflect|evaluate|catch_up`; in the middle it writes a line and waits for one.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence

from cycles import moment
from word_vectors import open_memory

from agentevo.evaluate import evaluate
from agentevo.memory import Memory
from agentevo.models import FunctionModel
from agentevo.record import Record
from agentevo.types import ChatMessage

EXACT_LIMIT = 100


class Middle:
    """The one moment at which the process stops."""

    def __init__(self) -> None:
        self._is_ahead = True

    def __call__(self) -> None:
        """Say that the middle is reached, and stay there until a line comes; only the first time."""
        if self._is_ahead:
            self._is_ahead = False
            sys.stdout.write("in the middle\n")
            sys.stdout.flush()
            sys.stdin.readline()


middle = Middle()


async def slow_answer(messages: Sequence[ChatMessage]) -> str:
    await asyncio.to_thread(middle)
    return "7"


async def slow_insight(messages: Sequence[ChatMessage]) -> str:
    await asyncio.to_thread(middle)
    return '{"insights": [{"text": "an insight of the first process"}]}'


def reflect(memory: Memory) -> object:
    return memory.reflect(model=FunctionModel(slow_insight), by="all", at_most=50)


def evaluation(memory: Memory) -> object:
    async def run() -> object:
        with Record.open() as record:
            return await evaluate(moment(memory, model=FunctionModel(slow_answer)), record)

    return asyncio.run(run())


def catch_up(memory: Memory) -> object:
    stored, index = memory._stored, memory._store.index
    assert index is not None

    def progress(what: str, done: int, total: int) -> None:
        middle()

    return index.catch_up(stored.ledger, stored.ns, stored.collection, progress, batch=50)


WORK = {"reflect": reflect, "evaluate": evaluation, "catch_up": catch_up}

if __name__ == "__main__":
    with open_memory(sys.argv[1], exact_limit=EXACT_LIMIT) as memory:
        WORK[sys.argv[2]](memory)
