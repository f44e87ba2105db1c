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
from typing import Protocol

from agentevo.environments.sandbox.box import files, rehearsal, wire, worker
from agentevo.environments.sandbox.box.folder import Folder
from agentevo.environments.sandbox.box.job import begun, hand_over
from agentevo.environments.sandbox.box.link import Link
from agentevo.environments.sandbox.box.questions import Questions
from agentevo.environments.sandbox.box.run import REPORTED, Child, Limits, Run, judged, outcome, watch
from agentevo.environments.sandbox.box.sole import Sole
from agentevo.environments.sandbox.box.watch import Bystanders, Tree

IDLE_S = 0.25
"""How often a session is looked at between its steps, beside once before each."""
HEAD_START_S = 0.001
"""So long the end of a worker leaves the processors to whoever reads its report."""


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
    rehearsal.supervise(tree)
    said, asking = wire.receive_all(ours, REPORTED)
    if said is None or "shown" not in said:
        raise OSError(str((said or {}).get("failed", "the process behind the walls ended before it began")))
    questions = Questions(asking[0], lambda: tree.usage().tasks) if asking else None
    link = Link(ours, REPORTED)
    shown = int(str(said["shown"]))
    sole = Sole(walls.proc, shown)
    sole.peak()  # a rehearsal
    return Child(pid, handle, shown, link, out, err, questions, sole, walls.folder, tree.waited_s(shown))


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
        run = last = begun(job, child, tree, is_first=last is None)
        if over:
            run.kind = over
        else:
            hand_over(job, run, descriptors)
            if run.is_first:
                tree.learn(walls.bystanders.pids, child.shown)
            watch(host, run, zygote)
        has_ended = run.status is not None or bool(run.kind)
        if has_ended and not run.is_kept:
            _end(walls, child)  # before anything is said: whoever reads the report finds nothing still running
        run.out.rest()
        run.err.rest()
        wire.send(host, {**outcome(run), "ended": has_ended})
        if has_ended:
            time.sleep(HEAD_START_S)
            return


def _idle(host: socket.socket, last: Run | None, zygote: int) -> str:
    """Wait for the next job; return a limit that was broken meanwhile.

    Threads and processes of a session may go on between its steps. Without its zygote a worker is given up.
    """
    poll, over = select.poll(), ""
    poll.register(host, select.POLLIN)
    questions = last.child.questions if last else None
    if questions:
        poll.register(questions.asking, select.POLLIN)
    looked = time.monotonic()
    while os.getppid() == zygote:
        ready = dict(poll.poll(IDLE_S * 1000))
        if last and questions and questions.asking in ready:
            if ready[questions.asking] & select.POLLIN:
                questions.answer(int(last.limits["processes"]))
            else:
                poll.unregister(questions.asking)
        now = time.monotonic()
        if last and not over and (host.fileno() in ready or now >= looked + IDLE_S):
            looked, over = now, judged(last, now, is_idle=True)
            if over:
                os.kill(last.child.pid, signal.SIGKILL)
        if host.fileno() in ready:
            return over
    raise OSError("the zygote has ended")


def _end(walls: Walls, child: Child) -> None:
    if child.questions:
        child.questions.close()
    walls.end()
