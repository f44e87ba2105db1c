"""The work folder of a worker that has no disk of its own: watched, since nothing else limits it; and removed."""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Iterator

MEGABYTE = 1024 * 1024
PARTS = ("work", "tmp", "shm")


class Folder:
    """A folder on the host that one worker may write to."""

    def __init__(self, path: str, megabytes: float, files: int) -> None:
        self.path, self.limit, self.files = path, int(megabytes * MEGABYTE), files

    def make(self) -> None:
        """Make the folder and go there."""
        os.mkdir(self.path, 0o700)
        for part in PARTS:
            os.mkdir(os.path.join(self.path, part), 0o700)
        os.chdir(os.path.join(self.path, PARTS[0]))

    def is_over(self, proc: int, pids: list[int]) -> bool:
        """Say whether there is more in it than allowed; files that are deleted and still open count too.

        A folder that cannot be looked into, or lies too deep to be named, could hide anything: it is over as well.
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
        return size + sum(_deleted(proc, pid) for pid in pids) > self.limit

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


def _is_folder(path: str) -> bool:
    return stat.S_ISDIR(os.lstat(path).st_mode)


def _deleted(proc: int, pid: int) -> int:
    """Return the bytes of deleted files that a process holds open."""
    size = 0
    with contextlib.suppress(OSError):
        descriptors = os.open(f"{pid}/fd", os.O_RDONLY | os.O_DIRECTORY, dir_fd=proc)
        try:
            for name in os.listdir(descriptors):
                with contextlib.suppress(OSError):
                    seen = os.stat(name, dir_fd=descriptors)
                    if stat.S_ISREG(seen.st_mode) and not seen.st_nlink:
                        size += seen.st_blocks * 512
        finally:
            os.close(descriptors)
    return size
