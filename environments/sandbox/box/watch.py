"""What the processes of one worker use together: memory, processor time, their number; read from /proc."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Set
from dataclasses import dataclass, field

PAGE = os.sysconf("SC_PAGE_SIZE")
TICKS = os.sysconf("SC_CLK_TCK")
FORGET_S = 1.0
"""So long a process is known not to be ours: numbers of processes come back."""


@dataclass(frozen=True, slots=True)
class Usage:
    """What a tree used when it was looked at."""

    memory: int
    cpu_s: float
    tasks: int


@dataclass(slots=True)
class Tree:
    """All descendants of one process, which is not counted itself; `proc` is an open /proc that shows them."""

    proc: int
    root: int = field(init=False)
    _foreign: set[int] = field(default_factory=set, init=False)
    _forget_at: float = field(default=0.0, init=False)

    def __post_init__(self) -> None:
        self.root = int(os.readlink("self", dir_fd=self.proc))

    def learn(self, bystanders: Set[int], own: int = 0) -> None:
        """Take it for a while that processes are none of this tree, which has at most the one that is `own`."""
        self._foreign = {*bystanders} - {self.root, own}
        self._forget_at = time.monotonic() + FORGET_S

    def members(self) -> dict[int, list[str]]:
        """Return the fields of `stat` of each descendant that has not ended."""
        if time.monotonic() > self._forget_at:
            self._foreign.clear()
            self._forget_at = time.monotonic() + FORGET_S
        stats: dict[int, list[str]] = {}
        for name in os.listdir(self.proc):
            if name.isdigit() and int(name) not in self._foreign:
                fields = self._read(f"{name}/stat")
                if fields:
                    stats[int(name)] = fields.rpartition(")")[2].split()
        found = {pid: fields for pid, fields in stats.items() if self._descends(pid, stats)}
        self._foreign.update(stats.keys() - found.keys() - {self.root})
        found.pop(self.root, None)
        return found

    def _descends(self, pid: int, stats: dict[int, list[str]]) -> bool:
        for _ in range(len(stats)):
            if pid == self.root or pid not in stats:
                break
            pid = int(stats[pid][1])
        return pid == self.root

    def usage(self) -> Usage:
        """Return what the tree uses now; memory that is shared counts once where the kernel tells."""
        members = self.members()
        memory = sum(int(fields[21]) for fields in members.values()) * PAGE
        ticks = sum(int(ticks) for fields in members.values() for ticks in fields[11:15])
        return Usage(memory, ticks / TICKS, sum(int(fields[17]) for fields in members.values()))

    def proportional(self) -> int:
        """Return the memory of the tree with each shared page counted once: exact, and slow."""
        return sum(self._share(pid) for pid in self.members())

    def _share(self, pid: int) -> int:
        for line in self._read(f"{pid}/smaps_rollup").splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024
        # It does not tell, or has ended since it was listed: then it holds nothing any more.
        fields = self._read(f"{pid}/stat").rpartition(")")[2].split()
        return int(fields[21]) * PAGE if fields else 0

    def waited_s(self, pid: int) -> float:
        """Return how long a process was ready to run and had no processor."""
        fields = self._read(f"{pid}/schedstat").split()
        return int(fields[1]) / 1e9 if len(fields) > 1 else 0.0

    def _read(self, path: str) -> str:
        """Return a file of /proc, or nothing where the process has gone or is not ours to look at."""
        try:
            file = os.open(path, os.O_RDONLY, dir_fd=self.proc)
        except OSError:
            return ""
        try:
            return os.read(file, 65536).decode("utf-8", "replace")
        except OSError:
            return ""
        finally:
            os.close(file)


class Bystanders:
    """The processes that are none of a new worker's, as its zygote saw them shortly before it was forked."""

    def __init__(self, proc: int) -> None:
        self.pids, self._proc, self._looked_at = frozenset[int](), proc, -math.inf

    def look(self) -> None:
        """See which there are, unless that was done just now."""
        now = time.monotonic()
        if now > self._looked_at + FORGET_S / 2:
            self.pids = frozenset(int(name) for name in os.listdir(self._proc) if name.isdigit())
            self._looked_at = now
