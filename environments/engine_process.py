"""A worker process and the line to it, from our side: how it is started, and that every way it can fail is told."""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import weakref
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from agentevo.environments.engine_line import SHOWN, Broken, Line, Said
from agentevo.environments.walls import Walls, system, walled
from agentevo.errors import AgentEvoError, Misuse
from agentevo.quote import clean, cut
from agentevo.types import Json

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
    """The process, and our ends of the lines to it; bound to no event loop."""

    def __init__(self, factory: str, arguments: Mapping[str, Json], walls: Walls) -> None:
        self._name, self._home = factory, tempfile.mkdtemp(prefix="agentevo-engine-")
        ours, theirs = socket.socketpair()
        try:
            with theirs:
                self._process = subprocess.Popen(
                    _command(factory, arguments, walls, self._home), stdin=theirs.fileno(), stdout=subprocess.DEVNULL,
                    stderr=subprocess.PIPE, env=walls.environment(self._home), cwd=self._home, start_new_session=True,
                )  # fmt: skip
        except BaseException as error:
            ours.close()
            shutil.rmtree(self._home, ignore_errors=True)
            if isinstance(error, OSError):
                raise EngineGone(f"the engine {factory} could not be started: {error}") from error
            raise
        assert self._process.stderr is not None
        self._said = Said(self._process.stderr)
        self._line = Line(ours, self._said)
        self._direct: dict[str, Line] = {}
        self._number, self._is_ready, self._is_killed = 0, False, False
        self._finalizer = weakref.finalize(
            self, _end, self._process, self._line, self._direct, self._said, self._home, os.getpid()
        )

    @property
    def has_ended(self) -> bool:
        return self._is_killed or self._process.poll() is not None

    @property
    def is_waited_for(self) -> bool:
        """Whether somebody waits for an answer, who must hear of its end before the lines are closed."""
        return any(line.is_waited_at for line in self._lines())

    def is_gone(self) -> bool:
        """Say whether nobody is left who could say anything: it has ended, and all it started."""
        self._said.listen()
        return self._said.is_silent and self._process.poll() is not None

    async def exchanged(self, calls: list[Json], timeout_s: float) -> list[Json]:
        """Send calls, and return their values. Answers to what nobody waits for any more are passed over."""
        with self._told(calls, timeout_s):
            return await self._exchanged(calls, asyncio.get_running_loop().time() + timeout_s)

    async def direct(self, name: str, asked: Sequence[bytes], timeout_s: float) -> list[bytes] | None:
        """Ask what the engine gives a line to by that name, one after the other; None where it gives none."""
        with self._told([[name]], timeout_s):
            until = asyncio.get_running_loop().time() + timeout_s
            line = self._direct.get(name) or await self._opened(name, until)
            if line is None:
                return None
            try:
                return [await line.ask(one, until) for one in asked]
            except BaseException:  # what is still to come on it would be taken for other answers
                self._direct.pop(name).close()
                raise

    async def _opened(self, name: str, until: float) -> Line | None:
        with self._line.taking() as handed:
            await self._exchanged([["line", {"name": name}]], until)
            if not handed:
                return None
            end = socket.socket(fileno=handed[0])
            del handed[0]
        line = self._direct[name] = Line(end, self._said)
        return line

    async def _exchanged(self, calls: list[Json], until: float) -> list[Json]:
        self._number += 1
        number = self._number
        data = _encoded({"id": number, "calls": calls}).encode("ascii") + b"\n"
        try:
            await self._line.send(data, until)
        except asyncio.CancelledError:  # a line that is cut off is as bad as no worker
            self.kill()
            raise
        while True:
            answer = _parsed(await self._line.receive(until))
            if not self._is_ready:
                self._is_ready = True
                if "error" in answer:
                    raise Broken(f"could not be made: {_as_told(answer['error'])[0]}")
            elif answer.get("id") == number:
                return _values(answer)

    @contextlib.contextmanager
    def _told(self, calls: list[Json], timeout_s: float) -> Iterator[None]:
        """Tell every way in which no answer came as EngineGone."""
        Line.waiting += 1
        try:
            yield
        except TimeoutError:
            raise self._gone(f"did not answer {_methods(calls)} within {timeout_s:g} s, and was stopped") from None
        except (Broken, OSError) as error:
            raise self._gone(str(error) if isinstance(error, Broken) else "ended") from error
        finally:
            Line.waiting -= 1

    def _gone(self, how: str) -> EngineGone:
        with contextlib.suppress(subprocess.TimeoutExpired):
            if how == "ended":
                how += f" with status {self._process.wait(0.2)}"
        words = clean(self._said.last_words())
        return EngineGone(f"the engine {self._name} {clean(how)}" + (f"; its last words: {words}" if words else ""))

    def kill(self) -> None:
        """End the worker's whole group; behind a wall that is every process it ever started."""
        self._is_killed = True  # it may take a moment to end, in which nobody should ask it any more
        with contextlib.suppress(ProcessLookupError):
            if self._process.poll() is None:
                os.killpg(self._process.pid, signal.SIGKILL)
        for line in self._lines():
            line.cut()

    def end(self) -> None:
        """Let go of all that is left of it."""
        self._finalizer()

    def _lines(self) -> list[Line]:
        return [self._line, *self._direct.values()]


def _end(
    process: subprocess.Popen[bytes], line: Line, direct: Mapping[str, Line], said: Said, home: str, owner: int
) -> None:
    """End a worker, whether or not somebody else did; in a forked child it is not ours to end."""
    for one in (line, *direct.values()):
        one.close()
    said.close()
    if os.getpid() == owner:
        with contextlib.suppress(ProcessLookupError):
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        shutil.rmtree(home, ignore_errors=True)


def _parsed(line: bytes) -> dict[str, Json]:
    try:
        answer = _decoded(line.decode())
    except (ValueError, RecursionError) as error:
        raise Broken(f"does not answer in JSON ({error})") from error
    if not isinstance(answer, dict):
        raise Broken(f"does not answer in the form that was agreed on: {answer!r:.200}")
    return answer


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
        raise EngineRaised(*_as_told(answer["error"]))
    values = answer.get("values")
    return values if isinstance(values, list) else [None]


def _as_told(error: Json) -> tuple[str, str]:
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
