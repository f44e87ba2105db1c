"""The system call filter, read as the kernel reads it: on both machines, without making a call."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from bpf_machine import answer_of

from agentevo.environments.sandbox.box import seccomp
from agentevo.environments.sandbox.box.numbers import GUARDED, METADATA, OWN, PLAIN, numbers

I386 = 0x40000003


def answer(machine: str, call: str | int, *arguments: int, architecture: int | None = None, **rules: object) -> str:
    """Run the filter over one call; return allow, kill, notify, or the name of the error."""
    program = seccomp.assemble(machine, **{"metadata": True, "kill_only": None, "watched": False, **rules})  # type: ignore[arg-type]
    table = {name: n for part in (PLAIN, GUARDED, METADATA) for name, n in numbers(part, machine).items()}
    number = table[call] if isinstance(call, str) else call
    return answer_of(program, number, architecture or seccomp.ARCHITECTURES[machine], arguments)


MACHINES = pytest.mark.parametrize("machine", ["x86_64", "aarch64"])


@MACHINES
def test_what_programs_need_is_allowed(machine: str) -> None:
    for call in ("read", "openat", "mmap", "execve", "wait4", "futex", "newfstatat", "getrandom"):
        assert answer(machine, call) == "allow"
    assert answer(machine, "clone", 0x3D0F00) == "allow"
    assert answer(machine, "socketpair", 1) == "allow"
    assert answer(machine, "ioctl", 1, 0x5401) == "allow"
    assert answer(machine, "mknodat", 0, 0, seccomp.FIFO | 0o644) == "allow"
    assert answer(machine, "prlimit64", 0, 7) == "allow"


REFUSED = {
    "x86_64": {"socket": 41, "ptrace": 101, "unshare": 272, "io_uring_setup": 425, "bpf": 321, "keyctl": 250,
               "memfd_create": 319, "userfaultfd": 323, "perf_event_open": 298, "shmget": 29, "mount": 165},
    "aarch64": {"socket": 198, "ptrace": 117, "unshare": 97, "io_uring_setup": 425, "bpf": 280, "keyctl": 219,
                "memfd_create": 279, "userfaultfd": 282, "perf_event_open": 241, "shmget": 194, "mount": 40},
}  # fmt: skip


@MACHINES
def test_what_is_not_listed_is_refused(machine: str) -> None:
    assert {call: answer(machine, number) for call, number in REFUSED[machine].items()} == dict.fromkeys(
        REFUSED[machine], "EPERM"
    )
    assert answer(machine, 9999) == "EPERM"


@MACHINES
def test_each_number_is_allowed_or_refused_as_listed(machine: str) -> None:
    guarded, listed = numbers(GUARDED, machine).values(), numbers(PLAIN, machine).values()
    times = numbers(METADATA, machine).values()
    for number in {*range(700)} - {*guarded}:
        expected = "allow" if number in listed or number in times else "EPERM"
        assert (number, answer(machine, number)) == (number, expected)
        assert answer(machine, number, metadata=False) == ("done" if number in times else expected)


@MACHINES
def test_calls_with_arguments_that_lead_out_are_refused(machine: str) -> None:
    assert answer(machine, "clone", 0x10000000) == "EPERM"
    assert answer(machine, "clone3") == "ENOSYS"
    assert answer(machine, "socketpair", 2) == "EPERM"
    assert answer(machine, "ioctl", 0, 0x5412) == "EPERM"
    assert answer(machine, "fcntl", 0, 8) == "EPERM"
    assert answer(machine, "prctl", 22) == "EPERM"
    assert answer(machine, "mknodat", 0, 0, 0o060644) == "EPERM"
    assert answer(machine, "prlimit64", 1, 7) == "EPERM"
    assert answer(machine, "setpriority", 0, 1) == "EPERM"
    assert answer(machine, "setpriority", 1, 0) == "EPERM"
    assert answer(machine, "setpriority", 0, 0) == "allow"


@MACHINES
def test_another_entry_point_ends_the_process(machine: str) -> None:
    assert answer(machine, "read", architecture=I386) == "kill"
    if machine == "x86_64":
        assert answer(machine, seccomp.X32_BIT | 0) == "kill"


@MACHINES
def test_modes_owners_and_times_only_seem_to_change_where_no_root_is_private(machine: str) -> None:
    calls = [*numbers(METADATA, machine)]
    assert len(calls) >= 6
    assert {answer(machine, call, metadata=False) for call in calls} == {"done"}
    assert {answer(machine, call) for call in calls} == {"allow"}


@MACHINES
def test_signals_are_for_oneself_where_the_kernel_cannot_keep_them_inside(machine: str) -> None:
    assert [answer(machine, "kill", pid, 9, kill_only=77) for pid in (77, 0, 1, -1)] == [
        "allow", "allow", "EPERM", "EPERM",
    ]  # fmt: skip
    assert [answer(machine, "tgkill", pid, 5, kill_only=77) for pid in (77, 78)] == ["allow", "EPERM"]
    assert answer(machine, "tkill", 77, kill_only=77) == "EPERM"
    assert answer(machine, "kill", 1, 9) == "allow"


@MACHINES
def test_new_processes_are_asked_for_where_nothing_else_counts_them(machine: str) -> None:
    assert answer(machine, "clone", 17, watched=True) == "notify"
    assert answer(machine, "clone", 0x10000000, watched=True) == "EPERM"
    if machine == "x86_64":
        assert {answer(machine, call, watched=True) for call in ("fork", "vfork")} == {"notify"}


@MACHINES
def test_an_end_that_is_announced_is_asked_for(machine: str) -> None:
    assert answer(machine, "exit_group", 5, seccomp.ENDING) == "notify"
    assert {answer(machine, "exit_group", 5, other) for other in (0, 1, seccomp.ENDING + 1)} == {"allow"}
    assert answer(machine, "exit_group", 5, seccomp.ENDING, asks_to_end=False) == "allow"


def test_a_filter_fits_the_kernels_limit() -> None:
    assert len(seccomp.assemble("x86_64", metadata=False, kill_only=1, watched=True)) < 4096


HEADERS = {"x86_64": "x86_64-linux-gnu/asm/unistd_64.h", "aarch64": "asm-generic/unistd.h"}
"""What the kernel's own headers call each number; those of aarch64 are the generic ones, and come to any machine."""


@MACHINES
def test_the_numbers_are_those_of_the_kernels_headers(machine: str) -> None:
    header = Path("/usr/include") / HEADERS[machine]
    if not header.exists():
        pytest.skip(f"{header} is not here (on Debian: linux-libc-dev)")
    known = {
        name: int(number) for name, number in re.findall(r"#define __NR(?:3264)?_(\w+)\s+(\d+)", header.read_text())
    }
    known |= {"newfstatat": known.get("newfstatat", known.get("fstatat", -1))}
    listed = {name: n for table in (PLAIN, GUARDED, METADATA, OWN) for name, n in numbers(table, machine).items()}
    newest = max(known.values())
    assert {name: known.get(name) for name, n in listed.items() if n <= newest} == {
        name: n for name, n in listed.items() if n <= newest
    }
    assert len([n for n in listed.values() if n <= newest]) > 150
