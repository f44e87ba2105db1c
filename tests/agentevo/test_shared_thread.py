"""A shared thread: calls that wait at once are made one after another, and each caller hears what is its own."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextvars import ContextVar
from functools import partial
from typing import Any

import pytest

from agentevo.blocking import wait
from agentevo.memory import Memory
from agentevo.shared_thread import SharedThread
from agentevo.types import Hit

WAITING_S = 20.0


def test_calls_are_made_one_at_a_time_in_their_order_and_off_the_loop() -> None:
    thread, made, at_once, threads = SharedThread(), list[int](), list[int](), set[int]()
    inside = threading.Semaphore(1)

    def one(n: int) -> int:
        at_once.append(int(inside.acquire(blocking=False)))
        made.append(n)
        threads.add(threading.get_ident())
        inside.release()
        return n * n

    async def all_of_them() -> list[int]:
        return await asyncio.gather(*(thread.call(partial(one, n)) for n in range(100)))

    assert asyncio.run(all_of_them()) == [n * n for n in range(100)]
    assert made == list(range(100))
    assert all(at_once)
    assert threading.get_ident() not in threads


def test_a_call_that_fails_fails_alone() -> None:
    thread = SharedThread()

    def one(n: int) -> int:
        if n == 3:
            raise ValueError("three")
        return n

    async def all_of_them() -> list[int | BaseException]:
        return await asyncio.gather(*(thread.call(partial(one, n)) for n in range(6)), return_exceptions=True)

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
    thread, made, first, second = SharedThread(), list[str](), Held(), Held()

    async def cancelled_in_its_turn_and_before_it() -> None:
        calls: list[Callable[[], object]] = [first, second, partial(made.append, "no"), partial(made.append, "yes")]
        tasks = [asyncio.create_task(thread.call(call)) for call in calls]
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
    thread = SharedThread()

    async def some(first: int) -> list[int]:
        return await asyncio.gather(*(thread.call(partial(int, n)) for n in range(first, first + 50)))

    with ThreadPoolExecutor(4) as threads:
        got = list(threads.map(lambda first: asyncio.run(some(first)), range(0, 400, 50)))
    assert got == [list(range(first, first + 50)) for first in range(0, 400, 50)]


def test_a_call_waits_for_no_thread_that_a_loop_gives_out() -> None:
    """All of those may be waiting for this very call: for an agent that runs in each and recalls in another loop."""
    thread, held = SharedThread(), Held()

    def elsewhere() -> str:
        held()
        return asyncio.run(asyncio.wait_for(thread.call(lambda: "there"), WAITING_S))

    async def while_all_threads_wait() -> list[str]:
        asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(1))
        other = asyncio.create_task(asyncio.to_thread(elsewhere))
        await asyncio.sleep(0)
        here = asyncio.create_task(thread.call(lambda: "here"))
        await asyncio.sleep(0)
        held.may_go.set()
        return list(await asyncio.wait_for(asyncio.gather(here, other), WAITING_S))

    assert asyncio.run(while_all_threads_wait()) == ["here", "there"]


def test_a_loop_that_gives_out_no_threads_is_served_too() -> None:
    thread = SharedThread()

    async def after_the_end() -> str:
        await asyncio.get_running_loop().shutdown_default_executor()
        return await thread.call(lambda: "served")

    assert asyncio.run(after_the_end()) == "served"


@pytest.mark.parametrize("lingers_s", [0.0, 0.001, 60.0])
def test_calls_that_come_late_are_made_as_soon_as_they_come(lingers_s: float) -> None:
    thread = SharedThread(lingers_s)

    async def now_and_then() -> list[int]:
        made = []
        for n in range(200):
            made.append(await thread.call(partial(int, n)))
            await asyncio.sleep(0.001 * (n % 3))
        return made

    assert asyncio.run(asyncio.wait_for(now_and_then(), WAITING_S)) == list(range(200))


FORKED = """
import asyncio, os, threading
from agentevo.shared_thread import SharedThread
thread, begun = SharedThread(), threading.Event()
def held():
    begun.set()
    threading.Event().wait()
threading.Thread(target=asyncio.run, args=(thread.call(held),), daemon=True).start()
begun.wait()
if (child := os.fork()) == 0:
    print(asyncio.run(asyncio.wait_for(thread.call(lambda: "made"), 3)), flush=True)
    os._exit(0)
os.waitpid(child, 0)
os._exit(0)
"""


def test_the_child_of_a_process_that_forked_while_a_call_was_made_makes_its_own() -> None:
    done = subprocess.run([sys.executable, "-c", FORKED], capture_output=True, text=True, timeout=WAITING_S)
    assert done.stdout == "made\n", done.stderr


def test_a_loop_that_is_gone_takes_nothing_from_the_others() -> None:
    thread, held = SharedThread(), Held()
    gone, stays = asyncio.new_event_loop(), asyncio.new_event_loop()
    gone.set_exception_handler(lambda *_: None)  # it would log that a task was left behind, which is the point

    async def both() -> str:
        asked = asyncio.ensure_future(thread.call(held))
        await asyncio.to_thread(held.begun.wait, WAITING_S)
        lost = gone.create_task(thread.call(str))
        gone.call_soon(gone.stop)
        await asyncio.to_thread(gone.run_forever)
        assert not lost.done()
        gone.close()
        last = asyncio.ensure_future(thread.call(lambda: "last"))
        await asyncio.sleep(0)
        held.may_go.set()
        return f"{await asked} {await last}"

    try:
        assert stays.run_until_complete(both()) == "held last"
    finally:
        stays.run_until_complete(stays.shutdown_default_executor())
        stays.close()


def test_a_call_sees_the_context_of_who_asked() -> None:
    thread, who = SharedThread(), ContextVar("who", default="nobody")

    async def asked(name: str) -> str:
        who.set(name)
        return await thread.call(who.get)

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


def test_a_call_that_raises_what_no_future_takes_holds_nobody_up() -> None:
    thread = SharedThread()

    def exhausted() -> int:
        return next(iter(()))

    async def both() -> list[int | BaseException]:
        calls = [thread.call(exhausted), thread.call(lambda: 1)]
        return await asyncio.wait_for(asyncio.gather(*calls, return_exceptions=True), WAITING_S)

    failed, made = asyncio.run(both())
    assert (isinstance(failed, RuntimeError), made) == (True, 1)


class Twice(Memory):
    """A memory whose recall asks again, in another loop, and waits."""

    def recall(self, *args: Any, **kwargs: Any) -> list[Hit]:
        async def again() -> list[Hit]:
            with self.draft() as draft:
                return await draft.arecall(*args, **kwargs)

        return wait(again())


def test_a_recall_of_ones_own_may_wait_for_another() -> None:
    with Twice.open(":memory:", embedder="hash") as memory:
        memory.insert("one stone")
        (hit,) = asyncio.run(asyncio.wait_for(memory.arecall("stone"), WAITING_S))
    assert hit.item.text == "one stone"
