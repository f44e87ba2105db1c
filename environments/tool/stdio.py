"""A server as a process: lines of JSON in and out, with a bound on each, and nothing left running afterwards."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import signal
import sys
import tempfile
from asyncio.subprocess import PIPE, Process
from typing import TYPE_CHECKING, Any

from agentevo.environments.tool.servers import ServerUnavailable, StdioServer
from agentevo.environments.walls import walled
from agentevo.quote import clean
from agentevo.together import to_the_end

if TYPE_CHECKING:
    from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream
    from mcp.shared.message import SessionMessage
    from mcp_types import JSONRPCError

LOG = logging.getLogger(__name__)

MOST_LINE = 64_000_000
"""Bytes in one message: what is read of it is cut afterwards."""
MOST_MESSAGES = 10_000
"""Messages between two of ours."""
MOST_ODD = 200
"""Lines that are no message: some servers print."""
GRACE_S = 1.0
"""For a server to end by itself once nobody speaks to it."""
_CHUNK, _LAST_WORDS = 1 << 16, 2_000


class StdioTransport:
    """The process of one server, as the MCP client wants it: a pair of streams for the length of a block."""

    def __init__(self, server: StdioServer) -> None:
        self._server, self._last_words, self.problem = server, "", ""
        self.was_stopped = False  # by us, with nothing wrong about the process itself
        self._process: Process | None = None
        self._pumps: list[asyncio.Task[None]] = []
        self._since, self._odd = 0, 0
        self._held = contextlib.ExitStack()

    @property
    def is_over(self) -> bool:
        return self._process is not None and (self._process.returncode is not None or bool(self.problem))

    def why(self) -> str:
        """Say what ended it, as far as that is known."""
        code = None if self._process is None else self._process.returncode
        ended = self.problem or (f"it ended with status {code}" if code is not None else "it does not answer")
        return f"{ended}{self.last_words()}"

    def last_words(self) -> str:
        """Return what it said last on stderr, as the end of a sentence; nothing where it said nothing."""
        words = clean(self._last_words.strip())
        return f"; its last words: {words}" if words else ""

    async def __aenter__(
        self,
    ) -> tuple[MemoryObjectReceiveStream[SessionMessage | Exception], MemoryObjectSendStream[SessionMessage]]:
        import anyio
        from mcp.shared.message import SessionMessage

        home = self._server.folder or self._held.enter_context(tempfile.TemporaryDirectory(prefix="agentevo-server-"))
        try:
            self._process = await self._started(home)
        except BaseException:
            self._held.close()
            raise
        to_client, incoming = anyio.create_memory_object_stream[SessionMessage | Exception](0)
        outgoing, from_client = anyio.create_memory_object_stream[SessionMessage](0)
        for pump in (self._read(to_client), self._write(from_client), self._listen()):
            self._pumps.append(asyncio.create_task(pump))
        return incoming, outgoing

    async def __aexit__(self, *_: object) -> None:
        await to_the_end(self._stop())

    async def _started(self, home: str) -> Process:
        server = self._server
        command = [server.program(), *server.args]
        try:
            return await asyncio.create_subprocess_exec(
                *(_walled(server, home, command) if server.walls else command), stdin=PIPE, stdout=PIPE, stderr=PIPE,
                env=server.environment(home), cwd=home, start_new_session=True, limit=_CHUNK,
            )  # fmt: skip
        except OSError as error:
            raise ServerUnavailable(f"{server.command!r} could not be started: {error}") from error

    async def _read(self, to_client: MemoryObjectSendStream[SessionMessage | Exception]) -> None:
        assert self._process is not None
        assert self._process.stdout is not None
        buffer = bytearray()
        with to_client:
            while chunk := await self._process.stdout.read(_CHUNK):
                buffer += chunk
                if b"\n" in chunk:  # or else a long line would be copied with every piece of it
                    *lines, buffer = buffer.split(b"\n")
                    for line in lines:
                        if (message := self._message(bytes(line))) is not None:
                            await to_client.send(message)
                if self._is_flood(len(buffer)):
                    return self._kill()
            await _exited(self._process)  # so that its status can be told
            if self._process.returncode is None:
                self.problem = "it closed its output"
        return None

    def _message(self, line: bytes) -> SessionMessage | None:
        from mcp.shared.message import SessionMessage
        from mcp_types import jsonrpc_message_adapter

        if not line.strip():
            return None
        try:
            try:
                message = jsonrpc_message_adapter.validate_json(line, by_name=False)
            except ValueError:
                message = jsonrpc_message_adapter.validate_json(_mended(line), by_name=False)
        except (ValueError, RecursionError):
            if (failure := _failure(line)) is None:
                self._odd += 1
                return None
            message = failure
        self._since += 1
        return SessionMessage(message)

    def _is_flood(self, waiting: int) -> bool:
        if waiting > MOST_LINE:
            self.problem = f"it sent a message of more than {MOST_LINE // 1_000_000} MB, and was stopped"
        elif self._since > MOST_MESSAGES:
            self.problem = f"it sent more than {MOST_MESSAGES} messages unasked, and was stopped"
        elif self._odd > MOST_ODD:
            self.problem = "it writes what are no messages, and was stopped; a server may print to stderr alone"
        return bool(self.problem)

    async def _write(self, from_client: MemoryObjectReceiveStream[SessionMessage]) -> None:
        assert self._process is not None
        assert self._process.stdin is not None
        try:
            with from_client:
                async for message in from_client:
                    self._since = 0
                    text = message.message.model_dump_json(by_alias=True, exclude_unset=True)
                    self._process.stdin.write(f"{text}\n".encode())
                    await self._process.stdin.drain()
        except OSError:
            await _exited(self._process)  # so that its status can be told
            if self._process.returncode is None:
                self.problem = self.problem or "it closed its input"
                self._kill()  # who waits for an answer of it hears so

    async def _listen(self) -> None:
        """Keep the last of what the server says on stderr."""
        assert self._process is not None
        assert self._process.stderr is not None
        while chunk := await self._process.stderr.read(_CHUNK):
            self._last_words = (self._last_words + chunk.decode(errors="replace"))[-_LAST_WORDS:]

    def _kill(self) -> None:
        """End the server's whole group; behind a wall that is every process it ever started."""
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)

    async def _stop(self) -> None:
        process = self._process
        if process is None:
            return self._held.close()
        self.was_stopped = not self.is_over
        if process.stdin is not None:
            process.stdin.close()
        await _exited(process, 0 if self.problem else GRACE_S)
        self._kill()
        for pump in self._pumps:
            pump.cancel()
        await asyncio.gather(*self._pumps, return_exceptions=True)
        await _exited(process)
        # Process.wait would also wait for whoever else holds the pipes.
        process._transport.close()  # type: ignore[attr-defined]
        return self._held.close()


def _mended(line: bytes) -> bytes:
    """Return a line of JSON with what is no UTF-8 replaced, and halves of surrogate pairs: names of files have both."""
    return json.dumps(_read(line), ensure_ascii=False).encode(errors="replace")


def _failure(line: bytes) -> JSONRPCError | None:
    """Return an answer that is none as a failure, so that who asked need not wait; None where nobody asked for it."""
    from mcp_types import INVALID_REQUEST, ErrorData, JSONRPCError

    try:
        told = _read(line)
    except (ValueError, RecursionError):
        return None
    asked = told.get("id") if isinstance(told, dict) and "method" not in told else None
    if type(asked) not in (int, str):
        return None
    why = ErrorData(code=INVALID_REQUEST, message="what it answered is no message of the protocol")
    return JSONRPCError(jsonrpc="2.0", id=asked, error=why)


def _read(line: bytes) -> Any:
    """Read JSON; some consoles begin with a mark of their byte order."""
    return json.loads(line.decode("utf-8-sig", errors="replace"))


async def _exited(process: Process, patience_s: float = GRACE_S) -> None:
    """Give a process some time to end."""
    clock = asyncio.get_running_loop().time
    until = clock() + patience_s
    while process.returncode is None and clock() < until:  # noqa: ASYNC110 - Process.wait waits for its pipes too
        await asyncio.sleep(0.005)


def _walled(server: StdioServer, home: str, command: list[str]) -> list[str]:
    """Return the command with its wall; as it is, with a warning, where there can be none."""
    if sys.platform != "linux":
        LOG.warning("%s runs without walls: there are none on %s", server.command, sys.platform)
        return command
    return walled(command, readable=server.reads(), writable=[home, *server.writable], network=server.network)
