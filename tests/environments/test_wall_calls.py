"""The filter of a wall without a root of its own, read as the kernel reads it, on both machines: no call is made."""

from __future__ import annotations

import socket

import pytest
from bpf_machine import answer_of

from agentevo.environments import wall_calls
from agentevo.environments.sandbox.box import seccomp
from agentevo.environments.sandbox.box.numbers import PLAIN, numbers

I386 = 0x40000003
CLOEXEC = 0o2000000
MPTCP = 262


def answer(
    machine: str, call: str, *arguments: int, files: bool = False, tcp_alone: bool = False, architecture: int = 0
) -> str:
    """Run the filter over one call; return allow, kill, or the name of the error."""
    program = wall_calls.assemble(machine, files=files, tcp_alone=tcp_alone)
    number = {**numbers(PLAIN, machine), **numbers(wall_calls.CALLS, machine)}[call]
    return answer_of(program, number, architecture or seccomp.ARCHITECTURES[machine], arguments)


MACHINES = pytest.mark.parametrize("machine", ["x86_64", "aarch64"])


@MACHINES
@pytest.mark.parametrize("tcp_alone", [True, False])
def test_sockets_among_files_are_refused_and_pairs_of_streams_are_not(machine: str, tcp_alone: bool) -> None:
    for kind in (1, 2, 5, 1 | CLOEXEC):
        assert answer(machine, "socket", 1, kind, tcp_alone=tcp_alone) == "EPERM"
    assert answer(machine, "socket", wall_calls.AF_VSOCK, 1, tcp_alone=tcp_alone) == "EPERM"
    assert answer(machine, "io_uring_setup", tcp_alone=tcp_alone) == "ENOSYS"
    assert answer(machine, "socketpair", 1, 1 | CLOEXEC, tcp_alone=tcp_alone) == "allow"
    assert answer(machine, "socketpair", 1, 2 | CLOEXEC, tcp_alone=tcp_alone) == "EPERM"
    for call in ("openat", "mmap", "execve", "write", "sendto", "sendmsg", "sendmmsg"):
        assert answer(machine, call, tcp_alone=tcp_alone) == "allow"


@MACHINES
def test_without_a_network_of_its_own_there_is_tcp_alone_and_no_way_around_its_rules(machine: str) -> None:
    asked = {
        (2, 1, 0): "allow", (10, 1 | CLOEXEC, 6): "allow", (16, 3, 0): "allow",
        (2, 2, 0): "EPERM", (10, 3, 58): "EPERM", (2, 1, MPTCP): "EPERM", (17, 3, 0): "EPERM",
    }  # fmt: skip
    assert {given: answer(machine, "socket", *given, tcp_alone=True) for given in asked} == asked
    assert {answer(machine, "socket", *given) for given in asked} == {"allow"}
    flags = {"sendto": (0, 0, 0, socket.MSG_FASTOPEN), "sendmsg": (0, 0, socket.MSG_FASTOPEN)}
    assert {answer(machine, call, *given, tcp_alone=True) for call, given in flags.items()} == {"EPERM"}
    assert {answer(machine, call, *given) for call, given in flags.items()} == {"allow"}


@MACHINES
def test_with_a_root_and_a_network_of_its_own_there_is_what_these_hold(machine: str) -> None:
    families = {
        1: "allow",
        2: "allow",
        10: "allow",
        16: "allow",
        wall_calls.AF_VSOCK: "EPERM",
        31: "EPERM",
        42: "EPERM",
    }
    assert {family: answer(machine, "socket", family, 1, files=True) for family in families} == families
    assert answer(machine, "socketpair", 1, 2, files=True) == "allow"
    assert answer(machine, "io_uring_setup", files=True) == "ENOSYS"


@MACHINES
def test_other_entry_points_end_the_process(machine: str) -> None:
    assert answer(machine, "write", architecture=I386) == "kill"
    if machine == "x86_64":
        program = wall_calls.assemble(machine, files=False, tcp_alone=False)
        assert (seccomp.JUMP_OVER, 0, 1, seccomp.X32_BIT) in program
