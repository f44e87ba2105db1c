"""What every run runs, run in the zygote first: the interpreter adapts to it there, and not in each worker anew.

Adapting writes to the memory that code lies in, and a worker that writes to memory it shares has it copied.
"""

from __future__ import annotations

import os
import signal
import socket

from agentevo.environments.sandbox.box import program, wire, worker
from agentevo.environments.sandbox.box.link import Link
from agentevo.environments.sandbox.box.run import REPORTED, Child, outcome, watch
from agentevo.environments.sandbox.box.supervisor import begun, hand_over
from agentevo.environments.sandbox.box.watch import Tree

TIMES = 10
"""The interpreter takes eight calls of a function to adapt to it."""
AMPLE = 1e6
LIMITS = ("wall_s", "cpu_s", "stretch", "memory_mb", "processes", "file_size_mb", "output_bytes")


def rehearse(proc: int) -> None:
    """Do it all before there is any worker; `proc` is an open /proc that shows this process."""
    for _ in range(TIMES):
        worker.begin_anew()
        program.rehearse()
        _talk()
        _supervise(proc)
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def _talk() -> None:
    near, far = socket.socketpair()
    with near, far:
        wire.send(near, {"ready": True}, [near.fileno()])
        _, (descriptor,) = wire.receive_all(far)
        os.close(descriptor)


def _supervise(proc: int) -> None:
    """Watch a process that ends at once as if it ran a program."""
    agent, host = socket.socketpair()
    near, far = socket.socketpair()
    out, err = os.pipe(), os.pipe()
    pid = os.fork()
    if pid == 0:
        os._exit(0)
    child = Child(pid, os.pidfd_open(pid), pid, Link(near, REPORTED), out[0], err[0], births=None, folder=None)
    job: wire.Message = {"mode": "run", "limits": dict.fromkeys(LIMITS, AMPLE)}
    with agent, host, near, far:
        run = begun(job, child, Tree(proc), is_first=True)
        hand_over(job, run, [])
        watch(host, run, os.getppid())
        run.out.rest()
        run.err.rest()
        wire.send(host, outcome(run))
    for one in (*out, *err, child.handle):
        os.close(one)
