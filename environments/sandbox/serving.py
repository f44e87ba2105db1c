"""A sandbox as a service: what Endpoint speaks to."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import os
from collections.abc import Callable
from contextlib import AsyncExitStack

from agentevo.environments.sandbox.box import wire
from agentevo.environments.sandbox.box.wire import Message
from agentevo.environments.sandbox.limits import Limits
from agentevo.environments.sandbox.remote import as_address
from agentevo.environments.sandbox.results import RunResult, SandboxError
from agentevo.environments.sandbox.sandbox import Sandbox
from agentevo.environments.sandbox.session import Session
from agentevo.errors import Misuse


async def serve(sandbox: Sandbox, address: str, ready: Callable[[str], None] = lambda _: None) -> None:
    """Do what comes in over connections until this is cancelled; tell `ready` where, once it can be reached.

    Whoever reaches the address may run programs in the sandbox, and do nothing else. A socket's file is its user's
    only. Raises OSError where the address is taken.
    """
    place = as_address(address)

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, EOFError, wire.Broken):
            async with AsyncExitStack() as stack:
                await _Talk(sandbox, reader, writer, stack).go_on()
        writer.close()

    if isinstance(place, str):
        before = os.umask(0o177)
        try:
            server = await asyncio.start_unix_server(talk, place)
        finally:
            os.umask(before)
        reached = place
    else:
        server = await asyncio.start_server(talk, *place)
        reached = f"{place[0]}:{server.sockets[0].getsockname()[1]}"
    async with server:
        ready(reached)
        await server.serve_forever()


class _Talk:
    """One connection: requests, one after the other; when the other side goes, so does what runs for it."""

    def __init__(
        self, sandbox: Sandbox, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, stack: AsyncExitStack
    ) -> None:
        self._sandbox, self._reader, self._writer, self._stack = sandbox, reader, writer, stack
        self._session: Session | None = None

    async def go_on(self) -> None:
        while True:
            size = wire.length(await self._reader.readexactly(wire.HEAD.size))
            request = wire.unpack(await self._reader.readexactly(size))
            answer = await self._while_there(request)
            if answer is None:
                return
            self._writer.write(wire.pack(answer))
            await self._writer.drain()

    async def _while_there(self, request: Message) -> Message | None:
        """Do what is asked; None where the other side left, or spoke, before it had its answer."""
        doing, leaving = asyncio.ensure_future(self._answer(request)), asyncio.ensure_future(self._reader.read(1))
        try:
            await asyncio.wait((doing, leaving), return_when=asyncio.FIRST_COMPLETED)
            return doing.result() if doing.done() else None
        finally:
            doing.cancel()
            leaving.cancel()
            await asyncio.wait((doing, leaving))

    async def _answer(self, request: Message) -> Message:
        try:
            if "file" in request:
                return await self._file(request)
            given = request.get("limits")
            limits = Limits(**given) if isinstance(given, dict) else self._sandbox.limits
            match request.get("mode"):
                case "run":
                    return (await self._run(request, limits)).model_dump(mode="json")
                case "judge":
                    return await self._judge(request, limits)
                case "open":
                    self._session = await self._stack.enter_async_context(await self._sandbox.asession(limits=limits))
                    return {}
                case "session" if self._session:
                    stdin = _bytes(request.get("stdin"))
                    result = await self._session.arun(str(request["code"]), stdin=stdin, timeout_s=limits.wall_s)
                    return {**result.model_dump(mode="json"), "ended": self._session.is_over}
            return {"failed": f"there is no mode {request.get('mode')!r} here"}
        except (Misuse, SandboxError, TypeError, KeyError, ValueError) as error:
            return {"failed": f"{type(error).__name__}: {error}"}

    async def _run(self, request: Message, limits: Limits) -> RunResult:
        files, stdin = _files(request.get("files")), _bytes(request.get("stdin"))
        return await self._sandbox.arun(str(request["code"]), files=files, stdin=stdin, limits=limits)

    async def _judge(self, request: Message, limits: Limits) -> Message:
        verdict = await self._sandbox.ajudge(
            str(request["candidate"]), str(request["tests"]), str(request["entry_point"]),
            support=str(request["support"]) or None, files=_files(request.get("files")), limits=limits,
        )  # fmt: skip
        return verdict.model_dump(mode="json")

    async def _file(self, request: Message) -> Message:
        if self._session is None:
            return {"failed": "files are those of a session, and none was opened"}
        name = str(request.get("name", ""))
        try:
            match request["file"]:
                case "read":
                    return {"content": base64.b64encode(await self._session.aread(name)).decode("ascii")}
                case "write":
                    await self._session.awrite(name, base64.b64decode(str(request["content"]), validate=True))
                    return {}
                case _:
                    return {"names": await self._session.afiles()}
        except Misuse as error:
            return {"refused": str(error).removeprefix(f"file {name!r}: ")}


def _files(given: object) -> dict[str, str | bytes]:
    table = given if isinstance(given, dict) else {}
    return {str(name): base64.b64decode(str(content), validate=True) for name, content in table.items()}


def _bytes(given: object) -> bytes:
    return str(given or "").encode("utf-8", "surrogateescape")
