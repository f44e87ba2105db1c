"""A filter of system calls for a wall: it refuses sockets that namespaces do not hold, or that there are none to hold.

Covered: those to a virtual machine's host, and others that know of no namespaces; without a root of one's own sockets
among files, whose paths no rule of Landlock reads; without a network of one's own also all sockets but TCP's, which
Landlock refuses to connect, and its ways around that.
Not covered: what a program got from whoever started it. Pairs of sockets are made as ever, but for pairs of datagrams.
"""

from __future__ import annotations

import ctypes
import errno
import struct
from collections.abc import Iterable

from agentevo.environments.sandbox.box.numbers import machine, numbers
from agentevo.environments.sandbox.box.seccomp import (
    ALLOW,
    AND,
    ARCHITECTURE_AT,
    ARCHITECTURES,
    ARGUMENTS_AT,
    ERRNO,
    JUMP_BITS,
    JUMP_EQUAL,
    JUMP_OVER,
    KILL_PROCESS,
    LOAD,
    NUMBER_AT,
    RETURN,
    SET_MODE_FILTER,
    X32_BIT,
    Instruction,
)
from agentevo.environments.sandbox.box.syscalls import PR_SET_NO_NEW_PRIVS, call, prctl

CALLS = "io_uring_setup:425:425 sendmmsg:307:269 sendmsg:46:211 sendto:44:206 socket:41:198 socketpair:53:199"
AF_UNIX, AF_INET, AF_INET6, AF_NETLINK, AF_VSOCK = 1, 2, 10, 16, 40
STREAM, DATAGRAM, KIND_OF_SOCKET = 1, 2, 0xF
ANY_PROTOCOL, TCP = 0, 6
FAST_OPEN = 0x20000000
"""Sends and connects at once, which some kernels do not hold to Landlock's rules."""
FLAGS_AT = {"sendto": 3, "sendmsg": 2, "sendmmsg": 3}


def refuse_sockets(*, files: bool, tcp_alone: bool) -> None:
    """Refuse sockets for good, also to all it starts: among files, unless `files`; all but TCP's, if `tcp_alone`."""
    program = assemble(machine(), files=files, tcp_alone=tcp_alone)
    code = b"".join(struct.pack("HBBI", *instruction) for instruction in program)
    held = ctypes.create_string_buffer(code, len(code))
    prctl(PR_SET_NO_NEW_PRIVS, 1)
    call("seccomp", SET_MODE_FILTER, 0, struct.pack("HxxxxxxP", len(code) // 8, ctypes.addressof(held)))


def assemble(name: str, *, files: bool, tcp_alone: bool) -> list[Instruction]:
    """Return the filter as instructions of the kernel's classic BPF: what it does not know is allowed."""
    program = [_load(ARCHITECTURE_AT), (JUMP_EQUAL, 1, 0, ARCHITECTURES[name]), (RETURN, 0, 0, KILL_PROCESS)]
    program.append(_load(NUMBER_AT))
    if name == "x86_64":
        program += [(JUMP_OVER, 0, 1, X32_BIT), (RETURN, 0, 0, KILL_PROCESS)]
    for called, number in numbers(CALLS, name).items():
        rule = _rule(called, files=files, tcp_alone=tcp_alone)
        program += [(JUMP_EQUAL, 0, len(rule), number), *rule]
    return [*program, (RETURN, 0, 0, ALLOW)]


def _rule(called: str, *, files: bool, tcp_alone: bool) -> list[Instruction]:
    """Return the rule of one call; it always ends in an answer."""
    match called:
        case "io_uring_setup":  # its rings make sockets past any filter; who asks takes it for an older kernel
            return [_refuse(errno.ENOSYS)]
        case "socket" if files:
            return [_argument(0), *_but(AF_UNIX, AF_INET, AF_INET6, AF_NETLINK), (RETURN, 0, 0, ALLOW)]
        case "socketpair" if not files:  # one of datagrams can be turned to an address later
            return [_argument(1), (AND, 0, 0, KIND_OF_SOCKET), *_refused(DATAGRAM), (RETURN, 0, 0, ALLOW)]
        case "socket":
            families = [_argument(0), *_refused(AF_UNIX, AF_VSOCK)]
            return [*families, *(_tcp() if tcp_alone else []), (RETURN, 0, 0, ALLOW)]
        case _ if tcp_alone:
            return [_argument(FLAGS_AT[called]), (JUMP_BITS, 0, 1, FAST_OPEN), _refuse(), (RETURN, 0, 0, ALLOW)]
        case _:
            return [(RETURN, 0, 0, ALLOW)]


def _tcp() -> list[Instruction]:
    """Refuse, with the family at hand, what is neither TCP nor a question to the kernel about its network."""
    kind = [_argument(1), (AND, 0, 0, KIND_OF_SOCKET), *_but(STREAM)]
    protocol = [_argument(2), *_but(ANY_PROTOCOL, TCP)]
    return [(JUMP_EQUAL, 0, 1, AF_NETLINK), (RETURN, 0, 0, ALLOW), *_but(AF_INET, AF_INET6), *kind, *protocol]


def _refused(*values: int) -> list[Instruction]:
    return [step for value in values for step in ((JUMP_EQUAL, 0, 1, value), _refuse())]


def _but(*values: int) -> list[Instruction]:
    """Refuse all values but these."""
    return [*_over(values), _refuse()]


def _over(values: Iterable[int]) -> list[Instruction]:
    """Jump over the instruction that follows these where the value is one of them."""
    known = [*values]
    return [(JUMP_EQUAL, len(known) - place, 0, value) for place, value in enumerate(known)]


def _argument(position: int) -> Instruction:
    return _load(ARGUMENTS_AT + 8 * position)  # the low half: both machines are little-endian


def _load(offset: int) -> Instruction:
    return (LOAD, 0, 0, offset)


def _refuse(number: int = errno.EPERM) -> Instruction:
    return (RETURN, 0, 0, ERRNO | number)
