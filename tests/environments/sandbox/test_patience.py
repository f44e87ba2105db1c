"""What honest programs and slow disks do is not taken for what hides something or never ends."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

from agentevo.environments.sandbox import Limits, Sandbox
from agentevo.environments.sandbox.box.folder import LOOK_S, READ_LIMIT, SENT_S, Away, Folder
from agentevo.environments.sandbox.box.zygote import LEAVE_S, LEAVING, Leaving

MEGABYTE = 1024 * 1024


def test_a_descriptor_on_its_way_counts_once_however_many_hold_the_socket(tmp_path: Path, proc: int) -> None:
    ours, theirs = socket.socketpair()
    held = (ours.fileno(), theirs.fileno())
    waits = [sys.executable, "-I", "-S", "-c", "input()"]
    with ours, theirs, theirs.dup(), subprocess.Popen(waits, stdin=subprocess.PIPE, pass_fds=held) as other:
        assert other.stdin is not None
        folder = Folder(str(tmp_path), 64, 100)
        socket.send_fds(ours, [b"x"], [1])
        assert not folder.is_over(proc, [os.getpid(), other.pid], 40 * MEGABYTE)
        assert folder.is_over(proc, [os.getpid()], 70 * MEGABYTE)
        other.stdin.close()


def test_many_processes_with_few_mappings_each_hide_nothing(tmp_path: Path, proc: int) -> None:
    with subprocess.Popen([sys.executable, "-I", "-S", "-c", "input()"], stdin=subprocess.PIPE) as other:
        assert other.stdin is not None
        mapped = len(Path(f"/proc/{other.pid}/maps").read_bytes())
        many = [other.pid] * (READ_LIMIT // mapped + 50)
        assert not Folder(str(tmp_path), 64, 100).is_over(proc, many, MEGABYTE)
        other.stdin.close()


def test_workers_that_never_leave_hold_up_new_ones_for_a_while_only() -> None:
    leaving = Leaving()
    for pid in range(LEAVING + 1):
        assert not leaving.are_many(100.0)
        leaving.begin(pid, 100.0)
    assert leaving.are_many(100.0)
    for pid in range(LEAVING + 1):
        leaving.begin(pid, 100.0 + LEAVE_S)  # said again, it is not counted anew
    assert not leaving.are_many(100.0 + LEAVE_S)


def test_a_worker_that_has_left_makes_room_for_the_next() -> None:
    leaving = Leaving()
    for pid in range(LEAVING + 1):
        leaving.begin(pid, 100.0)
    leaving.end(5)
    leaving.end(5)
    assert not leaving.are_many(100.0)


def looks(away: Away, found: str, step_s: float) -> bool:
    """Say whether any of some looks, at which something was on its way (`+`) or not (`-`), was one too many."""
    return any(away.is_over(one == "+", 100.0 + number * step_s) for number, one in enumerate(found))


def test_what_is_on_its_way_at_most_looks_is_there_too_long_even_if_it_is_missed_now_and_then() -> None:
    assert looks(Away(), "+++-" * 100, SENT_S / 20)


def test_what_is_on_its_way_at_few_looks_is_read_in_time() -> None:
    assert not looks(Away(), "+--+-" * 100, SENT_S / 20)


def test_one_look_after_a_long_while_does_not_stand_for_all_of_it() -> None:
    assert not looks(Away(), "++-", 100 * SENT_S)
    assert looks(Away(), "+" * (int(SENT_S / LOOK_S) + 2), 100 * SENT_S)


TO_AND_FRO = """
import os, socket, time
inside, inner = socket.socketpair()
middle, outer = socket.socketpair()
one, other = socket.socketpair()
socket.send_fds(middle, [b"x"], [inner.fileno()])
socket.send_fds(one, [b"x"], [outer.fileno()])
inner.close()
outer.close()
own = one if os.fork() else other
(other if own is one else one).close()
if own is one:
    for n in range(12):
        file = os.open("f", os.O_CREAT | os.O_RDWR)
        os.unlink("f")
        for _ in range(5): os.write(file, bytes(1 << 20))
        socket.send_fds(inside, [b"x"], [file])
        os.close(file)
        time.sleep(0.02)
while True:
    _, (carried,), _, _ = socket.recv_fds(own, 1, 1)
    time.sleep(0.001)
    socket.send_fds(own, [b"x"], [carried])
    os.close(carried)
"""
"""Hands to and fro the socket that holds a socket that holds files."""


def test_files_in_a_socket_that_never_rests_are_found(sandbox: Sandbox) -> None:
    result = sandbox.run(TO_AND_FRO, limits=Limits(disk_mb=16, file_size_mb=6))
    assert result.kind == ("error" if sandbox.tier == "namespaces" else "killed")
