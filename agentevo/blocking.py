"""The two doors of every verb: plain for users, `a...` for those who wait on many things at once.

A verb that waits on models is written asynchronously and gets its plain twin by `blocking`; a verb that reads and
writes a disk is written plainly and gets its asynchronous twin by `threaded`. No twin is written by hand.
"""

from __future__ import annotations

import asyncio
import functools
import os
import threading
from collections.abc import AsyncGenerator, Callable, Coroutine, Iterator
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")

_LOCK = threading.Lock()
_LOOP: asyncio.AbstractEventLoop | None = None
_pid = 0


def wait(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine to its end from plain code, also where a loop is running (a notebook)."""
    loop = _background()
    try:
        inside = asyncio.get_running_loop() is loop
    except RuntimeError:
        inside = False
    if inside:
        coroutine.close()
        raise RuntimeError("a plain verb was called from within agentevo's own loop; await its a... twin there")
    future = asyncio.run_coroutine_threadsafe(coroutine, loop)
    try:
        return future.result()
    except BaseException:
        future.cancel()
        raise


def _background() -> asyncio.AbstractEventLoop:
    """Return the loop that all plain verbs share; it runs in a daemon thread from the first use on."""
    global _LOOP, _pid
    with _LOCK:
        if _LOOP is None or _LOOP.is_closed() or _pid != os.getpid():  # a forked child has the loop, not its thread
            _LOOP, _pid = asyncio.new_event_loop(), os.getpid()
            threading.Thread(target=_LOOP.run_forever, name="agentevo-loop", daemon=True).start()
        return _LOOP


def blocking(asynchronous: Callable[P, Coroutine[Any, Any, T]]) -> Callable[P, T]:
    """Return the plain twin of an asynchronous verb."""

    @functools.wraps(asynchronous)
    def plain(*args: P.args, **kwargs: P.kwargs) -> T:
        return wait(asynchronous(*args, **kwargs))

    return plain


def iterating(asynchronous: Callable[P, AsyncGenerator[T, None]]) -> Callable[P, Iterator[T]]:
    """Return the plain twin of an asynchronous generator; closing it early ends the other one too."""

    @functools.wraps(asynchronous)
    def plain(*args: P.args, **kwargs: P.kwargs) -> Iterator[T]:
        generator = asynchronous(*args, **kwargs)

        async def following() -> T | None:
            return await anext(generator, None)

        try:
            while (value := wait(following())) is not None:
                yield value
        finally:
            wait(generator.aclose())

    return plain


def threaded(plain: Callable[P, T]) -> Callable[P, Coroutine[Any, Any, T]]:
    """Return the asynchronous twin of a plain method: it runs in a thread, so the loop goes on.

    The method is looked up by its name, so that a class which overrides the verb has the right twin too.
    """

    @functools.wraps(plain)
    async def asynchronous(*args: P.args, **kwargs: P.kwargs) -> T:
        verb: Callable[..., T] = getattr(args[0], plain.__name__)
        return await asyncio.to_thread(verb, *args[1:], **kwargs)

    return asynchronous
