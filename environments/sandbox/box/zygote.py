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
from typing import NoReturn

from agentevo.environments.sandbox.box import candidate, judge, supervisor
from agentevo.environments.sandbox.box.supervisor import Limits, Walls

CONTROL = 3
LOADED = (candidate, judge)
"""Loaded here, because behind the walls their files are not to be seen."""
LOOK_S = 0.5
"""How often it looks whether the agent still lives, which the closed channel mostly says at once."""
MESSAGE = 65536
PRELOADED = (
    "abc", "argparse", "array", "ast", "asyncio", "base64", "bisect", "calendar", "collections", "collections.abc",
    "copy", "csv", "dataclasses", "datetime", "decimal", "difflib", "enum", "fractions", "functools", "hashlib",
    "heapq", "inspect", "io", "itertools", "json", "keyword", "math", "numbers", "operator", "pathlib", "pprint",
    "queue", "random", "re", "shutil", "statistics", "string", "struct", "subprocess", "tempfile", "textwrap",
    "threading", "time", "traceback", "types", "typing", "unicodedata", "unittest", "urllib.parse", "uuid", "zlib",
)  # fmt: skip
"""What solutions use most: loaded once, shared by all workers."""


def main() -> NoReturn:
    """Put up the walls that all workers share, then fork a worker whenever the agent asks for one."""
    config = json.loads(sys.argv[1])
    control = socket.socket(fileno=os.dup2(int(sys.argv[2]), CONTROL))
    os.closerange(CONTROL + 1, 4096)
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    for name in PRELOADED:
        importlib.import_module(name)
    try:
        walls = _walls(str(config["tier"]), [str(path) for path in config["readable"]])
    except OSError as error:
        control.send(json.dumps({"failed": str(error)}).encode())
        os._exit(1)
    control.send(json.dumps({"ready": True}).encode())
    gc.collect()
    gc.freeze()
    with contextlib.suppress(OSError):
        _fork_on_demand(control, walls)
    os._exit(0)


def _walls(tier: str, readable: list[str]) -> Walls:
    if tier == "namespaces":
        from agentevo.environments.sandbox.box.namespaces import Namespaces

        return Namespaces(readable)
    raise OSError(f"unknown tier {tier!r}")


def _fork_on_demand(control: socket.socket, walls: Walls) -> None:
    parent = os.getppid()
    wake, woken = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(woken, warn_on_full_buffer=False)
    poll = select.poll()
    poll.register(control, select.POLLIN)
    poll.register(wake, select.POLLIN)
    while os.getppid() == parent:
        ready = {descriptor for descriptor, _ in poll.poll(LOOK_S * 1000)}
        if wake in ready:
            os.read(wake, MESSAGE)
        _reap()
        if control.fileno() in ready:
            data = control.recv(MESSAGE)
            if not data:
                return
            asked = json.loads(data)
            if "fork" in asked:
                _fork(control, walls, asked["fork"], (wake, woken))
            else:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(int(asked["kill"]), signal.SIGKILL)


def _reap() -> None:
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


def _fork(control: socket.socket, walls: Walls, limits: Limits, mine: tuple[int, int]) -> None:
    """Fork one worker, and hand the agent's end of its channel over."""
    theirs, ours = socket.socketpair()
    try:
        pid = walls.fork()
    except OSError as error:
        control.send(json.dumps({"refused": str(error)}).encode())
        return
    if pid == 0:
        try:
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            for descriptor in (control.detach(), theirs.detach(), *mine):
                os.close(descriptor)
            supervisor.serve(ours, walls, limits)
        finally:
            os._exit(0)
    ours.close()
    socket.send_fds(control, [json.dumps({"worker": pid}).encode()], [theirs.fileno()])
    theirs.close()
