"""The tier `remote`: what a container or micro-VM service speaks, and a sandbox of another machine as such a one."""

from __future__ import annotations

import asyncio
import socket
from typing import Protocol

from agentevo.environments.sandbox import channel
from agentevo.environments.sandbox.box import wire
from agentevo.environments.sandbox.box.wire import Message
from agentevo.errors import Misuse

CONNECT_S = 20.0


class Connection(Protocol):
    """One machine of a service, for one run, one verdict or one session; then it is closed and used no more.

    `ask` sends one request and waits for its answer; both are JSON objects. `limits` holds the fields of Limits,
    `files` maps names to contents in base64, `stdin` is text that carries any bytes (surrogateescape).

    ======================================================================  ========================================
    request                                                                 answer
    ======================================================================  ========================================
    {"mode": "run", "code", "stdin", "files", "limits"}                     the fields of RunResult
    {"mode": "judge", "candidate", "files", "tests", "entry_point",         the fields of Verdict
    "support", "limits"}
    {"mode": "open", "limits"}: a session begins                            {}
    {"mode": "session", "code", "stdin", "limits"}: its next step           the fields of RunResult, and "ended": true
                                                                            where nothing more can be run in it
    {"file": "read", "name"}                                                {"content": base64}
    {"file": "write", "name", "content": base64}                            {}
    {"file": "names"}                                                       {"names": [...]}
    ======================================================================  ========================================

    A file that cannot be read or written is answered with {"refused": why}, a request that could not be done at all,
    which is never a program's own failure, with {"failed": why}. `ask` raises OSError or EOFError where the service
    has gone. When a connection is closed, or lost, whatever still runs for it ends.
    """

    async def ask(self, request: Message) -> Message: ...

    async def close(self) -> None: ...


class Remote(Protocol):
    """A service that runs programs in containers or virtual machines of its own.

    It promises what the tiers of this machine promise, which the self-test tries as far as it can be tried from
    here: each connection has a machine, or a worker, that nothing was run on before, and of which nothing stays. A
    program reaches no network, no file and no process but its own, and not what measures it: kind, exit status, time
    and memory are what the service saw from outside. The limits hold for all processes of a run. Tests and solution
    of a verdict run apart from each other. Answers come within the limits of time and a minute.
    """

    async def connect(self) -> Connection: ...


class Endpoint:
    """A Remote at an address: what `agentevo sandbox serve ADDRESS` runs there, over messages of limited length.

    `address` is `host:port`, or the path of a socket, which has a slash. Nothing is encrypted, and nobody is asked
    for a password: let it lead to this machine, and have ssh or the container's engine carry it further.
    """

    def __init__(self, address: str) -> None:
        self.address = as_address(address)

    def __repr__(self) -> str:
        return f"Endpoint({_named(self.address)!r})"

    async def connect(self) -> Connection:
        """Connect. Raises OSError where nobody listens."""
        kind = socket.AF_UNIX if isinstance(self.address, str) else _family(self.address[0])
        given = socket.socket(kind, socket.SOCK_STREAM)
        given.setblocking(False)
        try:
            async with asyncio.timeout(CONNECT_S):
                await asyncio.get_running_loop().sock_connect(given, self.address)
        except BaseException:
            given.close()
            raise
        return _Socket(given)


class _Socket:
    def __init__(self, given: socket.socket) -> None:
        self._given = given

    async def ask(self, request: Message) -> Message:
        await asyncio.get_running_loop().sock_sendall(self._given, wire.pack(request))
        return await channel.heard(self._given)

    async def close(self) -> None:
        self._given.close()


def as_address(address: str) -> str | tuple[str, int]:
    """Return a path, or a host and a port; raise Misuse for anything else."""
    if "/" in address:
        return address
    host, _, port = address.rpartition(":")
    if not host or not port.isdecimal() or int(port) > 65535:
        raise Misuse(
            f"address {address!r}; expected HOST:PORT such as '127.0.0.1:7000', or a path such as './box.sock'"
        )
    return host.strip("[]"), int(port)


def _named(address: str | tuple[str, int]) -> str:
    return address if isinstance(address, str) else "{}:{}".format(*address)


def _family(host: str) -> int:
    return socket.AF_INET6 if ":" in host else socket.AF_INET
