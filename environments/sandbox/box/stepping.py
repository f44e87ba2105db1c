"""The steps of a session: one after the other in the same names, like cells of a notebook."""

from __future__ import annotations

import os
import socket
import sys

from agentevo.environments.sandbox.box import program, wire


def steps(job: wire.Message, link: socket.socket) -> int:
    """Run the first step and those that follow, until a program leaves or nobody asks for more."""
    main = program.as_main("", program.MAIN)
    number = 0
    current: wire.Message | None = job
    while current is not None:
        number += 1
        name = f"step{number}.py"
        status = program.execute(program.remembered(str(current["code"]), name), name, main.__dict__)
        program.flush()
        wire.send(link, {"done": status})
        current, descriptors = wire.receive_all(link)
        for descriptor in descriptors:
            os.dup2(descriptor, 0)
            os.close(descriptor)
            sys.stdin = open(0, encoding="utf-8", closefd=False)  # noqa: SIM115 - lives as long as the process
    return program.leave(0)
