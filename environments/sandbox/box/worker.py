"""The process that runs a program: walled in first, then told what to run."""

from __future__ import annotations

import base64
import os
import random
import resource
import signal
import socket
import sys
import threading
import traceback
from typing import NoReturn, Protocol

from agentevo.environments.sandbox.box import forks, program, seccomp, wire
from agentevo.environments.sandbox.box.candidate import serve
from agentevo.environments.sandbox.box.judge import judge
from agentevo.environments.sandbox.box.stepping import steps
from agentevo.environments.sandbox.box.syscalls import drop_capabilities

MEGABYTE = 1024 * 1024
LINK = 3
TIMERS = 1024
"""Timers and signals that wait, which the kernel holds in memory of its own."""
ADDRESSES_MB = 2048
"""Room for what is only reserved, as threads do; shared mappings, which no other limit bounds at once, end here."""


class Confining(Protocol):
    """The part of a tier's walls that is put on this process."""

    proc: int
    counted: bool
    """Whether the kernel counts the processes of this worker apart from all others."""

    def confine(self) -> int: ...


def live(link: socket.socket, out: int, err: int, walls: Confining) -> NoReturn:
    """Be the program's process; never return into the code of the supervisor."""
    status = 1
    try:
        shown = os.readlink("self", dir_fd=walls.proc)
        os.dup2(out, 1)
        os.dup2(err, 2)
        _settle()
        drop_capabilities(bounding=False)  # of which whoever forked this process has taken care
        asking = walls.confine()
        program.rehearse()
        wire.send(link, {"shown": shown}, [asking] if asking else [])
        link = _only_link(link)
        job, descriptors = wire.receive_all(link)
        if job is not None:
            status = _do(job, descriptors, link, walls.counted)
    except BaseException as error:  # noqa: BLE001 - whatever it is, this process ends here
        _report(error, link)
    finally:
        program.flush()
        seccomp.end(status)


def _report(error: BaseException, link: socket.socket) -> None:
    try:
        wire.send(link, {"failed": f"{type(error).__name__}: {error}"})
    except (OSError, ValueError):
        traceback.print_exception(error)


def _only_link(link: socket.socket) -> socket.socket:
    """Keep the three streams and the link, which is number 3; close all else."""
    moved = os.dup2(link.detach(), LINK, inheritable=False)
    os.closerange(LINK + 1, 4096)
    return socket.socket(fileno=moved)


def _settle() -> None:
    os.setsid()
    begin_anew()
    forks.put_in_place()


def begin_anew() -> None:
    """Be as a process that was just started where this one is: what its fork left out included."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    random.seed()
    threading.main_thread()._set_native_id()  # type: ignore[attr-defined]
    os.environ["HOME"] = os.getcwd()
    os.environ["TMPDIR"] = os.path.join(os.path.dirname(os.getcwd()), "tmp")


def open_streams() -> None:
    """Open what a program has as its standard streams; the files behind them are put in place later.

    It is done once, while there are pipes where a worker has pipes: a stream remembers whether one can seek in it.
    """
    nowhere = os.dup(1)
    reading, writing = os.pipe()
    os.dup2(writing, 1)
    os.dup2(writing, 2)
    sys.stdin = open(0, encoding="utf-8", closefd=False)  # noqa: SIM115 - lives as long as the process
    sys.stdout = open(1, "w", encoding="utf-8", buffering=1, closefd=False)  # noqa: SIM115
    sys.stderr = open(2, "w", encoding="utf-8", buffering=1, errors="backslashreplace", closefd=False)  # noqa: SIM115
    sys.__stdin__, sys.__stdout__, sys.__stderr__ = sys.stdin, sys.stdout, sys.stderr  # type: ignore[misc]
    os.dup2(nowhere, 1)
    os.dup2(nowhere, 2)
    for one in (nowhere, reading, writing):
        os.close(one)


def _do(job: wire.Message, descriptors: list[int], link: socket.socket, counted: bool) -> int:
    """Do what the job says; return the exit status."""
    limits = job["limits"]
    assert isinstance(limits, dict)
    os.dup2(descriptors[0], 0)
    os.close(descriptors[0])
    _limit(limits, counted=counted)
    _write(job.get("files"))
    match job["mode"]:
        case "run":
            link.close()
            return program.run(str(job["code"]))
        case "session":
            return steps(job, link)
        case "serve":
            link.close()
            return serve(job, socket.socket(fileno=descriptors[1]))
        case "judge":
            return judge(job, socket.socket(fileno=descriptors[1]), link)
        case mode:
            raise ValueError(f"unknown mode {mode!r}")


def _limit(limits: dict[str, float], *, counted: bool) -> None:
    """Set the limits that the kernel holds a process to; processes only where it counts this worker's alone."""
    for kind, value in (
        (resource.RLIMIT_DATA, limits["memory_mb"] * MEGABYTE),
        (resource.RLIMIT_AS, (2 * limits["memory_mb"] + ADDRESSES_MB) * MEGABYTE),
        (resource.RLIMIT_CPU, limits["cpu_s"] + 1),
        (resource.RLIMIT_NOFILE, limits["open_files"]),
        (resource.RLIMIT_FSIZE, limits["file_size_mb"] * MEGABYTE),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_MSGQUEUE, 0),
        (resource.RLIMIT_SIGPENDING, TIMERS),
        *([(resource.RLIMIT_NPROC, limits["processes"] + 1)] if counted else []),  # the supervisor is one of them
    ):
        _, highest = resource.getrlimit(kind)
        wanted = int(value) if highest == resource.RLIM_INFINITY else min(int(value), highest)
        resource.setrlimit(kind, (wanted, wanted))


def _write(files: object) -> None:
    """Write the files a program comes with; their names were checked before they were sent."""
    for name, text in files.items() if isinstance(files, dict) else ():
        folder = os.path.dirname(name)
        if folder:
            os.makedirs(folder, exist_ok=True)
        with open(name, "wb") as file:
            file.write(base64.b64decode(text))
