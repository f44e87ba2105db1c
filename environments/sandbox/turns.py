"""The fair queue: so many runs at once, the others in the order they came."""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import AsyncIterator
from concurrent.futures import Future
from contextlib import asynccontextmanager
from dataclasses import dataclass, field


@dataclass(slots=True)
class Turns:
    """A number of places, taken in order of arrival, from any thread and any event loop."""

    places: int
    _free: int = field(init=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, init=False)
    _waiting: deque[tuple[int, Future[None]]] = field(default_factory=deque, init=False)

    def __post_init__(self) -> None:
        self._free = self.places

    @asynccontextmanager
    async def taken(self, *, alone: bool = False) -> AsyncIterator[None]:
        """Wait for a place, or for all of them, and give it back in the end."""
        wanted = self.places if alone else 1
        await self._take(wanted)
        try:
            yield
        finally:
            self._give(wanted)

    async def _take(self, wanted: int) -> None:
        entry: tuple[int, Future[None]] = (wanted, Future())
        with self._lock:
            if not self._waiting and self._free >= wanted:
                self._free -= wanted
                return
            self._waiting.append(entry)
        try:
            await asyncio.wrap_future(entry[1])
        except asyncio.CancelledError:
            with self._lock:
                is_waiting = entry in self._waiting
                if is_waiting:
                    self._waiting.remove(entry)
            self._give(0 if is_waiting else wanted)
            raise

    def _give(self, count: int) -> None:
        called = []
        with self._lock:
            self._free += count
            while self._waiting and self._free >= self._waiting[0][0]:
                wanted, turn = self._waiting.popleft()
                self._free -= wanted
                called.append(turn)
        for turn in called:
            if turn.set_running_or_notify_cancel():
                turn.set_result(None)
