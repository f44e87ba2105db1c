"""What a program that somebody else wrote may touch, as data; and the command that puts a wall around it."""

from __future__ import annotations

import functools
import glob
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, runtime_checkable

from agentevo.errors import Misuse
from agentevo.protocols import Environment

PATH = "/usr/local/bin:/usr/bin:/bin"
SYSTEM = (
    "/usr", "/bin", "/sbin", "/lib", "/lib64", "/proc", "/etc/ld.so.cache", "/etc/ssl/certs", "/etc/ssl/openssl.cnf",
    "/etc/hosts", "/etc/resolv.conf", "/etc/nsswitch.conf", "/etc/passwd", "/etc/group", "/etc/localtime",
    "/etc/alternatives",
)  # fmt: skip
"""What may be read of the machine behind any wall. Landlock keeps the environments of other processes from it."""
_BOX = Path(__file__).parent / "sandbox" / "box"
_START = """
import sys, types
top = "agentevo.environments"
paths = {"agentevo": "", top: sys.argv.pop(1), top + ".sandbox": "", top + ".sandbox.box": sys.argv.pop(1)}
for name, path in paths.items():
    sys.modules[name] = types.ModuleType(name)
    sys.modules[name].__path__ = [path]
from agentevo.environments.wall import main
main()
"""
"""Imports the wall alone, not the packages it stands in: a tenth of a second instead of seconds."""


@dataclass(frozen=True)
class Walls:
    """What an engine may touch: programs and libraries, and a folder of its own that is gone afterwards; no network.

    network: it reaches what we reach; without, it has a loopback of its own, which leads nowhere else. readable: more
    files and folders that it may read. env: more variables beside the few that it gets. walls=False runs it with all
    rights of this process: the only way where the system has no walls to offer, and never taken unasked.
    """

    network: bool = False
    readable: Sequence[str] = ()
    env: Mapping[str, str] = field(default_factory=dict, repr=False)
    walls: bool = True

    def __post_init__(self) -> None:
        if isinstance(self.readable, str):
            raise Misuse(f"readable is {self.readable!r}; expected a list of paths")
        object.__setattr__(self, "readable", tuple(os.path.realpath(path) for path in self.readable))
        object.__setattr__(self, "env", dict(self.env))

    def told(self) -> tuple[str, ...]:
        """Say what is allowed, a line each."""
        if not self.walls:
            return ("walls: none; it runs with all rights of this process",)
        more = f", and {', '.join(self.readable)}" if self.readable else ""
        return (
            f"files: reads programs and libraries{more}; writes one temporary folder",
            "network: " + ("all that this machine reaches" if self.network else "none but a loopback of its own"),
            "processes: signals none but its own; nothing that it starts is left when it ends",
            f"variables: {', '.join(self.environment('HOME'))}",
        )

    def environment(self, home: str) -> dict[str, str]:
        """Return the whole environment of an engine whose folder is `home`."""
        java = f"-Djava.io.tmpdir={home} -Duser.home={home} -XX:-UsePerfData"
        return {
            "PATH": PATH, "HOME": home, "TMPDIR": home, "LANG": "C.UTF-8", "TZ": "UTC", "PYTHONHASHSEED": "0",
            "PYTHONDONTWRITEBYTECODE": "1", "JAVA_TOOL_OPTIONS": java, **self.env,
        }  # fmt: skip


@runtime_checkable
class Walled(Protocol):
    """An environment whose engine runs behind walls, and that says which."""

    @property
    def walls(self) -> Walls: ...


KINDS = {
    "root": "files that were not granted, and sockets among them, have no name for it",
    "namespaces": "the kernel allows no mounts: sockets among files are refused, its own too",
    "rules": "the kernel allows no namespaces: TCP connects nowhere unless network is granted, sockets among files are"
    " refused, and what it starts may outlive it",
}


@functools.cache
def kind_here() -> str:
    """Put a wall up around nothing, and say of which kind it is: one of KINDS, or why there is none."""
    if sys.platform != "linux":
        return f"there are none on {sys.platform}"
    with tempfile.TemporaryDirectory(prefix="agentevo-wall-") as folder:
        tried = subprocess.run(
            walled([], readable=system(), writable=[folder]), cwd=folder, capture_output=True, text=True, check=False
        )
    return tried.stdout or tried.stderr.strip() or f"none: it ended with status {tried.returncode}"


def walls_of(environment: Environment) -> tuple[str, ...]:
    """Say what runs an environment's episodes, what it may touch, and what this machine has for that, a line each."""
    if isinstance(environment, Walled) and environment.walls.walls:
        return (*environment.walls.told(), f"walls here: {KINDS.get(kind_here(), kind_here())}")
    if isinstance(environment, Walled):
        return environment.walls.told()
    if environment.card.trusted:
        return ("walls: none; its episodes run in this process",)
    return ("walls: those of the sandbox, in which what an agent writes is run; `agentevo doctor` names its tier",)


def system() -> list[str]:
    """Return what of the machine every engine may read: programs, libraries, and what those look up."""
    return [*SYSTEM, *glob.glob("/etc/java*"), sys.prefix, sys.base_prefix]  # noqa: PTH207 - texts are what is needed


def walled(
    command: Sequence[str],
    *,
    readable: Sequence[str],
    writable: Sequence[str],
    network: bool = False,
    lifeline: bool = False,
) -> list[str]:
    """Return a command behind a wall. With a lifeline it ends when nobody holds the other end of its input any more."""
    config = {"readable": [*readable], "writable": [*writable], "network": network, "lifeline": lifeline}
    python = os.path.realpath(getattr(sys, "_base_executable", sys.executable))
    here = [str(_BOX.parent.parent), str(_BOX)]
    return [python, "-P", "-s", "-S", "-c", _START, *here, json.dumps(config), *command]
