"""The files of a session, read and written by its supervisor, who follows no link and leaves no folder."""

from __future__ import annotations

import base64
import os
import stat
import struct

from agentevo.environments.sandbox.box.syscalls import AT_FDCWD, call
from agentevo.environments.sandbox.box.wire import Message

BENEATH_WITHOUT_LINKS = 0x08 | 0x04 | 0x02
READ_LIMIT = 32 * 1024 * 1024
LISTED = 5000


def do(job: Message) -> Message:
    """Read, write or list files; what cannot be done is said in the answer."""
    name = str(job.get("name", ""))
    try:
        match job["file"]:
            case "read":
                return {"content": base64.b64encode(read(name)).decode("ascii")}
            case "write":
                write(name, base64.b64decode(str(job["content"])))
                return {}
            case _:
                return {"names": names()}
    except OSError as error:
        return {"refused": os.strerror(error.errno) if error.errno else str(error)}


def read(name: str) -> bytes:
    """Return what a file holds."""
    descriptor = _open(name, os.O_RDONLY | os.O_NONBLOCK)
    with os.fdopen(descriptor, "rb") as file:
        return file.read(READ_LIMIT)


def write(name: str, content: bytes) -> None:
    """Put a file in place of what it held, with the folders it lies in."""
    parts = name.split("/")[:-1]
    for count in range(1, len(parts) + 1):
        _make_folder("/".join(parts[:count]))
    descriptor = _open(name, os.O_WRONLY | os.O_CREAT | os.O_NONBLOCK)
    with os.fdopen(descriptor, "wb") as file:
        file.truncate(0)
        file.write(content)


def names() -> list[str]:
    """Return the names of all files, sorted."""
    found: list[str] = []
    folders = ["."]
    while folders and len(found) < LISTED:
        folder = folders.pop()
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    folders.append(entry.path)
                else:
                    found.append(entry.path.removeprefix("./"))
    return sorted(found)[:LISTED]


def _make_folder(path: str) -> None:
    above, _, name = path.rpartition("/")
    descriptor = _beneath(above or ".", os.O_PATH | os.O_DIRECTORY)
    try:
        os.mkdir(name, dir_fd=descriptor)
    except FileExistsError:
        pass
    finally:
        os.close(descriptor)


def _open(name: str, flags: int) -> int:
    """Open a regular file; anything else, a pipe say, could have whoever reads it wait."""
    descriptor = _beneath(name, flags)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(f"{name} is no regular file")
    return descriptor


def _beneath(name: str, flags: int) -> int:
    mode = 0o644 if flags & os.O_CREAT else 0
    how = struct.pack("QQQ", flags | os.O_CLOEXEC, mode, BENEATH_WITHOUT_LINKS)
    return call("openat2", AT_FDCWD, name.encode(), how, len(how))
