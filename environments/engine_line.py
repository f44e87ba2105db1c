"""A line to a process: what is sent, and the lines that come back, waited for a moment without the event loop."""

from __future__ import annotations

import asyncio
import contextlib
import os
import select
import socket
from collections.abc import Iterator
from typing import IO

MOST_ANSWER = 64_000_000
"""Bytes in one answer."""
SHOWN = 1_000
"""Characters of what a process said that an error shows."""
AT_ONCE_S = 0.0005
"""So long an answer is waited for without the event loop, whose way costs more than a short call."""
_CHUNK = 1 << 16


class Broken(Exception):
    """A line is of no use any more; says what the process behind it did."""


class Said:
    """What a process says on stderr: the last of it is kept, and nobody is held up by it."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream, self._last, self.is_silent = stream, b"", False
        os.set_blocking(stream.fileno(), False)

    def fileno(self) -> int:
        return self._stream.fileno()

    def listen(self) -> None:
        """Keep the last of it; who never stops is not listened to on end."""
        for _ in range(0 if self.is_silent else 2):
            try:
                said = os.read(self.fileno(), _CHUNK)
            except BlockingIOError:
                return
            self._last = (self._last + said)[-SHOWN:]
            self.is_silent = not said

    def last_words(self) -> str:
        self.listen()
        return self._last.decode(errors="replace").strip()

    def close(self) -> None:
        self._stream.close()


class Line:
    """Our end of it, bound to no event loop, and for one exchange at a time. Beside it what is said is listened to."""

    waiting = 0
    """Exchanges on all lines that wait for an answer: where there are others, no one holds up the loop."""

    def __init__(self, end: socket.socket, said: Said) -> None:
        self._end, self._said, self._poll, self._received = end, said, select.poll(), bytearray()
        self._handed: list[int] | None = None
        self._is_cut = False
        self._waiter: asyncio.Future[None] | None = None
        end.setblocking(False)
        for descriptor in (end.fileno(), said.fileno()):
            self._poll.register(descriptor, select.POLLIN)

    @property
    def is_waited_at(self) -> bool:
        """Whether somebody waits for an answer, who must hear of its end before the line is closed."""
        return self._waiter is not None

    async def ask(self, data: bytes, until: float) -> bytes:
        """Send some bytes, and return the line that answers them: more at once can wait for each other in TCP."""
        await self.send(data, until)
        return await self.receive(until)

    async def send(self, data: bytes, until: float) -> None:
        """Send some bytes; most fit at once. Who is cancelled may have sent a part of them."""
        try:
            sent = self._end.send(data)
        except BlockingIOError:
            sent = 0
        if sent < len(data):
            async with asyncio.timeout_at(until):
                await asyncio.get_running_loop().sock_sendall(self._end, data[sent:])

    async def receive(self, until: float) -> bytes:
        """Return the next line. Raise Broken where none will come, TimeoutError where none has come by then."""
        patience_ms = AT_ONCE_S * 1000 if Line.waiting == 1 else 0
        looked = 0
        while (end := self._received.find(b"\n", looked)) < 0:
            looked = len(self._received)
            if not self._has_read(patience_ms):
                if self._is_cut:
                    raise Broken("ended")
                await self._something(until)
            patience_ms = 0
        line = bytes(self._received[:end])
        del self._received[: end + 1]
        return line

    @contextlib.contextmanager
    def taking(self) -> Iterator[list[int]]:
        """Take what is handed over meanwhile, else the kernel closes it; what is left in the list is closed."""
        handed: list[int] = []
        self._handed = handed
        try:
            yield handed
        finally:
            self._handed = None
            for descriptor in handed:
                os.close(descriptor)

    def cut(self) -> None:
        """Have whoever waits hear that nothing will come any more; from any thread."""
        self._is_cut = True
        if (waiter := self._waiter) is not None:
            with contextlib.suppress(RuntimeError):  # its loop was closed
                waiter.get_loop().call_soon_threadsafe(_wake, waiter)

    def close(self) -> None:
        self._end.close()

    def _has_read(self, patience_ms: float) -> bool:
        """Read what there is; say whether it was the end of a line, so that there is no need to wait."""
        ready = [descriptor for descriptor, _ in self._poll.poll(patience_ms)]
        if self._said.fileno() in ready:
            self._said.listen()
            if self._said.is_silent:
                self._poll.unregister(self._said.fileno())
        if self._end.fileno() in ready:
            self._read()
        return self._received.endswith(b"\n")

    def _read(self) -> None:
        if self._handed is None:
            data = self._end.recv(_CHUNK)
        else:
            data, descriptors, _, _ = socket.recv_fds(self._end, _CHUNK, 1)
            for descriptor in descriptors:
                os.set_inheritable(descriptor, False)
                self._handed.append(descriptor)
        if not data:
            raise Broken("ended")
        self._received += data
        if len(self._received) > MOST_ANSWER:
            raise Broken(f"sent more than {MOST_ANSWER // 1_000_000} MB at once, and was stopped")

    async def _something(self, until: float) -> None:
        """Wait, as others do, until there is something to read."""
        loop = asyncio.get_running_loop()
        ready = self._waiter = loop.create_future()
        descriptors = self._end.fileno(), *([] if self._said.is_silent else [self._said.fileno()])
        for descriptor in descriptors:
            loop.add_reader(descriptor, _wake, ready)
        try:
            async with asyncio.timeout_at(until):
                await ready
        finally:
            self._waiter = None
            for descriptor in descriptors:
                loop.remove_reader(descriptor)


def _wake(ready: asyncio.Future[None]) -> None:
    if not ready.done():
        ready.set_result(None)
