"""Whether a program's process is all there is of its worker: seen at once, when it is about to end."""

from __future__ import annotations

import contextlib
import os
import re

BYTES = 4096
PEAK = re.compile(rb"\nVmHWM:\s+(\d+) kB\n")
"""At the start of a line: the name of a process, which is its own word, may hold the rest, but no end of a line."""
CHILDREN_FAULTED = 8
"""Which field of `stat`, from the state on, counts page faults of children that were waited for."""


class Sole:
    """What tells of a process that stands still: files of /proc, opened before there was a program."""

    def __init__(self, proc: int, shown: int) -> None:
        """`proc` is an open /proc in which the process has the number `shown`, and this one is its parent."""
        self._shown = shown
        self._files: list[int] = []
        own = os.readlink("self", dir_fd=proc)
        names = (f"{own}/task/{own}/children", f"{shown}/task/{shown}/children", f"{shown}/stat", f"{shown}/status")
        with contextlib.suppress(OSError):  # a kernel that does not list children
            self._files += (os.open(name, os.O_RDONLY, dir_fd=proc) for name in names)

    def peak(self) -> int:
        """Return the most memory the process has had, in bytes, or 0: where others are or were there, or none tells."""
        try:
            ours, theirs, stat, status = (os.pread(file, BYTES, 0) for file in self._files)
        except (OSError, ValueError):
            return 0
        is_alone = ours.split() == [b"%d" % self._shown] and not theirs and b"\nThreads:\t1\n" in status
        if not is_alone or stat.rpartition(b")")[2].split()[CHILDREN_FAULTED] != b"0":
            return 0
        told = PEAK.search(status)
        return int(told[1]) * 1024 if told else 0

    def close(self) -> None:
        """Look no more."""
        for file in self._files:
            os.close(file)
