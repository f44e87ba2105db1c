"""The system call filter: what is listed is allowed, the rest refused; other entry points end the process.

Covered: the 32-bit and x32 entry points, sockets, ptrace and its kin, new namespaces, mounts, io_uring, keyrings, bpf,
perf, userfaultfd, memfd, System V memory, handles, terminals' input, other processes' limits and priorities.
Not covered: paths, which a filter cannot read; the private root or Landlock sees to those.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import functools
import os
import struct
from collections.abc import Iterable, Iterator
from typing import NoReturn

from agentevo.environments.sandbox.box.numbers import GUARDED, METADATA, PLAIN, numbers
from agentevo.environments.sandbox.box.syscalls import NEW_ANYTHING, PR_SET_NO_NEW_PRIVS, call, prctl

ARCHITECTURES = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
X32_BIT = 0x40000000

ALLOW, KILL_PROCESS, ERRNO, NOTIFY = 0x7FFF0000, 0x80000000, 0x00050000, 0x7FC00000
SET_MODE_FILTER, NEW_LISTENER, WAIT_KILLABLE = 1, 8, 32
ENDING = 0x656E6421
"""The second argument of an end that is asked about; the kernel itself takes one argument only."""

LOAD, JUMP_EQUAL, JUMP_OVER, JUMP_BITS, AND, RETURN = 0x20, 0x15, 0x35, 0x45, 0x54, 0x06
NUMBER_AT, ARCHITECTURE_AT, ARGUMENTS_AT = 0, 4, 16

AF_UNIX = 1
FCNTLS = (0, 1, 2, 3, 4, 5, 6, 7, 36, 37, 38, 1025, 1030, 1031, 1032)
"""Descriptors, flags, locks and pipe sizes; not owners and signals, leases, seals."""
IOCTLS = (0x5401, 0x5413, 0x540F, 0x541B, 0x5421, 0x5450, 0x5451)
"""What asks about a terminal or a descriptor; TIOCSTI, which types into one, is not here."""
PRCTLS = (2, 3, 15, 16, 23, 27, 39, 0x53564D41)
"""What asks, and the names of threads and mappings."""
ONLY = {
    "fcntl": (1, FCNTLS),
    "ioctl": (1, IOCTLS),
    "prctl": (0, PRCTLS),
    "socketpair": (0, (AF_UNIX,)),
    "personality": (0, (0xFFFFFFFF,)),
    "prlimit64": (0, (0,)),
    "sched_setaffinity": (0, (0,)),
    "setpgid": (0, (0,)),
}
"""Which argument, counted from 0, may have which values; process 0 is oneself."""
FIFO, REGULAR, KIND_OF_FILE = 0o010000, 0o100000, 0o170000

Instruction = tuple[int, int, int, int]
INSTRUCTION = struct.Struct("HBBI")


def install(machine: str, *, metadata: bool, kill_only: int | None = None, watched: bool = False) -> int:
    """Put the filter on this process for good; return the descriptor on which it asks, or 0 where it asks nothing.

    `metadata` lets modes, owners and times be changed: they look changed otherwise. `kill_only` is the one process
    that signals may go to. `watched` has the holder of the returned descriptor decide on each new process or thread.
    `end` is asked about too, unless the kernel is older than 5.19 or somebody else's filter asks already.
    """
    prctl(PR_SET_NO_NEW_PRIVS, 1)
    try:
        return _put(
            packed(machine, metadata=metadata, kill_only=kill_only, watched=watched), NEW_LISTENER | WAIT_KILLABLE
        )
    except OSError:
        code = packed(machine, metadata=metadata, kill_only=kill_only, watched=watched, asks_to_end=False)
        return _put(code, NEW_LISTENER * watched)


def _put(code: bytes, flags: int) -> int:
    held = ctypes.create_string_buffer(code, len(code))
    header = struct.pack("HxxxxxxP", len(code) // INSTRUCTION.size, ctypes.addressof(held))
    return call("seccomp", SET_MODE_FILTER, flags, header)


def end(status: int) -> NoReturn:
    """End this process; behind a filter that asks about it, it is still until its supervisor has seen the end."""
    with contextlib.suppress(OSError):  # nobody listens any more
        call("exit_group", status, ENDING)
    os._exit(status)


@functools.cache
def packed(machine: str, *, metadata: bool, kill_only: int | None, watched: bool, asks_to_end: bool = True) -> bytes:
    """Return the filter as the kernel takes it; the zygote asks once, so that its workers find it made."""
    program = assemble(machine, metadata=metadata, kill_only=kill_only, watched=watched, asks_to_end=asks_to_end)
    return b"".join(INSTRUCTION.pack(*instruction) for instruction in program)


def assemble(
    machine: str, *, metadata: bool, kill_only: int | None, watched: bool, asks_to_end: bool = True
) -> list[Instruction]:
    """Return the filter as instructions of the kernel's classic BPF."""
    program = [_load(ARCHITECTURE_AT), (JUMP_EQUAL, 1, 0, ARCHITECTURES[machine]), _answer(KILL_PROCESS)]
    program.append(_load(NUMBER_AT))
    if machine == "x86_64":
        program += [(JUMP_OVER, 0, 1, X32_BIT), _answer(KILL_PROCESS)]
    guarded = numbers(GUARDED, machine)
    for name, number in guarded.items():
        rule = [*_guard(name, kill_only, watched, asks_to_end)]
        program += [(JUMP_EQUAL, 0, len(rule), number), *rule]
    allowed = [*numbers(PLAIN, machine).values()]
    times = [*numbers(METADATA, machine).values()]
    program += _each([] if metadata else times, ERRNO)  # error number 0: looks done
    program += _within(_runs(allowed + (times if metadata else [])))
    return [*program, _refuse()]


def _guard(name: str, kill_only: int | None, watched: bool, asks_to_end: bool) -> Iterator[Instruction]:
    """Yield the rule of one guarded call; it always ends in an answer."""
    created = NOTIFY if watched else ALLOW
    match name:
        case "clone":
            yield from (_argument(0), (JUMP_BITS, 0, 1, NEW_ANYTHING & ~0xFF), _refuse(), _answer(created))
        case "exit_group":
            asked = NOTIFY if asks_to_end else ALLOW
            yield from (_argument(1), (JUMP_EQUAL, 0, 1, ENDING), _answer(asked), _answer(ALLOW))
        case "fork" | "vfork":
            yield _answer(created)
        case "clone3":  # its flags lie in memory, where a filter cannot look; libc then takes clone
            yield _refuse(errno.ENOSYS)
        case "mknod" | "mknodat":
            yield from (_argument(1 if name == "mknod" else 2), (AND, 0, 0, KIND_OF_FILE))
            yield from _each((0, FIFO, REGULAR), ALLOW)
            yield _refuse()
        case "kill" | "tgkill" | "tkill":
            yield from [_answer(ALLOW)] if kill_only is None else _kills(name, kill_only)
        case "setpriority":
            yield from (_argument(0), (JUMP_EQUAL, 1, 0, 0), _refuse(), *_only(1, (0,)))
        case _:
            yield from _only(*ONLY[name])


def _kills(name: str, pid: int) -> Iterator[Instruction]:
    """Yield the rule for signals where the kernel cannot scope them; tkill names a thread, so it is refused."""
    if name == "tkill":
        yield _refuse()
    else:
        yield from _only(0, (pid, *([0] if name == "kill" else [])))


def _only(position: int, values: Iterable[int]) -> Iterator[Instruction]:
    yield _argument(position)
    yield from _each(values, ALLOW)
    yield _refuse()


def _each(values: Iterable[int], answer: int) -> Iterator[Instruction]:
    for value in values:
        yield (JUMP_EQUAL, 0, 1, value)
        yield _answer(answer)


def _within(runs: Iterable[range]) -> Iterator[Instruction]:
    """Yield what allows numbers in runs that ascend: the kernel tries every number there is when it takes a filter."""
    for run in runs:
        yield (JUMP_OVER, 3, 0, run.stop)
        yield (JUMP_OVER, 1, 0, run.start)
        yield _refuse()
        yield _answer(ALLOW)


def _runs(values: Iterable[int]) -> Iterator[range]:
    """Yield the runs of numbers without a gap, in order."""
    start = end = -1
    for value in sorted(values):
        if value != end:
            if end >= 0:
                yield range(start, end)
            start = value
        end = value + 1
    yield range(start, end)


def _argument(position: int) -> Instruction:
    return _load(ARGUMENTS_AT + 8 * position)  # the low half: both machines are little-endian


def _load(offset: int) -> Instruction:
    return (LOAD, 0, 0, offset)


def _answer(value: int) -> Instruction:
    return (RETURN, 0, 0, value)


def _refuse(number: int = errno.EPERM) -> Instruction:
    return _answer(ERRNO | number)
