"""The private root: the interpreter and its libraries read-only, a few devices, and room for one small work disk."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator

from agentevo.environments.sandbox.box.syscalls import (
    ATTR_NODEV,
    ATTR_NOEXEC,
    ATTR_NOSUID,
    ATTR_RDONLY,
    MS_BIND,
    MS_NODEV,
    MS_NOSUID,
    MS_PRIVATE,
    MS_REC,
    enter_root,
    mount,
    set_mount_flags,
)

BOX = "/box"
WORK = f"{BOX}/work"
"""The folder a program runs in. With it, one disk holds its temporary files and its shared memory."""
DISK_FOLDERS = ("work", "tmp", "shm")
DEVICES = ("null", "zero", "full", "random", "urandom")
SYSTEM = ("/usr/lib", "/usr/lib64", "/lib", "/lib64", "/etc/ld.so.cache", "/usr/share/zoneinfo")
LINKS = {"/tmp": f"{BOX}/tmp", "/dev/shm": f"{BOX}/shm"}
STAGE = "/sys"
"""Where the new root is put together: nothing that is bound into it lies there."""
PROC = "/proc"


def readable(extra: list[str]) -> list[str]:
    """Return what a program may read: the interpreter, its libraries, and what the user grants."""
    base = [os.path.realpath(sys.executable), os.path.join(sys.base_prefix, "lib"), os.path.dirname(os.__file__)]
    found: list[str] = []
    for path in [*SYSTEM, *base, *extra]:
        if os.path.exists(path) and not any(path == one or path.startswith(one + "/") for one in found):
            found.append(path)
    return found


def build(extra: list[str]) -> None:
    """Make the private root and enter it; needs a mount namespace of one's own."""
    mount("none", "/", None, MS_REC | MS_PRIVATE)
    paths = readable(extra)
    mount("tmpfs", STAGE, "tmpfs", MS_NOSUID | MS_NODEV, "size=1m,nr_inodes=4096,mode=755")
    for path in paths:
        _bind(path)
    for name in DEVICES:
        _bind(f"/dev/{name}", ATTR_RDONLY | ATTR_NOSUID | ATTR_NOEXEC)
    for packages in hidden(paths):
        mount("tmpfs", STAGE + packages, "tmpfs", MS_NOSUID | MS_NODEV, "size=4k,nr_inodes=1,mode=755")
        set_mount_flags(STAGE + packages, ATTR_RDONLY)
    os.makedirs(STAGE + BOX)
    os.makedirs(STAGE + PROC)
    mount(PROC, STAGE + PROC, None, MS_BIND | MS_REC)  # until `close`: the kernel asks to see one before it gives one
    for path, target in LINKS.items():
        if not os.path.lexists(STAGE + path):
            os.symlink(target, STAGE + path)
    enter_root(STAGE)


def close() -> None:
    """Cover /proc for good and make the root itself read-only: nothing is added to it any more."""
    mount("tmpfs", PROC, "tmpfs", MS_NOSUID | MS_NODEV, "size=4k,nr_inodes=1,mode=555")
    set_mount_flags(PROC, ATTR_RDONLY)
    set_mount_flags("/", ATTR_RDONLY, recursive=False)


def add_disk(megabytes: float, inodes: int) -> None:
    """Mount the work disk of one worker, empty and limited, and go there."""
    options = f"size={int(megabytes * 1024)}k,nr_inodes={inodes + 1 + len(DISK_FOLDERS)},mode=755"
    mount("tmpfs", BOX, "tmpfs", MS_NOSUID | MS_NODEV, options)
    for name in DISK_FOLDERS:
        os.mkdir(f"{BOX}/{name}")
    os.chdir(WORK)


def hidden(paths: list[str]) -> Iterator[str]:
    """Yield the folders of installed packages inside what is readable: they are the agent's, not a solution's."""
    for path in paths:
        for folder in (path, *(os.path.join(path, name) for name in _pythons(path))):
            for name in ("site-packages", "dist-packages"):
                if os.path.isdir(os.path.join(folder, name)):
                    yield os.path.join(folder, name)


def _pythons(path: str) -> list[str]:
    return [name for name in os.listdir(path) if name.startswith("python")] if os.path.isdir(path) else []


def _bind(path: str, flags: int = ATTR_RDONLY | ATTR_NOSUID | ATTR_NODEV) -> None:
    target = STAGE + path
    if os.path.islink(path) and os.path.isdir(path):
        os.makedirs(os.path.dirname(target), exist_ok=True)
        os.symlink(os.readlink(path), target)
        return
    if os.path.isdir(path):
        os.makedirs(target, exist_ok=True)
    else:
        os.makedirs(os.path.dirname(target), exist_ok=True)
        os.close(os.open(target, os.O_CREAT | os.O_WRONLY, 0o644))
    mount(path, target, None, MS_BIND | MS_REC)
    set_mount_flags(target, flags)
