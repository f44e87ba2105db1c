"""Plain verbs: an interrupt waits for what is open to be closed, and no task can take the others' loop with it."""

from __future__ import annotations

import asyncio
import signal
import sys
import threading
from collections.abc import AsyncGenerator, Iterator

import pytest

from agentevo.blocking import iterating, threaded, wait


def interrupt() -> None:
    """Do as Ctrl-C does."""
    ident = threading.main_thread().ident
    assert ident is not None
    signal.pthread_kill(ident, signal.SIGINT)


class Opened:
    """Something that takes its time to be closed."""

    def __init__(self) -> None:
        self.is_closed = False

    async def interrupted(self) -> None:
        try:
            interrupt()
            await asyncio.Event().wait()
        finally:
            for _ in range(1_000):
                await asyncio.sleep(0)
            self.is_closed = True


def test_who_is_interrupted_goes_on_when_what_was_open_is_closed() -> None:
    opened = Opened()
    with pytest.raises(KeyboardInterrupt):
        wait(opened.interrupted())
    assert opened.is_closed


def test_an_interrupted_iteration_says_so_and_is_closed() -> None:
    opened = Opened()

    async def numbers() -> AsyncGenerator[int, None]:
        yield 1
        await opened.interrupted()

    found = list[int]()
    with pytest.raises(KeyboardInterrupt):
        found.extend(iterating(numbers)())
    assert (found, opened.is_closed) == ([1], True)


def test_a_second_interrupt_waits_for_nothing() -> None:
    ends = asyncio.Event()

    async def stubborn() -> None:
        try:
            interrupt()
            await asyncio.Event().wait()
        finally:
            interrupt()
            await ends.wait()

    with pytest.raises(KeyboardInterrupt):
        wait(stubborn())
    wait(_set(ends))


async def _set(event: asyncio.Event) -> None:
    event.set()


@pytest.mark.timeout(20)
def test_a_task_that_exits_tells_who_waits_and_leaves_the_others_their_loop() -> None:
    async def exits() -> None:
        sys.exit(3)

    async def answers() -> str:
        return "fine"

    with pytest.raises(SystemExit):
        wait(exits())
    assert wait(answers()) == "fine"


class Shelf:
    """Something whose verb yields what it reads: the thread in which each is read."""

    def read(self, count: int) -> Iterator[int]:
        for _ in range(count):
            yield threading.get_ident()

    aread = threaded(read)


def test_what_a_plain_verb_yields_is_read_in_the_thread_of_its_twin() -> None:
    found = list(asyncio.run(Shelf().aread(3)))
    assert (len(found), threading.get_ident() in found) == (3, False)
