"""Functions run aside from who calls them: plain ones in a thread each, those that wait in a task each.

In a pool a few calls that hang keep all others waiting, and the pool keeps the whole program from ending.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import threading
from collections.abc import Callable, Coroutine
from typing import TypeVar

T = TypeVar("T")

LEAVING_S = 1.0
"""For a task to end once it is cancelled."""


async def aside(function: Callable[[], T]) -> T:
    """Return what a function returns, or raise what it raises; whoever is cancelled meanwhile leaves it running."""
    loop, context = asyncio.get_running_loop(), contextvars.copy_context()
    ended: asyncio.Future[None] = loop.create_future()
    made: list[T] = []
    raised: list[BaseException] = []

    def end() -> None:
        if not ended.done():
            ended.set_result(None)

    def run() -> None:
        try:
            made.append(context.run(function))
        except BaseException as error:  # noqa: BLE001 - it is raised where the function was called
            raised.append(error)
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
            loop.call_soon_threadsafe(end)

    threading.Thread(target=run, name="agentevo-tool", daemon=True).start()
    await ended
    if raised:
        raise raised[0]
    return made[0]


async def apart(work: Coroutine[object, None, T]) -> T:
    """Return the result of a work; whoever is cancelled meanwhile cancels it, and leaves one that goes on all the same.

    What it does to its own task, as cancelling that, is done to no other.
    """
    task = asyncio.ensure_future(work)
    try:
        await asyncio.wait({task})
    except asyncio.CancelledError:
        task.add_done_callback(_pass_over)
        task.cancel()
        await asyncio.wait({task}, timeout=LEAVING_S)
        raise
    return task.result()


def _pass_over(task: asyncio.Task[T]) -> None:
    """Look at an error that nobody waits for any more, or asyncio would complain that nobody did."""
    if not task.cancelled():
        task.exception()
