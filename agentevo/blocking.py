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
from concurrent import futures
from typing import Any, Generic, ParamSpec, TypeVar, cast

P = ParamSpec("P")
T = TypeVar("T")

_LOCK = threading.Lock()
_LOOP: asyncio.AbstractEventLoop | None = None
_pid = 0


def wait(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine to its end from plain code, also where a loop is running (a notebook).

    Who is interrupted meanwhile (Ctrl-C) goes on once the coroutine has closed what it opened; a second time, at once.
    """
    loop = _background()
    if _is_inside(loop):
        coroutine.close()
        raise RuntimeError("a plain verb was called from within agentevo's own loop; await its a... twin there")
    running = _Running(coroutine)
    try:
        loop.call_soon_threadsafe(running.begin)
        return running.outcome.result()
    except BaseException:
        if not running.outcome.done():
            loop.call_soon_threadsafe(running.cancel)
            futures.wait([running.outcome])
        raise


def later(delay_s: float, call: Callable[[], object]) -> None:
    """Have something called after a while, also where the loop that runs here ends before that."""
    loop = _background()
    if _is_inside(loop):
        loop.call_later(delay_s, call)
    else:
        loop.call_soon_threadsafe(loop.call_later, delay_s, call)


def _is_inside(loop: asyncio.AbstractEventLoop) -> bool:
    try:
        return asyncio.get_running_loop() is loop
    except RuntimeError:
        return False


class _Running(Generic[T]):
    """A coroutine that runs in a loop of another thread, and what it came to, known only when it has ended."""

    def __init__(self, coroutine: Coroutine[Any, Any, T]) -> None:
        self._coroutine = coroutine
        self._task: asyncio.Task[T] | None = None
        self.outcome: futures.Future[T] = futures.Future()

    def begin(self) -> None:
        self._task = asyncio.get_running_loop().create_task(self._coroutine)
        self._task.add_done_callback(self._ended)

    def cancel(self) -> None:
        if self._task is not None:
            self._task.cancel()
        else:  # interrupted before it was handed to the loop
            self._coroutine.close()
            self.outcome.set_exception(futures.CancelledError())

    def _ended(self, task: asyncio.Task[T]) -> None:
        if task.cancelled():
            self.outcome.set_exception(futures.CancelledError())
        elif (error := task.exception()) is not None:
            self.outcome.set_exception(error)
        else:
            self.outcome.set_result(task.result())


def _background() -> asyncio.AbstractEventLoop:
    """Return the loop that all plain verbs share; it runs in a daemon thread from the first use on."""
    global _LOOP, _pid
    with _LOCK:
        if _LOOP is None or _LOOP.is_closed() or _pid != os.getpid():  # a forked child has the loop, not its thread
            _LOOP, _pid = asyncio.new_event_loop(), os.getpid()
            threading.Thread(target=_serve, args=(_LOOP,), name="agentevo-loop", daemon=True).start()
        return _LOOP


def _serve(loop: asyncio.AbstractEventLoop) -> None:
    while True:
        try:
            return loop.run_forever()
        except (SystemExit, KeyboardInterrupt):
            # A task that raises these stops the loop; who waits for that task is told, and the others go on.
            continue


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

    What it yields is gathered there, too. The method is looked up by its name, so that a class which overrides the verb
    has the right twin.
    """

    @functools.wraps(plain)
    async def asynchronous(*args: P.args, **kwargs: P.kwargs) -> T:
        verb: Callable[..., T] = getattr(args[0], plain.__name__)
        return await asyncio.to_thread(_gathered, functools.partial(verb, *args[1:], **kwargs))

    return asynchronous


def _gathered(call: Callable[[], T]) -> T:
    found = call()
    return cast(T, iter(list(found))) if isinstance(found, Iterator) else found
