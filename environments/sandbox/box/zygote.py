"""The zygote: a small process, started once, that forks the workers; it knows nothing of any program."""

from __future__ import annotations

import contextlib
import gc
import importlib
import json
import os
import select
import signal
import socket
import sys
import time
from collections import deque
from typing import NoReturn

from agentevo.environments.sandbox.box import program, rehearsal, supervisor, worker
from agentevo.environments.sandbox.box.namespaces import Namespaces
from agentevo.environments.sandbox.box.run import Limits
from agentevo.environments.sandbox.box.shared import Shared
from agentevo.environments.sandbox.box.supervisor import Walls

CONTROL = 3
LOOK_S = 0.5
"""How often it looks whether the agent still lives, which the closed channel mostly says at once."""
MESSAGE = 65536
LEAVING = 16
"""So many workers that nobody needs any more may still be on their way out, with their folders, when one is forked."""
LEAVE_S = 25.0
"""Who takes longer to go may never go, and holds up nobody any more: the agent waits a little longer for a worker."""
PRELOADED = (
    "abc", "argparse", "array", "ast", "base64", "bisect", "calendar", "collections", "collections.abc",
    "copy", "csv", "dataclasses", "datetime", "decimal", "difflib", "enum", "fractions", "functools",
    "heapq", "inspect", "io", "itertools", "json", "keyword", "math", "numbers", "operator", "pathlib", "pprint",
    "queue", "random", "re", "shutil", "statistics", "string", "struct", "subprocess", "tempfile", "textwrap",
    "threading", "time", "traceback", "types", "typing", "unicodedata", "unittest", "urllib.parse", "zlib",
)  # fmt: skip
"""What solutions use most: loaded once, shared by all workers.

Not asyncio, hashlib and uuid: few use them, and each worker, forked with them and ended with them, would take longer
by a tenth.
"""


def main() -> NoReturn:
    """Put up the walls that all workers share, then fork a worker whenever the agent asks for one."""
    config = json.loads(sys.argv[1])
    control = socket.socket(fileno=os.dup2(int(sys.argv[2]), CONTROL))
    os.closerange(CONTROL + 1, 4096)
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    for name in PRELOADED:
        importlib.import_module(name)
    try:
        walls = _walls(str(config["tier"]), [str(path) for path in config["readable"]], str(config["folder"]))
    except OSError as error:
        control.send(json.dumps({"failed": str(error)}).encode())
        os._exit(1)
    worker.open_streams()
    rehearsal.rehearse(walls.proc)
    program.hide()
    control.send(json.dumps({"ready": True}).encode())
    gc.collect()
    gc.freeze()
    Nursery(control, walls).serve()
    os._exit(0)


def _walls(tier: str, readable: list[str], folder: str) -> Walls:
    if tier == "namespaces":
        return Namespaces(readable)
    return Shared(readable, folder, confined=tier == "landlock")


class Leaving:
    """The workers on their way out, each with when it was given up."""

    def __init__(self) -> None:
        self._since: dict[int, float] = {}

    def begin(self, pid: int, now: float) -> None:
        """Count a worker from now on; from when it was first given up where it was before."""
        self._since.setdefault(pid, now)

    def end(self, pid: int) -> None:
        """Count a worker no more."""
        self._since.pop(pid, None)

    def are_many(self, now: float) -> bool:
        """Say whether the next worker has to wait for them."""
        return sum(now - since < LEAVE_S for since in self._since.values()) > LEAVING


class Nursery:
    """Forks workers on demand, takes up those that have ended, and ends all when the agent has gone."""

    def __init__(self, control: socket.socket, walls: Walls) -> None:
        self.control, self.walls = control, walls
        self.alive: set[int] = set()
        self.leaving = Leaving()
        self.asked: deque[Limits] = deque()
        self.wake, self.woken = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(self.woken, warn_on_full_buffer=False)

    def serve(self) -> None:
        """Obey until the agent closes the channel or is no more."""
        parent = os.getppid()
        poll = select.poll()
        poll.register(self.control, select.POLLIN)
        poll.register(self.wake, select.POLLIN)
        is_open = True
        with contextlib.suppress(OSError):
            while is_open and os.getppid() == parent:
                ready = {descriptor for descriptor, _ in poll.poll(LOOK_S * 1000)}
                if self.wake in ready:
                    os.read(self.wake, MESSAGE)
                if self._reap():
                    self.walls.sweep(self.alive)
                if self.control.fileno() in ready:
                    is_open = self._obey(self.control.recv(MESSAGE))
                while self.asked and not self.leaving.are_many(time.monotonic()):
                    self._fork(self.asked.popleft())
        self._end()

    def _obey(self, data: bytes) -> bool:
        """Do what was asked; say whether anything was."""
        if data:
            asked = json.loads(data)
            if "fork" in asked:
                self.asked.append(asked["fork"])
            elif asked.get("left") in self.alive:
                self.leaving.begin(asked["left"], time.monotonic())
            elif asked.get("kill") in self.alive:
                os.kill(asked["kill"], signal.SIGKILL)
        return bool(data)

    def _reap(self) -> bool:
        """Take up what has ended; say whether a supervisor was killed, and may have left something behind."""
        is_killed = False
        with contextlib.suppress(ChildProcessError):
            while True:
                pid, status = os.waitpid(-1, os.WNOHANG)
                if not pid:
                    break
                is_killed |= pid in self.alive and os.WIFSIGNALED(status)
                self.alive.discard(pid)
                self.leaving.end(pid)
        return is_killed

    def _fork(self, limits: Limits) -> None:
        """Fork one worker, and hand the agent's end of its channel over."""
        theirs, ours = socket.socketpair()
        with theirs:
            try:
                pid = self.walls.fork()
            except OSError as error:
                ours.close()
                self.control.send(json.dumps({"refused": str(error)}).encode())
                return
            if pid == 0:
                self._become_supervisor(theirs, ours, limits)
            self.alive.add(pid)
            ours.close()
            socket.send_fds(self.control, [json.dumps({"worker": pid}).encode()], [theirs.fileno()])

    def _become_supervisor(self, theirs: socket.socket, ours: socket.socket, limits: Limits) -> NoReturn:
        try:
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            for descriptor in (self.control.detach(), theirs.detach(), self.wake, self.woken):
                os.close(descriptor)
            supervisor.serve(ours, self.walls, limits)
        finally:
            os._exit(0)

    def _end(self) -> None:
        """End all workers, and what they leave behind."""
        for pid in self.alive:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        for pid in [*self.alive]:
            with contextlib.suppress(ChildProcessError):
                os.waitpid(pid, 0)
        with contextlib.suppress(OSError):
            self.walls.close()
