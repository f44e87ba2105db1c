"""Somebody else's engine in a worker process behind a wall: its methods are asked for in lines of JSON.

A call waits for the ones before it. What the engine raises is EngineRaised, and the engine goes on. A worker that ends,
hangs or talks nonsense is EngineGone, and all it held is lost: the next ask starts a new one, which knows nothing of
before. So it does where the worker ended while nobody asked. Who keeps something in the engine compares `starts`.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TypeVar

from agentevo.environments.engine_process import EngineError, EngineGone, EngineRaised, Process
from agentevo.environments.sandbox.turns import Turns
from agentevo.environments.walls import Walls
from agentevo.errors import Misuse
from agentevo.together import to_the_end
from agentevo.types import Json

__all__ = ["Engine", "EngineError", "EngineGone", "EngineRaised"]

T = TypeVar("T")

ENDS_S = 5.0
"""For a worker that was killed, and all it started, to be gone."""
_FACTORY = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*")


class Engine:
    """An object that `factory`, "package.module:callable", makes of `arguments` in a process of its own.

    Of agentevo's own packages the worker imports the named module alone, not the packages that it stands in. What that
    imports is installed, or lies in its own package: not beside a script, nor in the folder somebody happens to be in.
    It starts with the first ask, and ends with `aclose`, or with this process. One answer may take `timeout_s` seconds.
    """

    def __init__(
        self,
        factory: str,
        *,
        arguments: Mapping[str, Json] | None = None,
        walls: Walls | None = None,
        timeout_s: float = 60.0,
    ) -> None:
        if not _FACTORY.fullmatch(factory):
            raise Misuse(f"factory is {factory!r:.200}; expected 'package.module:callable'")
        if not timeout_s > 0:
            raise Misuse(f"timeout_s is {timeout_s!r}; expected seconds above 0")
        self._factory, self._arguments, self._timeout_s = factory, dict(arguments or {}), timeout_s
        self.walls, self.starts = walls or Walls(), 0
        self._worker: Process | None = None
        self._turns, self._is_closed = Turns(1), False

    def __repr__(self) -> str:
        return f"Engine({self._factory!r})"

    async def ask(self, method: str, /, **arguments: Json) -> Json:
        """Return what a method returns. Raise EngineRaised with what it raises, EngineGone where nothing comes."""
        return (await self._answered([[method, arguments]]))[0]

    async def ask_many(
        self, method: str, arguments: Sequence[Mapping[str, Json]], *, more_s: float = 0.0
    ) -> list[Json]:
        """Return what a method returns for each of several arguments, for the price of one trip to the worker.

        `more_s` is time that this one answer may take beside that of all.
        """
        return await self._answered([[method, dict(given)] for given in arguments], more_s)

    async def ask_direct(self, name: str, asked: Sequence[bytes]) -> list[bytes] | None:
        """Send bytes past the worker, one after the other, and return the line that comes back for each.

        They go to the socket that the engine's method `line(name)` returned, to a program of its own, say: one more
        process on the way would cost more than a short answer. None where the method returned no socket.
        """
        return await self._taken(lambda worker: worker.direct(name, asked, self._timeout_s))

    async def aclose(self) -> None:
        """End the worker and all that it started; closing twice is fine. Who waits for an answer gets EngineGone."""
        self._is_closed = True
        await self._end()

    async def _answered(self, calls: list[Json], more_s: float = 0.0) -> list[Json]:
        return await self._taken(lambda worker: worker.exchanged(calls, self._timeout_s + more_s))

    async def _taken(self, exchange: Callable[[Process], Awaitable[T]]) -> T:
        async with self._turns.taken():
            if self._is_closed:
                raise Misuse(f"{self!r} is closed; make another one")
            worker = self._running()
            try:
                return await exchange(worker)
            except EngineGone:
                await self._end()
                raise

    def _running(self) -> Process:
        """Return the worker, a new one where there is none, or where it ended while nobody was asking."""
        if self._worker is not None and self._worker.has_ended:
            self._worker.end()
            self._worker = None
        if self._worker is None:
            self._worker = Process(self._factory, self._arguments, self.walls)
            self.starts += 1
        return self._worker

    async def _end(self) -> None:
        worker, self._worker = self._worker, None
        if worker is not None:
            await to_the_end(_ended(worker))


async def _ended(worker: Process) -> None:
    worker.kill()
    clock = asyncio.get_running_loop().time
    until = clock() + ENDS_S
    # A line that is closed wakes nobody: who waits at it must have gone before.
    while (worker.is_waited_for or not worker.is_gone()) and clock() < until:  # noqa: ASYNC110 - so does no end
        await asyncio.sleep(0.002)
    worker.end()
