"""The supervisor of one worker: it starts the program's process, watches it, ends it, and says what it saw.

It is the only one in the worker who holds the channel to the agent. What it reports are its own measurements: how
the process ended, what came through the pipes, time and memory. Nothing of that is taken from the program.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import socket
import time
from dataclasses import dataclass, field
from typing import Protocol

from agentevo.environments.sandbox.box import program, wire
from agentevo.environments.sandbox.box.drain import Drain
from agentevo.environments.sandbox.box.watch import Tree

TICK_S = 0.02
MEGABYTE = 1024 * 1024
REPORTED = 4 * MEGABYTE
"""So long a message from the process may be: checks of a judge, the end of a step."""

ENDINGS = {0: "ok", -signal.SIGXCPU: "timeout", -signal.SIGKILL: "killed"}
"""What a status means where it is not simply an error."""

Limits = dict[str, float]


class Walls(Protocol):
    """What a tier does to a worker."""

    proc: int

    def fork(self) -> int: ...
    def supervise(self, limits: Limits) -> None: ...
    def confine(self) -> int: ...
    def end(self) -> None: ...


@dataclass(slots=True)
class Child:
    """The process that runs the program, and the supervisor's ends of what leads to it."""

    pid: int
    handle: int
    shown: int
    link: socket.socket
    out: int
    err: int


@dataclass(slots=True)
class Run:
    """One program from its start to its end, or one step of a session."""

    child: Child
    limits: Limits
    tree: Tree
    out: Drain
    err: Drain
    since: float = field(default_factory=time.monotonic)
    peak: int = 0
    cpu_before: float = 0.0
    waited_before: float = 0.0
    kind: str = ""
    status: int | None = None
    is_done: bool = False
    reports: list[wire.Message] = field(default_factory=list)


def serve(host: socket.socket, walls: Walls, limits: Limits) -> None:
    """Be the supervisor of one worker, from before there is a program until all of it is gone."""
    try:
        walls.supervise(limits)
        child = start(host, walls)
        wire.send(host, {"ready": True})
        _work(host, walls, child)
    except Exception as error:  # noqa: BLE001 - the agent hears of it, as far as there still is one
        with contextlib.suppress(OSError):
            wire.send(host, {"failed": f"{type(error).__name__}: {error}"})
    finally:
        walls.end()


def start(host: socket.socket, walls: Walls) -> Child:
    """Fork the process that will run the program, and wait until its walls are up."""
    ours, theirs = socket.socketpair()
    out, theirs_out = os.pipe()
    err, theirs_err = os.pipe()
    pid = os.fork()
    if pid == 0:
        host.close()
        program.live(theirs, theirs_out, theirs_err, walls)
    theirs.close()
    os.close(theirs_out)
    os.close(theirs_err)
    handle = os.pidfd_open(pid)
    said = wire.receive(ours, REPORTED)
    if said is None or "shown" not in said:
        raise OSError(str((said or {}).get("failed", "the process behind the walls ended before it began")))
    return Child(pid, handle, int(str(said["shown"])), ours, out, err)


def _work(host: socket.socket, walls: Walls, child: Child) -> None:
    tree = Tree(walls.proc)
    while True:
        job, descriptors = wire.receive_all(host)
        if job is None or "stop" in job:
            return
        limits = {str(k): float(str(v)) for k, v in _table(job.pop("limits")).items()}
        output = int(limits["output_bytes"])
        run = Run(child, limits, tree, Drain(child.out, output), Drain(child.err, output))
        run.cpu_before, run.waited_before = tree.usage().cpu_s, tree.waited_s(child.shown)
        stdin = os.memfd_create("stdin")
        os.write(stdin, str(job.pop("stdin", "")).encode("utf-8", "surrogateescape"))
        os.lseek(stdin, 0, os.SEEK_SET)
        wire.send(child.link, {**job, "limits": limits}, [stdin, *descriptors])
        for one in (stdin, *descriptors):
            os.close(one)
        watch(host, run)
        ended = run.status is not None or bool(run.kind)
        if ended:
            walls.end()  # before anything is said: whoever reads the report finds nothing still running
        run.out.rest()
        run.err.rest()
        wire.send(host, {**outcome(run), "ended": ended})
        if ended:
            return


def watch(host: socket.socket, run: Run) -> None:
    """Wait until the program or the step ends, or until a limit, or the agent, ends it."""
    poll = select.poll()
    for descriptor in (host, run.child.link, run.child.handle, run.out.descriptor, run.err.descriptor):
        poll.register(descriptor, select.POLLIN)
    looked = run.since
    while not run.kind and run.status is None and not run.is_done:
        ready = {descriptor for descriptor, _ in poll.poll(TICK_S * 1000)}
        for drain in (run.out, run.err):
            if drain.descriptor in ready and not drain.read():
                poll.unregister(drain.descriptor)
        if run.child.link.fileno() in ready and not _hear(run):
            poll.unregister(run.child.link)
        if run.child.handle in ready:
            _reap(run)
        if host.fileno() in ready:
            run.kind = "stopped"
        now = time.monotonic()
        if now - looked >= TICK_S and not run.kind:
            looked = now
            _judge_usage(run, now)
    while run.status is not None and _is_ready(run.child.link) and _hear(run):
        pass


def _is_ready(link: socket.socket) -> bool:
    poll = select.poll()
    poll.register(link, select.POLLIN)
    return bool(poll.poll(0))


def _hear(run: Run) -> bool:
    """Take a message from the process; say whether more may come."""
    try:
        message = wire.receive(run.child.link, REPORTED)
    except (OSError, wire.Broken):
        return False
    if message is None:
        return False
    if "done" in message:
        run.is_done = True
    run.reports.append(message)
    return True


def _reap(run: Run) -> None:
    _, status, used = os.wait4(run.child.pid, 0)
    run.status = os.waitstatus_to_exitcode(status)
    run.peak = max(run.peak, used.ru_maxrss * 1024)


def _reap_others(main: int) -> None:
    """Take up what daemons left to this process as their last parent; the main process is waited for by its own."""
    while True:
        try:
            found = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            if found is None or found.si_pid == main:
                return
            os.waitpid(found.si_pid, 0)
        except ChildProcessError:
            return


def _judge_usage(run: Run, now: float) -> None:
    """End the run where it is over a limit."""
    _reap_others(run.child.pid)
    usage, limits = run.tree.usage(), run.limits
    run.peak = max(run.peak, usage.memory)
    if usage.memory > limits["memory_mb"] * MEGABYTE:
        exact = run.tree.proportional()
        if exact > limits["memory_mb"] * MEGABYTE:
            run.kind = "memory"
    elif usage.cpu_s - run.cpu_before > limits["cpu_s"] or now > _deadline(run):
        run.kind = "timeout"


def _deadline(run: Run) -> float:
    """Return when the time is up: later, within bounds, where the machine was too busy to run the program."""
    wall = run.limits["wall_s"]
    waited = run.tree.waited_s(run.child.shown) - run.waited_before
    return run.since + min(wall + max(waited, 0.0), wall * run.limits["stretch"])


def outcome(run: Run) -> wire.Message:
    """Return what was seen."""
    kind = run.kind or _kind(run)
    if kind in ("ok", "stopped") and (run.out.is_cut or run.err.is_cut):
        kind = "output"
    waited = run.tree.waited_s(run.child.shown) - run.waited_before
    return {
        "kind": kind,
        "exit_status": run.status,
        "stdout": run.out.text(),
        "stderr": run.err.text(),
        "seconds": time.monotonic() - run.since,
        "memory_mb": run.peak / MEGABYTE,
        "waited_s": max(waited, 0.0),
        "reports": run.reports,
    }


def _kind(run: Run) -> str:
    if run.status == 1 and run.err.text().rstrip().endswith("MemoryError"):
        return "memory"
    return ENDINGS.get(run.status or 0, "error")


def _table(value: object) -> dict[object, object]:
    return value if isinstance(value, dict) else {}
