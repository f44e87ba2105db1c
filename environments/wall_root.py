"""A root of its own for what stands behind a wall: what it may read or write, and nothing else, not even by name.

Landlock keeps files from being read; a socket that lies among them could still be spoken to, the one of a container
service say, which obeys everybody who reaches it. Here it has no path.
"""

# Plain os.path and open: pathlib takes time to load.
# ruff: noqa: PTH100, PTH103, PTH110, PTH112, PTH114, PTH115, PTH120, PTH211

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator

from agentevo.environments.sandbox.box.syscalls import (
    ATTR_NODEV,
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

STAGE = "/sys"
"""Where the new root is put together: nothing that is shown lies there."""


def enter(readable: Iterable[str], writable: Iterable[str], devices: Iterable[str]) -> None:
    """Make the root and go into it; needs a mount namespace of one's own. The folder one is in stays the same."""
    here = os.getcwd()  # noqa: PTH109 - as above
    mount("none", "/", None, MS_REC | MS_PRIVATE)
    mount("tmpfs", STAGE, "tmpfs", MS_NOSUID | MS_NODEV, "size=4m,mode=755")
    writable = {os.path.realpath(path) for path in writable}
    shown = {one: False for path in readable for one in (os.path.abspath(path), os.path.realpath(path))}
    shown |= dict.fromkeys(writable, True)
    for path, is_writable in _outermost(shown):
        _bind(path, ATTR_NOSUID | ATTR_NODEV | (0 if is_writable else ATTR_RDONLY))
    for path in devices:
        _bind(path, ATTR_NOSUID)
    set_mount_flags(STAGE, ATTR_RDONLY, recursive=False)
    enter_root(STAGE)
    os.chdir(here)


def _outermost(shown: dict[str, bool]) -> Iterator[tuple[str, bool]]:
    """Yield what has to be shown, the outer before the inner; not what is there already because of the outer."""
    done: dict[str, bool] = {}
    for path in sorted(filter(os.path.exists, shown), key=lambda one: one.count("/")):
        around = max((one for one in done if path.startswith(one + "/")), key=len, default=None)
        if around is None or (shown[path] and not done[around]):
            done[path] = shown[path]
            yield path, shown[path]


def _bind(path: str, flags: int) -> None:
    target = STAGE + path
    if os.path.islink(path) and os.path.isdir(path):
        os.makedirs(os.path.dirname(target), exist_ok=True)
        os.symlink(os.readlink(path), target)
        return
    if not os.path.exists(target):
        os.makedirs(target if os.path.isdir(path) else os.path.dirname(target), exist_ok=True)
        if not os.path.isdir(path):
            os.close(os.open(target, os.O_CREAT | os.O_WRONLY, 0o644))
    mount(path, target, None, MS_BIND | MS_REC)
    set_mount_flags(target, flags)
