"""A job from the agent: made a run, and handed to the process that is to do it."""

from __future__ import annotations

import fcntl
import os
import time

from agentevo.environments.sandbox.box import wire
from agentevo.environments.sandbox.box.drain import Drain
from agentevo.environments.sandbox.box.run import Child, Run
from agentevo.environments.sandbox.box.watch import Tree

FIXED = fcntl.F_SEAL_SEAL | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE


def begun(job: wire.Message, child: Child, tree: Tree, *, is_first: bool) -> Run:
    """Return the run that a job asks for, which is not yet handed over."""
    table = job["limits"]
    assert isinstance(table, dict)
    limits = {str(name): float(value) for name, value in table.items()}
    output = int(limits["output_bytes"])
    run = Run(child, limits, tree, Drain(child.out, output), Drain(child.err, output), is_first)
    run.is_judge, run.is_talking = job["mode"] == "judge", job["mode"] in ("judge", "session")
    if is_first:
        run.waited_before = child.waited
    else:
        run.cpu_before, run.waited_before = tree.usage().cpu_s, tree.waited_s(child.shown)
    return run


def hand_over(job: wire.Message, run: Run, descriptors: list[int]) -> None:
    """Tell the process what to run; its standard input is a file of its own."""
    stdin = os.memfd_create("stdin", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    if text := str(job.pop("stdin", "")):
        with os.fdopen(stdin, "wb", closefd=False) as file:
            file.write(text.encode("utf-8", "surrogateescape"))
        os.lseek(stdin, 0, os.SEEK_SET)
    fcntl.fcntl(stdin, fcntl.F_ADD_SEALS, FIXED)  # or a program could keep in it what no limit counts
    run.since = time.monotonic()
    run.child.link.say(job, [stdin, *descriptors])
    for one in (stdin, *descriptors):
        os.close(one)
