"""A worker process and the line to it, from our side: how it is started, and that every way it can fail is told."""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import json
import os
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import weakref
from collections.abc import Mapping
from pathlib import Path
from typing import IO

from agentevo.environments.walls import Walls, system, walled
from agentevo.errors import AgentEvoError, Misuse
from agentevo.quote import clean, cut
from agentevo.types import Json

MOST_ANSWER = 64_000_000
"""Bytes in one answer."""
SHOWN = 1_000
"""Characters of what a worker said that an error shows."""
AT_ONCE_S = 0.0005
"""So long an answer is waited for without the event loop, whose way costs more than a short call."""
_CHUNK = 1 << 16
_WORKER = Path(__file__).with_name("engine_worker.py")


class EngineError(AgentEvoError):
    """An engine did not answer a call."""


class EngineRaised(EngineError):
    """The engine raised an exception, `type` is its name; it can still be asked."""

    def __init__(self, message: str, type: str = "") -> None:
        super().__init__(message)
        self.type = type


class EngineGone(EngineError):
    """The worker did not start, ended or hung; what it held is lost, and the next ask starts another one."""


class Process:
    """The process, and our end of the line to it; bound to no event loop."""

    under_way = 0
    """Exchanges of all engines that wait for an answer: where there are others, no one holds up the loop."""

    def __init__(self, factory: str, arguments: Mapping[str, Json], walls: Walls) -> None:
        self._name, self._home = factory, tempfile.mkdtemp(prefix="agentevo-engine-")
        self._line, theirs = socket.socketpair()
        try:
            with theirs:
                self._process = subprocess.Popen(
                    _command(factory, arguments, walls, self._home), stdin=theirs.fileno(), stdout=subprocess.DEVNULL,
                    stderr=subprocess.PIPE, env=walls.environment(self._home), cwd=self._home, start_new_session=True,
                )  # fmt: skip
        except BaseException as error:
            self._line.close()
            shutil.rmtree(self._home, ignore_errors=True)
            if isinstance(error, OSError):
                raise EngineGone(f"the engine {factory} could not be started: {error}") from error
            raise
        assert self._process.stderr is not None
        self._said, self._last_words, self._poll = self._process.stderr, b"", select.poll()
        for descriptor in (self._line.fileno(), self._said.fileno()):
            os.set_blocking(descriptor, False)
            self._poll.register(descriptor, select.POLLIN)
        self._received, self._number, self._is_ready, self._is_silent = bytearray(), 0, False, False
        self._is_killed = False
        self._waiting: asyncio.Future[None] | None = None
        self._finalizer = weakref.finalize(self, _end, self._process, self._line, self._said, self._home, os.getpid())

    @property
    def has_ended(self) -> bool:
        return self._is_killed or self._process.poll() is not None

    @property
    def is_waited_for(self) -> bool:
        """Whether somebody waits for an answer, who must hear of its end before the line is closed."""
        return self._waiting is not None

    def is_gone(self) -> bool:
        """Say whether nobody is left who could say anything: it has ended, and all it started."""
        self._listen()
        return self._is_silent and self._process.poll() is not None

    async def exchanged(self, calls: list[Json], timeout_s: float) -> list[Json]:
        """Send calls, and return their values. Answers to what nobody waits for any more are passed over."""
        self._number += 1
        text = _encoded({"id": self._number, "calls": calls})
        Process.under_way += 1
        try:
            until = asyncio.get_running_loop().time() + timeout_s
            await self._sent(text.encode("ascii") + b"\n", until)
            return await self._received_for(self._number, until)
        except TimeoutError:
            raise self._gone(f"did not answer {_methods(calls)} within {timeout_s:g} s, and was stopped") from None
        except OSError as error:  # it ended before it had read all
            raise self._gone("ended") from error
        finally:
            Process.under_way -= 1

    async def _sent(self, data: bytes, until: float) -> None:
        """Send a line; most fit at once. One that is cut off by a cancellation is as bad as no worker."""
        try:
            sent = self._line.send(data)
        except BlockingIOError:
            sent = 0
        if sent == len(data):
            return
        try:
            async with asyncio.timeout_at(until):
                await asyncio.get_running_loop().sock_sendall(self._line, data[sent:])
        except asyncio.CancelledError:
            self.kill()
            raise

    async def _received_for(self, number: int, until: float) -> list[Json]:
        while True:
            answer = self._parsed(await self._next_line(until))
            if not self._is_ready:
                self._is_ready = True
                if "error" in answer:
                    raise self._gone(f"could not be made: {_told(answer['error'])[0]}")
            elif answer.get("id") == number:
                return _values(answer)

    async def _next_line(self, until: float) -> bytes:
        patience_ms = AT_ONCE_S * 1000 if Process.under_way == 1 else 0
        looked = 0
        while (end := self._received.find(b"\n", looked)) < 0:
            looked = len(self._received)
            if not self._has_read(patience_ms):
                if self._is_killed:
                    raise self._gone("ended")
                await self._something(until)
            patience_ms = 0
        line = bytes(self._received[:end])
        del self._received[: end + 1]
        return line

    def _has_read(self, patience_ms: float) -> bool:
        """Read what there is; say whether it was the end of a line, so that there is no need to wait."""
        ready = [descriptor for descriptor, _ in self._poll.poll(patience_ms)]
        if self._said.fileno() in ready:
            self._listen()
        if self._line.fileno() in ready:
            self._receive()
        return self._received.endswith(b"\n")

    async def _something(self, until: float) -> None:
        """Wait, as others do, until there is something to read."""
        loop = asyncio.get_running_loop()
        ready = self._waiting = loop.create_future()
        descriptors = self._line.fileno(), *([] if self._is_silent else [self._said.fileno()])
        for descriptor in descriptors:
            loop.add_reader(descriptor, _wake, ready)
        try:
            async with asyncio.timeout_at(until):
                await ready
        finally:
            self._waiting = None
            for descriptor in descriptors:
                loop.remove_reader(descriptor)

    def _receive(self) -> None:
        data = self._line.recv(_CHUNK)
        if not data:
            raise self._gone("ended")
        self._received += data
        if len(self._received) > MOST_ANSWER:
            raise self._gone(f"sent more than {MOST_ANSWER // 1_000_000} MB at once, and was stopped")

    def _listen(self) -> None:
        """Keep the last of what the worker says on stderr; who never stops is not listened to on end."""
        for _ in range(0 if self._is_silent else 2):
            try:
                said = os.read(self._said.fileno(), _CHUNK)
            except BlockingIOError:
                return None
            self._last_words = (self._last_words + said)[-SHOWN:]
            if not said:
                self._is_silent = True
                return self._poll.unregister(self._said.fileno())
        return None

    def _parsed(self, line: bytes) -> dict[str, Json]:
        try:
            answer = _decoded(line.decode())
        except (ValueError, RecursionError) as error:
            raise self._gone(f"does not answer in JSON ({error})") from error
        if not isinstance(answer, dict):
            raise self._gone(f"does not answer in the form that was agreed on: {answer!r:.200}")
        return answer

    def _gone(self, how: str) -> EngineGone:
        with contextlib.suppress(subprocess.TimeoutExpired):
            if how == "ended":
                how += f" with status {self._process.wait(0.2)}"
        self._listen()
        words = clean(self._last_words.decode(errors="replace").strip())
        return EngineGone(f"the engine {self._name} {clean(how)}" + (f"; its last words: {words}" if words else ""))

    def kill(self) -> None:
        """End the worker's whole group; behind a wall that is every process it ever started."""
        self._is_killed = True  # it may take a moment to end, in which nobody should ask it any more
        with contextlib.suppress(ProcessLookupError):
            if self._process.poll() is None:
                os.killpg(self._process.pid, signal.SIGKILL)
        if (waiting := self._waiting) is not None:
            with contextlib.suppress(RuntimeError):  # its loop was closed
                waiting.get_loop().call_soon_threadsafe(_wake, waiting)

    def end(self) -> None:
        """Let go of all that is left of it."""
        self._finalizer()


def _end(process: subprocess.Popen[bytes], line: socket.socket, said: IO[bytes], home: str, owner: int) -> None:
    """End a worker, whether or not somebody else did; in a forked child it is not ours to end."""
    line.close()
    said.close()
    if os.getpid() == owner:
        with contextlib.suppress(ProcessLookupError):
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        shutil.rmtree(home, ignore_errors=True)


def _wake(ready: asyncio.Future[None]) -> None:
    if not ready.done():
        ready.set_result(None)


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is no JSON")


# Made once: json's own functions make another one for each call that is not by its defaults.
_encoded = json.JSONEncoder(allow_nan=False, separators=(",", ":")).encode
_decoded = json.JSONDecoder(parse_constant=_refuse).decode


def _methods(calls: list[Json]) -> str:
    names = [call[0] for call in calls if isinstance(call, list)]
    return f"{names[0]!r}" + (f" and {len(names) - 1} more" if len(names) > 1 else "")


def _values(answer: Mapping[str, Json]) -> list[Json]:
    if "error" in answer:
        raise EngineRaised(*_told(answer["error"]))
    values = answer.get("values")
    return values if isinstance(values, list) else [None]


def _told(error: Json) -> tuple[str, str]:
    """Return what an exception in the worker said, and its type, as they can be shown."""
    known = error if isinstance(error, dict) else {}
    message, type_ = (clean(str(known.get(name, "")), SHOWN) for name in ("message", "type"))
    return message or "it did not say what went wrong", cut(type_, 80)


# --- how a worker is started


def _command(factory: str, arguments: Mapping[str, Json], walls: Walls, home: str) -> list[str]:
    packages = _packages(factory.partition(":")[0])
    config = {"factory": factory, "arguments": arguments, "packages": packages, "path": _path()}
    worker = str(_WORKER.resolve())
    command = [sys.executable, "-P", "-s", worker, json.dumps(config)]
    if not walls.walls:
        return command
    if sys.platform != "linux":
        raise Misuse(f"there are no walls on {sys.platform}; Walls(walls=False) runs {factory} with all your rights")
    places = [place for origin, folders in packages.values() for place in (folders or [origin or worker])]
    readable = [*system(), worker, *_path(), *places, *walls.readable]
    return walled(command, readable=readable, writable=[home], network=walls.network, lifeline=True)


def _packages(module: str) -> dict[str, tuple[str | None, list[str]]]:
    """Return where what the factory stands in is found: file and folders; no file for those not to be imported."""
    top, *parts = module.split(".")
    spec = importlib.util.find_spec(top)
    if spec is None:
        raise Misuse(f"there is no module {top!r} to make an engine of; install it, or put it on sys.path")
    folders = [Path(folder).resolve() for folder in spec.submodule_search_locations or ()]
    if top != __name__.partition(".")[0]:
        origin = str(Path(spec.origin).resolve()) if spec.has_location and spec.origin else None
        return {top: (origin, [*map(str, folders)])} if origin or folders else {}
    names = [parts[:count] for count in range(len(parts))]
    return {".".join([top, *name]): (None, [str(folders[0].joinpath(*name).resolve())]) for name in names}


def _path() -> list[str]:
    """Return where the worker finds modules: where we do, but not in the folder that somebody happens to be in."""
    main = getattr(sys.modules.get("__main__"), "__file__", None)
    left_out = {Path.cwd(), *([Path(main).resolve().parent] if main else [])}
    return [path for path in sys.path if path and Path(path).is_absolute() and Path(path).resolve() not in left_out]
