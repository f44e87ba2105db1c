"""What a program writes: read to the end, kept up to a limit, with a mark where the middle is missing."""

from __future__ import annotations

import os

READ_SIZE = 65536
PIPE_READS = 17
"""So many reads empty a pipe of the largest size."""


class Drain:
    """The reading end of a pipe; keeps the first half and the last half of the limit."""

    def __init__(self, descriptor: int, limit: int) -> None:
        self.descriptor, self.limit = descriptor, limit
        self.total = 0
        self._head, self._tail = bytearray(), bytearray()
        os.set_blocking(descriptor, False)

    def read(self) -> bool:
        """Take what is there; say whether more may come."""
        try:
            data = os.read(self.descriptor, READ_SIZE)
        except BlockingIOError:
            return True
        self.total += len(data)
        room = self.limit // 2 - len(self._head)
        self._head += data[: max(room, 0)]
        self._tail += data[max(room, 0) :]
        if len(self._tail) > 4 * self.limit:
            del self._tail[: len(self._tail) - (self.limit - self.limit // 2)]
        return bool(data)

    def rest(self) -> None:
        """Take what is still in the pipe, but wait for nothing and for nobody who goes on writing."""
        for _ in range(PIPE_READS):
            before = self.total
            if not self.read() or self.total == before:
                return

    @property
    def is_cut(self) -> bool:
        """Whether more came than is kept."""
        return self.total > self.limit

    def text(self) -> str:
        """Return what is kept as text; what is not UTF-8 is replaced."""
        kept = self.limit - self.limit // 2
        if not self.is_cut:
            return (self._head + self._tail).decode("utf-8", "replace")
        mark = f"\n[... {self.total - self.limit} bytes were cut ...]\n"
        return self._head.decode("utf-8", "replace") + mark + self._tail[-kept:].decode("utf-8", "replace")
