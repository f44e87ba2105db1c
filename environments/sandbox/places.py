"""Where programs run: in workers of this machine, or at a service elsewhere."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Protocol

from agentevo.environments.sandbox import channel, pair
from agentevo.environments.sandbox.box.wire import Broken, Message
from agentevo.environments.sandbox.channel import OVERTIME_S
from agentevo.environments.sandbox.limits import Limits
from agentevo.environments.sandbox.pair import Case
from agentevo.environments.sandbox.pool import Pool
from agentevo.environments.sandbox.remote import Connection, Remote
from agentevo.environments.sandbox.results import SandboxBroken, Verdict


class Asking(Protocol):
    """A conversation: jobs and their reports."""

    async def ask(self, job: Message, limits: Limits) -> Message: ...


class Place(Protocol):
    """What a sandbox needs of where its programs run."""

    tier: str

    def line(self, limits: Limits) -> AbstractAsyncContextManager[Asking]: ...
    def session(self, limits: Limits) -> AbstractAsyncContextManager[Asking]: ...
    async def judge(self, case: Case, limits: Limits) -> Verdict: ...
    def close(self) -> None: ...


class Here:
    """Workers of a zygote on this machine."""

    def __init__(self, pool: Pool) -> None:
        self.pool, self.tier = pool, pool.tier

    @asynccontextmanager
    async def line(self, limits: Limits) -> AsyncIterator[Asking]:
        """Give a conversation with a worker, which ends when this is left."""
        async with self.pool.worker(limits) as worker:
            yield channel.Line(worker)

    session = line

    async def judge(self, case: Case, limits: Limits) -> Verdict:
        """Judge in two workers."""
        return await pair.judge(self.pool, case, limits)

    def close(self) -> None:
        """End everything that runs."""
        self.pool.close()


class Elsewhere:
    """A service that has promised the same walls; see Remote."""

    tier = "remote"

    def __init__(self, remote: Remote) -> None:
        self.remote = remote

    @asynccontextmanager
    async def line(self, limits: Limits) -> AsyncIterator[Asking]:
        """Give a conversation with a machine of the service, which ends when this is left."""
        try:
            connection = await self.remote.connect()
        except (OSError, EOFError) as error:
            raise SandboxBroken(f"the remote sandbox cannot be reached ({error})") from error
        try:
            yield _Checked(connection)
        finally:
            await connection.close()

    @asynccontextmanager
    async def session(self, limits: Limits) -> AsyncIterator[Asking]:
        """Give a conversation that is a session from its beginning."""
        async with self.line(limits) as line:
            await line.ask({"mode": "open", "limits": limits.as_dict()}, limits)
            yield line

    async def judge(self, case: Case, limits: Limits) -> Verdict:
        """Have a solution judged there."""
        job: Message = {
            "mode": "judge", "candidate": case.candidate, "files": case.files, "tests": case.tests,
            "entry_point": case.entry_point, "support": case.support, "limits": limits.as_dict(),
        }  # fmt: skip
        async with self.line(limits) as line:
            answer = await line.ask(job, limits)
        try:
            return Verdict.model_validate(answer)
        except ValueError as error:
            raise SandboxBroken(f"the remote sandbox gave no verdict ({error})") from error

    def close(self) -> None:
        """Nothing is held between two runs."""


class _Checked:
    """A conversation with a service; whatever goes wrong with it is SandboxBroken."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def ask(self, job: Message, limits: Limits) -> Message:
        patience = limits.wall_s * limits.stretch + OVERTIME_S
        try:
            answer = await asyncio.wait_for(self._connection.ask(job), patience)
        except TimeoutError:
            raise SandboxBroken(f"the remote sandbox did not answer within {patience:.0f} s") from None
        except (OSError, EOFError, Broken) as error:
            raise SandboxBroken(f"the remote sandbox went in the middle of a run ({error})") from error
        if "failed" in answer:
            raise SandboxBroken(f"the remote sandbox could not run anything: {answer['failed']!s:.500}")
        return answer
