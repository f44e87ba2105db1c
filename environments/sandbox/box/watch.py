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
    _of_living: dict[tuple[int, str], int] = field(default_factory=dict, init=False)
    _of_gone: int = field(default=0, init=False)
    _most: int = field(default=0, init=False)

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
        memory = sum(self._resident(pid, fields) for pid, fields in members.items())
        return Usage(memory, self._ticks(members) / TICKS, sum(int(fields[17]) for fields in members.values()))

    def _ticks(self, members: dict[int, list[str]]) -> int:
        """Return the most processor time that is known of: what processes tell, of themselves and of children they
        waited for, or what was seen of each while it lived, since nobody tells of a child that nobody waited for."""
        told = sum(int(ticks) for fields in members.values() for ticks in fields[11:15])
        now = {(pid, fields[19]): int(fields[11]) + int(fields[12]) for pid, fields in members.items()}
        self._of_gone += sum(ticks for one, ticks in self._of_living.items() if one not in now)
        self._of_living = now
        self._most = max(self._most, told, self._of_gone + sum(now.values()))
        return self._most

    def proportional(self) -> int:
        """Return the memory of the tree with each shared page counted once: exact, and slow."""
        return sum(self._share(pid, fields) for pid, fields in self.members().items())

    def _share(self, pid: int, fields: list[str]) -> int:
        for line in self._read(f"{self._teller(pid, fields)}/smaps_rollup").splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024
        # It does not tell, or has ended since it was listed: then it holds nothing any more.
        fields = self._read(f"{pid}/stat").rpartition(")")[2].split()
        return self._resident(pid, fields) if fields else 0

    def _resident(self, pid: int, fields: list[str]) -> int:
        teller = self._teller(pid, fields)
        pages = fields[21] if teller == str(pid) else [*self._read(f"{teller}/statm").split(), "0", "0"][1]
        return int(pages) * PAGE

    def _teller(self, pid: int, fields: list[str]) -> str:
        """Return where /proc tells of a process's memory: at another thread where the first has ended before them."""
        if fields[0] == "Z" and int(fields[17]) > 1:
            for thread in threads(self.proc, pid):
                if thread != str(pid):
                    return f"{pid}/task/{thread}"
        return str(pid)

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


def threads(proc: int, pid: int) -> list[str]:
    """Return the threads of a process that an open /proc shows, or none where it has gone."""
    try:
        folder = os.open(f"{pid}/task", os.O_RDONLY | os.O_DIRECTORY, dir_fd=proc)
    except OSError:
        return []
    try:
        return os.listdir(folder)
    except OSError:
        return []
    finally:
        os.close(folder)


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
