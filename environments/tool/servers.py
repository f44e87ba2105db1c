"""MCP servers as data: how one is started, or where it is, and what it may touch."""

from __future__ import annotations

import os
import shlex
import shutil
import sys
from collections.abc import Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field
from pathlib import Path
from typing import TypeAlias

from agentevo.environments.tool.programs import installed_with
from agentevo.environments.walls import PATH, SYSTEM
from agentevo.errors import AgentEvoError, Misuse

READABLE = (*SYSTEM, "/etc/mime.types", "/etc/gitconfig")
"""What a server may read of the machine."""


class ServerUnavailable(AgentEvoError):
    """An MCP server that cannot be started, reached or used; the message says what it did."""


@dataclass(frozen=True)
class StdioServer:
    """A server that is started as a process: `StdioServer("mcp-server-git", "-r", "repo", writable=["repo"])`.

    It gets an environment of a few variables and those of `env`, a new folder as its home, or `folder`, and may read
    programs, libraries, the files that its command names, what these were installed with, and what is granted. Without
    `network` it reaches nobody. walls=False runs it with all rights of this process. only: the tools that are taken of
    those it has. destructive: tools that cannot be taken back, beside those it calls so itself; allowed: tools that
    it calls so, and that may be called all the same. prefix: what the names of its tools begin with here.
    """

    command: str
    args: tuple[str, ...]
    env: Mapping[str, str] = field(default_factory=dict, repr=False)
    folder: str | None = None
    readable: tuple[str, ...] = ()
    writable: tuple[str, ...] = ()
    network: bool = False
    walls: bool = True
    only: tuple[str, ...] = ()
    destructive: tuple[str, ...] = ()
    allowed: tuple[str, ...] = ()
    prefix: str = ""
    name: str = ""

    def __init__(
        self,
        command: str,
        *args: str,
        env: Mapping[str, str] | None = None,
        folder: str | os.PathLike[str] | None = None,
        readable: Sequence[str | os.PathLike[str]] = (),
        writable: Sequence[str | os.PathLike[str]] = (),
        network: bool = False,
        walls: bool = True,
        only: Sequence[str] = (),
        destructive: Sequence[str] = (),
        allowed: Sequence[str] = (),
        prefix: str = "",
        name: str = "",
    ) -> None:
        if not command or not isinstance(command, str):
            raise Misuse(f"command is {command!r}; expected the name or path of a program")
        values = {
            "command": command, "args": args, "env": dict(env or {}), "folder": _real(folder) if folder else None,
            "readable": tuple(map(_real, readable)), "writable": tuple(map(_real, writable)), "network": network,
            "walls": walls, "only": tuple(only), "destructive": tuple(destructive),
            "allowed": tuple(allowed), "prefix": prefix, "name": name or Path(command).stem,
        }  # fmt: skip
        for key, value in values.items():
            object.__setattr__(self, key, value)

    def program(self) -> str:
        """Return the path of the program. Raise ServerUnavailable where there is none."""
        path = self.env.get("PATH", os.environ.get("PATH", PATH))
        beside = os.pathsep.join((str(Path(sys.executable).parent), path))
        found = shutil.which(self.command, path=beside)
        if found is None:
            raise ServerUnavailable(f"there is no program {self.command!r:.200}; install it, or give its path")
        return str(Path(found).absolute())

    def reads(self) -> list[str]:
        """Return what the server may read."""
        named = [self.program(), *(arg for arg in self.args if _is_file(arg))]
        own = [path for name in named for path in (name, os.path.realpath(name), *installed_with(name))]
        return [*READABLE, *own, sys.prefix, sys.base_prefix, *self.readable]

    def environment(self, home: str) -> dict[str, str]:
        """Return the whole environment of the server."""
        path = os.pathsep.join((str(Path(self.program()).parent), PATH))
        return {"PATH": path, "HOME": home, "TMPDIR": home, "LANG": "C.UTF-8", "TZ": "UTC", **self.env}


@dataclass(frozen=True)
class HttpServer:
    """A server that is somewhere: `HttpServer("https://example.com/mcp", headers={"Authorization": "Bearer ..."})`."""

    url: str
    _: KW_ONLY
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    only: Sequence[str] = ()
    destructive: Sequence[str] = ()
    allowed: Sequence[str] = ()
    prefix: str = ""
    name: str = ""

    def __post_init__(self) -> None:
        if not self.url.startswith(("http://", "https://")):
            raise Misuse(f"{self.url!r:.200} is no address of a server; expected http://... or https://...")
        host = self.url.split("://", 1)[1].split("/", 1)[0].rpartition("@")[2]
        object.__setattr__(self, "name", self.name or host)


Server: TypeAlias = StdioServer | HttpServer


def as_server(given: str | Server) -> Server:
    """Return a server: an address is one over HTTP, any other text a command line."""
    if isinstance(given, StdioServer | HttpServer):
        return given
    if not given.strip():
        raise Misuse(f"{given!r:.80} is no MCP server; expected an address or a command line")
    return HttpServer(given) if "://" in given.split()[0] else StdioServer(*shlex.split(given))


def _is_file(arg: str) -> bool:
    return os.path.isfile(arg)  # noqa: PTH113 - Path.is_file raises for a program given as text, which is too long


def _real(path: str | os.PathLike[str]) -> str:
    return os.path.realpath(path)
