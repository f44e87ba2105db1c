"""Talking over a socket without blocking, from whichever event loop is running: to a worker's supervisor mostly."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Sequence

from agentevo.environments.sandbox.box import wire
from agentevo.environments.sandbox.limits import Limits
from agentevo.environments.sandbox.results import SandboxBroken
from agentevo.environments.sandbox.zygote import Worker

OVERTIME_S = 60.0


class Line:
    """A conversation with one worker: a job, its report, and in a session the next."""

    def __init__(self, worker: Worker) -> None:
        self._worker = worker

    async def ask(self, job: wire.Message, limits: Limits) -> wire.Message:
        """Send a job and wait for its report."""
        await send(self._worker, job)
        return await report(self._worker, limits)


async def send(worker: Worker, message: wire.Message, descriptors: Sequence[int] = ()) -> None:
    """Send one message and descriptors with it."""
    data = wire.pack(message)
    try:
        if descriptors:
            sent = socket.send_fds(worker.channel, [data[:4096]], [*descriptors])
            data = data[sent:]
        if data:
            await asyncio.get_running_loop().sock_sendall(worker.channel, data)
    except OSError as error:
        raise SandboxBroken(f"a worker went before it was told what to run ({error})") from error


async def report(worker: Worker, limits: Limits) -> wire.Message:
    """Wait for the report of a run; a supervisor that is long past its own limits counts as gone."""
    try:
        async with asyncio.timeout(limits.wall_s * limits.stretch + OVERTIME_S):
            return await receive(worker)
    except TimeoutError:
        raise SandboxBroken(f"a worker did not report within {OVERTIME_S:.0f} s after its time was up") from None


async def receive(worker: Worker) -> wire.Message:
    """Wait for one message; raise SandboxBroken where the supervisor has gone or says that it failed."""
    try:
        message = await heard(worker.channel)
    except (OSError, wire.Broken) as error:
        raise SandboxBroken(f"a worker went in the middle of a run ({error})") from error
    if "failed" in message:
        raise SandboxBroken(f"a worker could not run anything: {message['failed']}")
    return message


def is_gone(worker: Worker) -> bool:
    """Say whether the supervisor of a worker that waits for its job has ended meanwhile."""
    try:
        return not worker.channel.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT)
    except BlockingIOError:
        return False
    except OSError:
        return True


async def heard(channel: socket.socket) -> wire.Message:
    """Wait for one message; raise OSError or wire.Broken where none comes whole."""
    return wire.unpack(await _exactly(channel, wire.length(await _exactly(channel, wire.HEAD.size))))


async def _exactly(channel: socket.socket, size: int) -> bytearray:
    loop = asyncio.get_running_loop()
    body, view = bytearray(size), 0
    while view < size:
        got = await loop.sock_recv_into(channel, memoryview(body)[view:])
        if not got:
            raise wire.Broken(f"after {view} of {size} bytes")
        view += got
    return body
