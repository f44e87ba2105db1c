"""The work folder of a worker that has no disk of its own: watched, since nothing else limits it; and removed."""

from __future__ import annotations

import contextlib
import math
import os
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager

from agentevo.environments.sandbox.box.watch import threads

MEGABYTE = 1024 * 1024
READ_LIMIT, READ_EACH = 2 * MEGABYTE, MEGABYTE // 4
"""Lists of mappings that are longer, all together and for each process, are no program's that has no wish to hide
something, and take long to read: some 20 ms for a megabyte."""
SENT_S = 1.0
"""Who sends a descriptor has it read sooner: it may be a socket, and what was sent to that one nobody can see."""
LOOK_S = 0.25
"""One look stands for at most so long: between two the machine may have stood still."""
PARTS = ("work", "tmp")
SIZE_AT = 20
"""Where `stat` tells how much a process maps, which is nothing once it has ended."""


class Folder:
    """A folder on the host that one worker may write to."""

    def __init__(self, path: str, megabytes: float, files: int) -> None:
        self.path, self.limit, self.files = path, int(megabytes * MEGABYTE), files
        self._away = Away()

    def make(self) -> None:
        """Make the folder and go there."""
        os.mkdir(self.path, 0o700)
        for part in PARTS:
            os.mkdir(os.path.join(self.path, part), 0o700)
        os.chdir(os.path.join(self.path, PARTS[0]))

    def is_over(self, proc: int, pids: list[int], file_size: int) -> bool:
        """Say whether there is more in it than allowed; files that are deleted and still in use count too.

        A file that is only mapped, or on its way between two sockets, does not show its size, and counts as the
        largest there may be. A folder that cannot be looked into, or lies too deep to be named, could hide anything:
        it is over as well. So could a process that cannot be looked into, and what stays on its way.
        """
        size = 0
        try:
            for count, entry in enumerate(self._entries(), 1):
                with contextlib.suppress(FileNotFoundError):
                    size += entry.stat(follow_symlinks=False).st_blocks * 512
                if count > self.files + len(PARTS) or size > self.limit:
                    return True
        except OSError:
            return True
        held = Held(self.path, READ_LIMIT + READ_EACH * len(pids))
        for pid in pids:
            held.look(proc, pid)
        return size + held.size(file_size) > self.limit or self._away.is_over(held.sent, time.monotonic())

    def _entries(self) -> Iterator[os.DirEntry[str]]:
        folders = [self.path]
        while folders:
            with contextlib.suppress(FileNotFoundError), os.scandir(folders.pop()) as entries:
                for entry in entries:
                    yield entry
                    if entry.is_dir(follow_symlinks=False):
                        folders.append(entry.path)

    def remove(self) -> None:
        """Remove it all, however deep: inner folders are moved up, one level at a time."""
        while not self._is_removed(self.path):
            for name in os.listdir(self.path):
                self._remove_below(os.path.join(self.path, name))

    def _is_removed(self, folder: str) -> bool:
        """Remove a folder that is empty, as most are; say whether it is gone."""
        try:
            os.rmdir(folder)
        except FileNotFoundError:
            return True
        except OSError:
            return False
        return True

    def _remove_below(self, outer: str) -> None:
        if self._is_removed(outer):
            return
        if not _is_folder(outer):
            os.unlink(outer)
            return
        os.chmod(outer, 0o700)
        for inner in os.listdir(outer):
            path = os.path.join(outer, inner)
            if _is_folder(path):
                os.chmod(path, 0o700)
                os.rename(path, os.path.join(self.path, os.urandom(12).hex()))
            else:
                os.unlink(path)
        os.rmdir(outer)


class Away:
    """How long something was on its way, less how long nothing was.

    It need not be seen at each look: processes are looked at one after the other, and what they hand to and fro may
    always be at another one.
    """

    def __init__(self) -> None:
        self._away_s, self._looked_at = 0.0, math.inf

    def is_over(self, sent: int, now: float) -> bool:
        """Take in what a look found; say whether it goes on for too long."""
        passed = min(max(now - self._looked_at, 0.0), LOOK_S)
        self._looked_at = now
        self._away_s = max(self._away_s + (passed if sent else -passed), 0.0)
        return self._away_s > SENT_S


def _is_folder(path: str) -> bool:
    return stat.S_ISDIR(os.lstat(path).st_mode)


class Held:
    """Deleted files that processes hold: open, mapped, or sent to a socket that nobody has read yet."""

    def __init__(self, path: str, room: int) -> None:
        self._path, self._room = path, room
        self._open: dict[int, int] = {}
        self._mapped: set[int] = set()
        self._sent: dict[int, int] = {}
        self._is_hidden = False

    @property
    def sent(self) -> int:
        """How many descriptors are on their way, in sockets that may each be held by several processes."""
        return sum(self._sent.values())

    def size(self, largest: int) -> float:
        """Return the bytes of all, where those whose size is hidden are as large as they may be."""
        if self._is_hidden:
            return math.inf
        return sum(self._open.values()) + largest * (self.sent + len(self._mapped - self._open.keys()))

    def look(self, proc: int, pid: int) -> None:
        """Count what a process holds; each of its threads may have descriptors of its own."""
        names = threads(proc, pid)
        for thread in names:
            with self._seen(proc, f"{pid}/task/{thread}"):
                self._look_at_descriptors(proc, f"{pid}/task/{thread}")
        for thread in names:
            with self._seen(proc, f"{pid}/task/{thread}"):
                if self._look_at_mappings(proc, f"{pid}/task/{thread}"):
                    break

    @contextmanager
    def _seen(self, proc: int, task: str) -> Iterator[None]:
        """Pass over what has ended; one that runs what it may not read lives on, and cannot be looked into."""
        try:
            yield
        except PermissionError:
            with contextlib.suppress(OSError, IndexError):
                self._is_hidden |= _text(proc, f"{task}/stat", READ_LIMIT).rpartition(")")[2].split()[SIZE_AT] != "0"
        except OSError:
            pass

    def _look_at_mappings(self, proc: int, task: str) -> bool:
        """Count deleted files that are mapped; say whether there was anything to see."""
        maps = _text(proc, f"{task}/maps", self._room)
        self._room -= len(maps)
        self._is_hidden |= self._room <= 0
        for line in maps.split("\n"):  # names may hold whatever else ends a line
            if line.endswith(" (deleted)") and (fields := line.split(None, 5))[5].startswith(self._path):
                self._mapped.add(int(fields[4]))
        return bool(maps)

    def _look_at_descriptors(self, proc: int, task: str) -> None:
        descriptors = os.open(f"{task}/fd", os.O_RDONLY | os.O_DIRECTORY, dir_fd=proc)
        try:
            for name in os.listdir(descriptors):
                with contextlib.suppress(OSError):
                    seen = os.stat(name, dir_fd=descriptors)
                    if stat.S_ISREG(seen.st_mode) and not seen.st_nlink:
                        self._open[seen.st_ino] = seen.st_blocks * 512
                    elif stat.S_ISSOCK(seen.st_mode):
                        told = _text(proc, f"{task}/fdinfo/{name}", READ_LIMIT).partition("scm_fds:")[2].split()
                        self._sent[seen.st_ino] = int(told[0]) if told else 0
        finally:
            os.close(descriptors)


def _text(proc: int, name: str, limit: int) -> str:
    with open(os.open(name, os.O_RDONLY, dir_fd=proc), encoding="utf-8", errors="replace", newline="\n") as file:
        return file.read(limit)
