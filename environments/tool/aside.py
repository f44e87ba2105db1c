"""Plain functions run aside from the event loop, each in a thread of its own.

In a pool a few calls that hang keep all others waiting, and the pool keeps the whole program from ending.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import threading
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


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
