"""The workers of one sandbox: a zygote that is started again when it dies, and warm workers kept ready."""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import AsyncIterator, Sequence
from concurrent.futures import Future
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from agentevo.blocking import later
from agentevo.environments.sandbox import channel
from agentevo.environments.sandbox.limits import Limits
from agentevo.environments.sandbox.results import SandboxBroken
from agentevo.environments.sandbox.zygote import TierFailed, Worker, Zygote

WORKER_TIMEOUT_S = 30.0
RENEW_S = 0.001
"""So long after a run the next worker is asked for: to make one at once would keep its caller from the processors."""


@dataclass(slots=True)
class Pool:
    """Hands out each worker once; `limits` are what the warm ones are made with."""

    tier: str
    limits: Limits
    spares: int
    readable: Sequence[str] = ()
    zygote: Zygote | None = field(default=None, init=False)
    is_closed: bool = field(default=False, init=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, init=False)
    _warm: deque[Future[Worker]] = field(default_factory=deque, init=False)
    _left: deque[tuple[Zygote, int]] = field(default_factory=deque, init=False)

    def start(self) -> Zygote:
        """Return the zygote, a new one where there is none or the last has died."""
        with self._lock:
            if self.is_closed:
                raise SandboxBroken("this sandbox was closed; open a new one")
            if self.zygote is None or not self.zygote.is_alive:
                if self.zygote is not None:
                    self.zygote.close()
                self._discard_warm()
                try:
                    self.zygote = Zygote(self.tier, self.readable)
                except TierFailed as error:
                    raise SandboxBroken(str(error)) from error
                self._warm.extend(self.zygote.ask(self.limits) for _ in range(self.spares))
            return self.zygote

    @asynccontextmanager
    async def worker(self, limits: Limits) -> AsyncIterator[Worker]:
        """Give a worker whose walls are up; when this is left, however it is left, the worker ends."""
        zygote, worker = await self._ready(limits)
        try:
            yield worker
        except BaseException:
            zygote.kill(worker.number)  # the closed channel ends it too, unless its supervisor hangs
            raise
        finally:
            worker.channel.close()
            self._give_up(zygote, worker)

    async def _ready(self, limits: Limits) -> tuple[Zygote, Worker]:
        """Return a worker that says it is ready; warm ones may have died since they were made."""
        for left in range(self.spares + 1, -1, -1):
            zygote = self.zygote
            if zygote is None or not zygote.is_alive:
                zygote = await asyncio.to_thread(self.start)
            try:
                async with asyncio.timeout(WORKER_TIMEOUT_S):
                    return zygote, await self._warmed(zygote, limits)
            except TimeoutError:
                raise SandboxBroken(f"no worker was ready within {WORKER_TIMEOUT_S:.0f} s") from None
            except SandboxBroken:
                if not left:
                    raise
        raise SandboxBroken("no worker came up")

    async def _warmed(self, zygote: Zygote, limits: Limits) -> Worker:
        given = self._next(zygote, limits)
        try:
            worker = given.result() if given.done() else await asyncio.wrap_future(given)
        except BaseException:
            given.add_done_callback(_close)  # it may have come in the same moment in which nobody waited any more
            raise
        try:
            worker.channel.setblocking(False)
            await channel.receive(worker)
            if channel.is_gone(worker):  # what it said when it was ready is there to be read even so
                raise SandboxBroken("a worker ended while it was kept ready")
        except BaseException:
            worker.channel.close()
            raise
        return worker

    def _next(self, zygote: Zygote, limits: Limits) -> Future[Worker]:
        """Take a warm worker where one fits, else have one made."""
        fits = limits.disk_mb == self.limits.disk_mb and limits.files == self.limits.files
        with self._lock:
            return self._warm.popleft() if fits and self._warm else zygote.ask(limits)

    def _give_up(self, zygote: Zygote, worker: Worker) -> None:
        """Have a worker that has served replaced soon."""
        with self._lock:
            self._left.append((zygote, worker.number))
            is_first = len(self._left) == 1
        if is_first:
            later(RENEW_S, self._renew)

    def _renew(self) -> None:
        """Have as many workers warmed up as there were."""
        with self._lock:
            while self._left:
                zygote, number = self._left.popleft()
                zygote.leave(number)
            if self.zygote is not None and self.zygote.is_alive:
                self._warm.extend(self.zygote.ask(self.limits) for _ in range(self.spares - len(self._warm)))

    def _discard_warm(self) -> None:
        """Give up the warm workers, those too that are still on their way."""
        for one in self._warm:
            one.add_done_callback(_close)
        self._warm.clear()

    def close(self) -> None:
        """End everything; closing twice is fine."""
        with self._lock:
            self.is_closed = True
            self._discard_warm()
            if self.zygote is not None:
                self.zygote.close()


def _close(given: Future[Worker]) -> None:
    if not given.cancelled() and given.exception() is None:
        given.result().channel.close()
