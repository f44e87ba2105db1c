"""The workers in which the games of an environment run, started when they are needed, and shared by its episodes."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

from agentevo.environments.engine import Engine, EngineGone
from agentevo.environments.walls import Walls
from agentevo.errors import Misuse
from agentevo.types import Json

MOST_WORKERS = 64
STEP_S = 1.0
"""More time for each command that an answer may take: far above what one takes, as a machine may be slow."""


class Crew:
    """So many workers with an engine each; an episode stays with the worker that had the fewest when it was opened.

    Plain code that asks where an event loop is running has a worker of its own: whoever keeps the loop from its turns
    must not wait behind somebody who needs one. Safe from several threads and event loops.

    An answer may take `timeout_s` seconds, and STEP_S more for each of the `steps` that are asked for at once.
    """

    def __init__(
        self, factory: str, arguments: Mapping[str, Json], walls: Walls, workers: int = 1, timeout_s: float = 120.0
    ) -> None:
        if type(workers) is not int or not 1 <= workers <= MOST_WORKERS:
            raise Misuse(f"workers is {workers!r}; expected how many processes play, from 1 to {MOST_WORKERS}")
        self.walls = walls
        *self._engines, self._aside = (
            Engine(factory, arguments=arguments, walls=walls, timeout_s=timeout_s) for _ in range(workers + 1)
        )
        self._episodes = [0] * workers
        self._lock, self._aside_lock = threading.Lock(), threading.Lock()

    def take(self) -> int:
        """Return the place of a worker for an episode."""
        with self._lock:
            place = self._episodes.index(min(self._episodes))
            self._episodes[place] += 1
            return place

    def give(self, place: int) -> None:
        with self._lock:
            self._episodes[place] -= 1

    async def ask(self, place: int, method: str, *, steps: int = 0, **arguments: Json) -> Json:
        """Ask the worker of a place; where it is gone, once more: another one has been started then."""
        try:
            return await self._asked(self._engines[place], method, steps, arguments)
        except EngineGone:
            return await self._asked(self._engines[place], method, steps, arguments)

    async def ask_direct(self, place: int, line: str, asked: Sequence[bytes]) -> list[bytes] | None:
        """Ask past the worker of a place; None where that, or the line, is gone."""
        try:
            return await self._engines[place].ask_direct(line, asked)
        except EngineGone:
            return None

    async def ask_any(self, method: str, *, steps: int = 0, **arguments: Json) -> Json:
        """Ask the worker with the fewest episodes; where it is gone, once more."""
        try:
            return await self.ask_once(method, steps=steps, **arguments)
        except EngineGone:
            return await self.ask_once(method, steps=steps, **arguments)

    async def ask_once(self, method: str, *, steps: int = 0, **arguments: Json) -> Json:
        """Ask the worker with the fewest episodes."""
        place = self.take()
        try:
            return await self._asked(self._engines[place], method, steps, arguments)
        finally:
            self.give(place)

    def ask_now(self, method: str, *, steps: int = 0, **arguments: Json) -> Json:
        """Ask from plain code, also where an event loop is running."""
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            return asyncio.run(self.ask_any(method, steps=steps, **arguments))
        with self._aside_lock, ThreadPoolExecutor(1, "agentevo-engine") as thread:
            return thread.submit(asyncio.run, self._asked(self._aside, method, steps, arguments)).result()

    async def _asked(self, engine: Engine, method: str, steps: int, arguments: Mapping[str, Json]) -> Json:
        return (await engine.ask_many(method, [arguments], more_s=steps * STEP_S))[0]

    async def aclose(self) -> None:
        """End the workers; they end with this object too."""
        for engine in (*self._engines, self._aside):
            await engine.aclose()
