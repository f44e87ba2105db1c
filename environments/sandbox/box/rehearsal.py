"""What every run runs, run before there is one: by the zygote so often that the interpreter adapts to it, and once by
each supervisor and each program's process.

Adapting writes to the memory that code lies in, as counting references writes to all that is used, and who writes to
memory it shares has it copied: better before a run than in it.
"""

from __future__ import annotations

import os
import signal
import socket

from agentevo.environments.sandbox.box import program, wire, worker
from agentevo.environments.sandbox.box.job import begun, hand_over
from agentevo.environments.sandbox.box.link import Link
from agentevo.environments.sandbox.box.run import REPORTED, Child, outcome, watch
from agentevo.environments.sandbox.box.sole import Sole
from agentevo.environments.sandbox.box.watch import Tree

TIMES = 10
"""The interpreter takes eight calls of a function to adapt to it."""
AMPLE = 1e6
LIMITS = ("wall_s", "cpu_s", "stretch", "memory_mb", "processes", "file_size_mb", "output_bytes")


def rehearse(proc: int) -> None:
    """Do it all before there is any worker; `proc` is an open /proc that shows this process."""
    tree = Tree(proc)
    for _ in range(TIMES):
        worker.begin_anew()
        program.rehearse()
        _talk()
        pid = os.fork()
        if pid == 0:
            os._exit(0)
        supervise(tree, pid)
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def _talk() -> None:
    near, far = socket.socketpair()
    with near, far:
        wire.send(near, {"ready": True}, [near.fileno()])
        _, (descriptor,) = wire.receive_all(far)
        os.close(descriptor)


def supervise(tree: Tree, pid: int = 0) -> None:
    """Watch a process that ends at once as if it ran a program; without one, a step of a session that does."""
    agent, host = socket.socketpair()
    near, far = socket.socketpair()
    out, err = os.pipe(), os.pipe()
    handle = os.pidfd_open(pid or os.getpid())
    sole = Sole(tree.proc, tree.root)
    sole.peak()
    child = Child(pid, handle, tree.root, Link(near, REPORTED), out[0], err[0], questions=None, sole=sole, folder=None)
    with agent, host, near, far:
        wire.send(agent, {"mode": "run" if pid else "session", "limits": dict.fromkeys(LIMITS, AMPLE)})
        job, _ = wire.receive_all(host)
        assert job is not None
        run = begun(job, child, tree, is_first=True)
        hand_over(job, run, [])
        if not pid:
            wire.send(far, {"done": 0})
        watch(host, run, os.getppid())
        run.out.rest()
        run.err.rest()
        wire.send(host, {**outcome(run), "ended": True})
    sole.close()
    for one in (*out, *err, handle):
        os.close(one)
