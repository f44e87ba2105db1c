"""The supervisor of one worker: it starts the program's process, watches it, ends it, and says what it saw.

It is the only one in the worker who holds the channel to the agent. What it reports are its own measurements: how
the process ended, what came through the pipes, time and memory. Nothing of that is taken from the program.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import select
import signal
import socket
import time
from typing import Protocol

from agentevo.environments.sandbox.box import files, wire, worker
from agentevo.environments.sandbox.box.births import Births
from agentevo.environments.sandbox.box.drain import Drain
from agentevo.environments.sandbox.box.folder import Folder
from agentevo.environments.sandbox.box.link import Link
from agentevo.environments.sandbox.box.run import REPORTED, Child, Limits, Run, judged, outcome, watch
from agentevo.environments.sandbox.box.watch import Bystanders, Tree

FIXED = fcntl.F_SEAL_SEAL | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE
IDLE_S = 0.25
"""How often a session is looked at between its steps, beside once before each."""


class Walls(Protocol):
    """What a tier does to a worker."""

    proc: int
    counted: bool
    folder: Folder | None
    bystanders: Bystanders

    def fork(self) -> int: ...
    def supervise(self, limits: Limits) -> None: ...
    def confine(self) -> int: ...
    def end(self) -> None: ...
    def clear(self) -> None: ...
    def sweep(self, alive: set[int]) -> None: ...
    def close(self) -> None: ...


def serve(host: socket.socket, walls: Walls, limits: Limits) -> None:
    """Be the supervisor of one worker, from before there is a program until all of it is gone."""
    try:
        walls.supervise(limits)
        tree = Tree(walls.proc)
        child = start(host, walls, tree)
        wire.send(host, {"ready": True})
        _work(host, walls, child, tree)
    except Exception as error:  # noqa: BLE001 - the agent hears of it, as far as there still is one
        with contextlib.suppress(OSError):
            wire.send(host, {"failed": f"{type(error).__name__}: {error}"})
    finally:
        walls.end()
        walls.clear()


def start(host: socket.socket, walls: Walls, tree: Tree) -> Child:
    """Fork the process that will run the program, and wait until its walls are up."""
    ours, theirs = socket.socketpair()
    out, theirs_out = os.pipe()
    err, theirs_err = os.pipe()
    pid = os.fork()
    if pid == 0:
        host.close()
        worker.live(theirs, theirs_out, theirs_err, walls)
    theirs.close()
    os.close(theirs_out)
    os.close(theirs_err)
    handle = os.pidfd_open(pid)
    said, asking = wire.receive_all(ours, REPORTED)
    if said is None or "shown" not in said:
        raise OSError(str((said or {}).get("failed", "the process behind the walls ended before it began")))
    births = Births(asking[0], lambda: tree.usage().tasks) if asking else None
    link = Link(ours, REPORTED)
    return Child(pid, handle, int(str(said["shown"])), link, out, err, births, walls.folder)


def _work(host: socket.socket, walls: Walls, child: Child, tree: Tree) -> None:
    """Do one job after the other; only a session has more than one."""
    zygote = os.getppid()
    last: Run | None = None
    while True:
        over = _idle(host, last, zygote)
        job, descriptors = wire.receive_all(host)
        if job is None or "stop" in job:
            return
        if "file" in job:
            wire.send(host, files.do(job))
            continue
        if last is None:
            tree.learn(walls.bystanders.pids, child.shown)
        run = last = begun(job, child, tree, is_first=last is None)
        if over:
            run.kind = over
        else:
            hand_over(job, run, descriptors)
            watch(host, run, zygote)
        has_ended = run.status is not None or bool(run.kind)
        if has_ended:
            _end(walls, child)  # before anything is said: whoever reads the report finds nothing still running
        run.out.rest()
        run.err.rest()
        wire.send(host, {**outcome(run), "ended": has_ended})
        if has_ended:
            return


def begun(job: wire.Message, child: Child, tree: Tree, *, is_first: bool) -> Run:
    """Return the run that a job asks for, which is not yet handed over."""
    table = job["limits"]
    assert isinstance(table, dict)
    limits = {str(name): float(value) for name, value in table.items()}
    output = int(limits["output_bytes"])
    run = Run(child, limits, tree, Drain(child.out, output), Drain(child.err, output), is_first)
    run.is_judge = job["mode"] == "judge"
    if not is_first:
        run.cpu_before = tree.usage().cpu_s
    run.waited_before = tree.waited_s(child.shown)
    return run


def hand_over(job: wire.Message, run: Run, descriptors: list[int]) -> None:
    """Tell the process what to run; its standard input is a file of its own."""
    stdin = os.memfd_create("stdin", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    with os.fdopen(stdin, "wb", closefd=False) as file:
        file.write(str(job.pop("stdin", "")).encode("utf-8", "surrogateescape"))
    fcntl.fcntl(stdin, fcntl.F_ADD_SEALS, FIXED)  # or a program could keep in it what no limit counts
    os.lseek(stdin, 0, os.SEEK_SET)
    run.since = time.monotonic()
    run.child.link.say(job, [stdin, *descriptors])
    for one in (stdin, *descriptors):
        os.close(one)


def _idle(host: socket.socket, last: Run | None, zygote: int) -> str:
    """Wait for the next job; return a limit that was broken meanwhile.

    Threads and processes of a session may go on between its steps. Without its zygote a worker is given up.
    """
    poll, over = select.poll(), ""
    poll.register(host, select.POLLIN)
    births = last.child.births if last else None
    if births:
        poll.register(births.asking, select.POLLIN)
    looked = time.monotonic()
    while os.getppid() == zygote:
        ready = {descriptor for descriptor, _ in poll.poll(IDLE_S * 1000)}
        if last and births and births.asking in ready:
            births.answer(int(last.limits["processes"]))
        now = time.monotonic()
        if last and not over and (host.fileno() in ready or now >= looked + IDLE_S):
            looked, over = now, judged(last, now, is_idle=True)
            if over:
                os.kill(last.child.pid, signal.SIGKILL)
        if host.fileno() in ready:
            return over
    raise OSError("the zygote has ended")


def _end(walls: Walls, child: Child) -> None:
    if child.births:
        child.births.close()
    walls.end()
