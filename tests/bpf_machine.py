"""The kernel's part in a system call filter: a program of classic BPF, run over one call."""

from __future__ import annotations

import errno
from collections.abc import Sequence

from agentevo.environments.sandbox.box import seccomp

ANSWERS = {seccomp.ALLOW: "allow", seccomp.KILL_PROCESS: "kill", seccomp.NOTIFY: "notify"}


def answer_of(
    program: Sequence[tuple[int, int, int, int]], call: int, architecture: int, arguments: Sequence[int]
) -> str:
    """Return allow, kill, notify, or the name of the error."""
    words = {0: call, 4: architecture}
    words |= {16 + 8 * place: value & 0xFFFFFFFF for place, value in enumerate((*arguments, 0, 0, 0, 0, 0, 0)[:6])}
    at, held = 0, 0
    while True:
        code, if_true, if_false, value = program[at]
        at += 1
        match code:
            case seccomp.LOAD:
                held = words[value]
            case seccomp.AND:
                held &= value
            case seccomp.JUMP_EQUAL:
                at += if_true if held == value else if_false
            case seccomp.JUMP_OVER:
                at += if_true if held >= value else if_false
            case seccomp.JUMP_BITS:
                at += if_true if held & value else if_false
            case _:
                return ANSWERS.get(value) or errno.errorcode.get(value & 0xFFFF, "done")
