"""Turns: calls that wait at the same time are made one after another, and each caller hears what is its own."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextvars import ContextVar
from functools import partial

import pytest

from agentevo.memory import Memory
from agentevo.turns import Turns
from agentevo.types import Hit

WAITING_S = 60.0


def test_calls_are_made_one_at_a_time_in_their_order_and_off_the_loop() -> None:
    turns, made, at_once, threads = Turns(), list[int](), list[int](), set[int]()
    inside = threading.Semaphore(1)

    def one(n: int) -> int:
        at_once.append(int(inside.acquire(blocking=False)))
        made.append(n)
        threads.add(threading.get_ident())
        inside.release()
        return n * n

    async def all_of_them() -> list[int]:
        return await asyncio.gather(*(turns.take(partial(one, n)) for n in range(100)))

    assert asyncio.run(all_of_them()) == [n * n for n in range(100)]
    assert made == list(range(100))
    assert all(at_once)
    assert threading.get_ident() not in threads


def test_a_call_that_fails_fails_alone() -> None:
    turns = Turns()

    def one(n: int) -> int:
        if n == 3:
            raise ValueError("three")
        return n

    async def all_of_them() -> list[int | BaseException]:
        return await asyncio.gather(*(turns.take(partial(one, n)) for n in range(6)), return_exceptions=True)

    got = asyncio.run(all_of_them())
    assert [n for n in got if isinstance(n, int)] == [0, 1, 2, 4, 5]
    assert isinstance(got[3], ValueError)


class Held:
    """A call that goes on until it is let go."""

    def __init__(self) -> None:
        self.begun, self.may_go = threading.Event(), threading.Event()

    def __call__(self) -> str:
        self.begun.set()
        assert self.may_go.wait(WAITING_S)
        return "held"


def test_who_is_cancelled_holds_nobody_up_and_a_call_nobody_waits_for_is_not_made() -> None:
    turns, made, first, second = Turns(), list[str](), Held(), Held()

    async def cancelled_in_its_turn_and_before_it() -> None:
        calls: list[Callable[[], object]] = [first, second, partial(made.append, "no"), partial(made.append, "yes")]
        tasks = [asyncio.create_task(turns.take(call)) for call in calls]
        await asyncio.to_thread(first.begun.wait, WAITING_S)
        tasks[2].cancel()
        await asyncio.gather(tasks[2], return_exceptions=True)
        first.may_go.set()
        await asyncio.to_thread(second.begun.wait, WAITING_S)
        tasks[1].cancel()
        await asyncio.gather(tasks[1], return_exceptions=True)
        second.may_go.set()
        assert await tasks[0] == "held"
        await tasks[3]

    asyncio.run(asyncio.wait_for(cancelled_in_its_turn_and_before_it(), WAITING_S))
    assert made == ["yes"]


def test_callers_in_several_loops_take_turns_with_each_other() -> None:
    turns = Turns()

    async def some(first: int) -> list[int]:
        return await asyncio.gather(*(turns.take(partial(int, n)) for n in range(first, first + 50)))

    with ThreadPoolExecutor(4) as threads:
        got = list(threads.map(lambda first: asyncio.run(some(first)), range(0, 400, 50)))
    assert got == [list(range(first, first + 50)) for first in range(0, 400, 50)]


def test_a_loop_that_gives_out_no_threads_is_told_so_and_others_go_on() -> None:
    turns, made = Turns(), list[str]()

    async def after_the_end() -> None:
        await asyncio.get_running_loop().shutdown_default_executor()
        with pytest.raises(RuntimeError, match="shutdown"):
            await turns.take(partial(made.append, "no"))

    asyncio.run(after_the_end())
    asyncio.run(turns.take(partial(made.append, "yes")))
    assert made == ["yes"]


def test_a_loop_that_is_gone_takes_nothing_from_the_others() -> None:
    turns, held = Turns(), Held()
    gone, stays = asyncio.new_event_loop(), asyncio.new_event_loop()
    gone.set_exception_handler(lambda *_: None)  # it would log that a task was left behind, which is the point

    async def both() -> str:
        asked = asyncio.ensure_future(turns.take(held))
        await asyncio.to_thread(held.begun.wait, WAITING_S)
        lost = gone.create_task(turns.take(str))
        gone.call_soon(gone.stop)
        await asyncio.to_thread(gone.run_forever)
        assert not lost.done()
        gone.close()
        last = asyncio.ensure_future(turns.take(lambda: "last"))
        await asyncio.sleep(0)
        held.may_go.set()
        return f"{await asked} {await last}"

    try:
        assert stays.run_until_complete(both()) == "held last"
    finally:
        stays.run_until_complete(stays.shutdown_default_executor())
        stays.close()


def test_a_call_sees_the_context_of_who_asked() -> None:
    turns, who = Turns(), ContextVar("who", default="nobody")

    async def asked(name: str) -> str:
        who.set(name)
        return await turns.take(who.get)

    async def both() -> list[str]:
        return list(await asyncio.gather(asked("a"), asked("b")))

    assert asyncio.run(both()) == ["a", "b"]


def test_many_recalls_at_once_find_what_one_alone_finds_in_a_memory_and_in_a_draft() -> None:
    asked = [f"number {n}" for n in range(40)]

    async def all_of(memory: Memory) -> tuple[list[list[Hit]], list[list[Hit]]]:
        with memory.draft() as draft:
            draft.insert("number 7 is lucky")
            alone = [memory.recall(text, now=1e9) for text in asked] + [draft.recall(text, now=1e9) for text in asked]
            calls = [handle.arecall(text, now=1e9) for handle in (memory, draft) for text in asked]
            return alone, await asyncio.gather(*calls)

    with Memory.open(":memory:", embedder="hash") as memory:
        memory.insert([f"the number {n} has {n} stones" for n in range(40)])
        alone, together = asyncio.run(all_of(memory))
    assert together == alone
    assert any("lucky" in hit.item.text for hit in together[47])
