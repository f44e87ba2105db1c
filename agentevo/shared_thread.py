"""Short calls that keep a thread busy: one thread makes all that wait at the moment, one after another.

Where such calls would only wait for each other, a thread for each costs more than the call itself: it is woken, waits
for the interpreter, and wakes the loop that asked.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import threading
from collections import deque
from collections.abc import Callable, Coroutine, Sequence
from contextvars import copy_context
from functools import partial, wraps
from typing import Any, NamedTuple, ParamSpec, TypeVar, cast

P = ParamSpec("P")
T = TypeVar("T")

_TOLD_AT_ONCE = 16
"""So many callers are told together: each telling wakes a loop, and who is first should not wait for the last."""


class _Call(NamedTuple):
    """What is to be made, and who waits for it where."""

    work: Callable[[], object]
    loop: asyncio.AbstractEventLoop
    future: asyncio.Future[Any]


class SharedThread:
    """A thread that makes calls in the order they came, whatever loop they came from.

    A thread that a loop gives out will not do: all of a loop's may be busy with what waits for these very calls.
    """

    def __init__(self, lingers_s: float = 1.0) -> None:
        """lingers_s is how long the thread waits for another call before it ends."""
        self._lingers_s = lingers_s
        self._begin_anew()

    def _begin_anew(self) -> None:
        self._pid = os.getpid()
        self._ready = threading.Condition()
        self._waiting: deque[_Call] = deque()
        self._is_served = False

    async def call(self, work: Callable[[], T]) -> T:
        """Make a call in its turn, in another thread, and return what it returns; cancelled, it may not be made."""
        loop = asyncio.get_running_loop()
        call = _Call(partial(copy_context().run, work), loop, loop.create_future())
        if self._pid != os.getpid():  # a forked child has what waits, not the thread that would make it
            self._begin_anew()
        with self._ready:
            if self._is_served:
                self._ready.notify()
            else:
                threading.Thread(target=self._serve, name="agentevo-shared", daemon=True).start()
                self._is_served = True
            self._waiting.append(call)
        return cast(T, await call.future)

    def _serve(self) -> None:
        while self._make_some():
            pass

    def _make_some(self) -> bool:
        """Make the calls that wait, or come soon; False where none does."""
        calls = self._next()
        _tell([(call, *_outcome(call)) for call in calls if not call.future.cancelled()])
        return bool(calls)

    def _next(self) -> list[_Call]:
        with self._ready:
            if not self._waiting:
                self._ready.wait(self._lingers_s)
            calls = [self._waiting.popleft() for _ in range(min(_TOLD_AT_ONCE, len(self._waiting)))]
            self._is_served = bool(calls)
        return calls


_Outcome = tuple[_Call, object, BaseException | None]


def _outcome(call: _Call) -> tuple[object, BaseException | None]:
    try:
        return call.work(), None
    except StopIteration as error:  # no future takes it, and all who are told with it would wait for ever
        return None, RuntimeError(f"a call raised {error!r}").with_traceback(error.__traceback__)
    except BaseException as error:  # noqa: BLE001 -- whatever it is, who waits is to get it
        return None, error


def _tell(outcomes: Sequence[_Outcome]) -> None:
    for loop in dict.fromkeys(call.loop for call, _, _ in outcomes):
        own = [outcome for outcome in outcomes if outcome[0].loop is loop]
        with contextlib.suppress(RuntimeError):  # the loop was closed, and with it all that waited there
            loop.call_soon_threadsafe(_settle, own)


def _settle(outcomes: Sequence[_Outcome]) -> None:
    for call, value, error in outcomes:
        if call.future.done():  # cancelled meanwhile
            continue
        if error is None:
            call.future.set_result(value)
        else:
            call.future.set_exception(error)


def sharing_thread(plain: Callable[P, T]) -> Callable[P, Coroutine[Any, Any, T]]:
    """Return the asynchronous twin of a plain method: made by the thread its object shares, or else by its own.

    The method is looked up by its name, so that a class which overrides the verb has the right twin too.
    """

    @wraps(plain)
    async def asynchronous(*args: P.args, **kwargs: P.kwargs) -> T:
        handle: Any = args[0]
        verb: Callable[[], T] = partial(getattr(handle, plain.__name__), *args[1:], **kwargs)
        is_own = getattr(type(handle), plain.__name__) is not plain  # it may take long, or wait for one of these
        thread: SharedThread | None = None if is_own else handle._shared_thread()
        return await (asyncio.to_thread(verb) if thread is None else thread.call(verb))

    return asynchronous
