"""What honest programs and slow disks do is not taken for what hides something or never ends."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from agentevo.environments.sandbox.box.folder import READ_LIMIT, Folder
from agentevo.environments.sandbox.box.zygote import LEAVE_S, LEAVING, Leaving

MEGABYTE = 1024 * 1024


@pytest.fixture
def proc() -> Iterator[int]:
    """An open /proc."""
    opened = os.open("/proc", os.O_RDONLY | os.O_DIRECTORY)
    yield opened
    os.close(opened)


def test_a_descriptor_on_its_way_counts_once_however_many_hold_the_socket(tmp_path: Path, proc: int) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs, theirs.dup():
        folder = Folder(str(tmp_path), 64, 100)
        socket.send_fds(ours, [b"x"], [1])
        assert not folder.is_over(proc, [os.getpid(), os.getppid()], 40 * MEGABYTE)
        assert folder.is_over(proc, [os.getpid()], 70 * MEGABYTE)


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
