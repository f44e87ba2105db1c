"""The supervisor's end of what leads to a process: whatever the process does, or leaves undone, is not waited for."""

from __future__ import annotations

import contextlib
import fcntl
import socket
from collections.abc import Iterator, Sequence

from agentevo.environments.sandbox.box import wire

PIECE = 65536
UNREAD = 0x5411
"""Asks a socket how much of what was sent the other side has not read."""


class Link:
    """Messages to and from a process, piece by piece as they go and come; what comes may be hostile."""

    def __init__(self, channel: socket.socket, limit: int) -> None:
        self._channel, self._limit = channel, limit
        self._coming, self._unsent = bytearray(), memoryview(b"")
        self.is_over = False
        """Whether nothing more is heard: the process has ended, or sent what is no message."""
        channel.setblocking(False)

    def fileno(self) -> int:
        """Return the descriptor, to be waited on."""
        return self._channel.fileno()

    @property
    def is_sending(self) -> bool:
        """Whether the process has yet to take a part of what was said."""
        return bool(self._unsent)

    @property
    def is_taken(self) -> bool:
        """Whether the process has read all that was said."""
        return not self._unsent and fcntl.ioctl(self._channel, UNREAD, bytes(4)) == bytes(4)

    def say(self, message: wire.Message, descriptors: Sequence[int]) -> None:
        """Begin to send; one who has not even taken what was said before does not listen, and is told nothing."""
        if self._unsent:
            return
        data = memoryview(wire.pack(message))
        with contextlib.suppress(OSError):  # whoever has ended, or does not listen, is seen by whoever watches
            sent = socket.send_fds(self._channel, [data[:PIECE]], [*descriptors])
            self._unsent = data[sent:]
            self.go_on()

    def go_on(self) -> None:
        """Send as much of what is left as the process takes now."""
        try:
            while self._unsent:
                self._unsent = self._unsent[self._channel.send(self._unsent[:PIECE]) :]
        except BlockingIOError:
            return
        except OSError:
            self._unsent = memoryview(b"")

    def heard(self) -> Iterator[wire.Message]:
        """Take what is there, and yield the messages that are whole."""
        try:
            data = self._channel.recv(PIECE)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        self.is_over = self.is_over or not data
        self._coming += data
        try:
            yield from self._whole()
        except wire.Broken:
            self.is_over = True

    def _whole(self) -> Iterator[wire.Message]:
        at, head = 0, wire.HEAD.size
        try:
            while len(self._coming) >= at + head:
                end = at + head + wire.length(self._coming[at : at + head], self._limit)
                if len(self._coming) < end:
                    break
                message, at = self._coming[at + head : end], end
                yield wire.unpack(message)
        finally:
            del self._coming[:at]
