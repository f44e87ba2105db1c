"""A session: one worker that lives for many steps, as a notebook does, with files that can be read and written."""

from __future__ import annotations

import base64
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Self

from agentevo.blocking import blocking
from agentevo.environments.sandbox.box.wire import Message
from agentevo.environments.sandbox.given import as_code, as_files, as_name, as_stdin
from agentevo.environments.sandbox.limits import Limits
from agentevo.environments.sandbox.reports import as_result
from agentevo.environments.sandbox.results import RunResult, SandboxBroken
from agentevo.errors import Misuse

if TYPE_CHECKING:
    from agentevo.environments.sandbox.places import Place
    from agentevo.environments.sandbox.turns import Turns


class Session:
    """Steps share names, files and threads until the session is closed or a limit ends it.

    What a step's result says of its own end (`exit_status` of an `ok` or `error`) is the word of the process it ran
    in: judge solutions with `Sandbox.judge`, not in a session. Memory, time and output are the supervisor's.
    """

    def __init__(self, place: Place, turns: Turns, limits: Limits) -> None:
        self.limits, self._place, self._turns = limits, place, turns
        self._stack, self._over = AsyncExitStack(), ""

    async def astart(self) -> Self:
        """Take the worker; `Sandbox.session` has done so."""
        self._line = await self._stack.enter_async_context(self._place.session(self.limits))
        return self

    async def arun(
        self, code: str | bytes, *, stdin: str | bytes | None = None, timeout_s: float | None = None
    ) -> RunResult:
        """Run one step. A limit that is broken, or a process that ends, ends the session with this step's result."""
        limits = self.limits.within(timeout_s)
        job: Message = {
            "mode": "session", "code": as_code(code), "stdin": as_stdin(stdin), "limits": limits.as_dict(), "files": {}
        }  # fmt: skip
        async with self._turns.taken():
            report = await self._ask(job, limits)
        result = as_result(report)
        if report.get("ended") is True:
            await self.aclose()
            self._over = f"its last step ended with {result.kind}"
        return result

    async def aread(self, name: str) -> bytes:
        """Return what a file holds. Raises Misuse where there is none of that name."""
        return base64.b64decode(str((await self._file({"file": "read", "name": as_name(name)})).get("content", "")))

    async def awrite(self, name: str, content: str | bytes) -> None:
        """Write a file, and the folders it lies in."""
        for path, data in as_files({name: content}, self.limits.disk_mb).items():
            await self._file({"file": "write", "name": path, "content": data})

    async def afiles(self) -> list[str]:
        """Return the names of all files, sorted."""
        found = (await self._file({"file": "names"})).get("names")
        return [str(name) for name in found] if isinstance(found, list) else []

    @property
    def is_over(self) -> bool:
        """Whether nothing more can be run in it."""
        return bool(self._over)

    async def aclose(self) -> None:
        """End the worker and all that runs in it; closing twice is fine."""
        self._over = self._over or "it was closed"
        await self._stack.aclose()

    run, read, write = blocking(arun), blocking(aread), blocking(awrite)
    files, close = blocking(afiles), blocking(aclose)

    async def _file(self, job: Message) -> Message:
        answer = await self._ask(job)
        if "refused" in answer:
            raise Misuse(f"file {job.get('name', '.')!r}: {answer['refused']}")
        return answer

    async def _ask(self, job: Message, limits: Limits | None = None) -> Message:
        if self._over:
            raise Misuse(f"this session is over: {self._over}; open a new one")
        try:
            return await self._line.ask(job, limits or self.limits)
        except SandboxBroken as error:
            await self.aclose()
            self._over = str(error)
            raise
        except BaseException:  # cancelled in the middle of a step: the worker cannot go on from there
            await self.aclose()
            self._over = "a step was cancelled"
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()
