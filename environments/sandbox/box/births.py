"""Decides on each new process or thread of a worker, where no limit of the kernel counts a worker's own only."""

from __future__ import annotations

import errno
import fcntl
import os
import struct
from collections.abc import Callable

RECEIVE, SEND = 0xC0502100, 0xC0182101
NOTICE_SIZE = 80
CONTINUE = 1


class Births:
    """Answers what the filter asks: yes up to the limit, then that resources are unavailable."""

    def __init__(self, asking: int, count: Callable[[], int]) -> None:
        self.asking, self._count = asking, count
        self._at_most = 0
        """No more tasks than these can exist: as many as were counted last, and one for each granted since."""

    def answer(self, limit: int) -> None:
        """Decide on the one that asks now."""
        notice = bytearray(NOTICE_SIZE)
        try:
            fcntl.ioctl(self.asking, RECEIVE, notice)
        except OSError:  # it was ended while it asked
            return
        if self._at_most + 1 > limit:
            self._at_most = self._count()
        is_granted = self._at_most + 1 <= limit
        self._at_most += is_granted
        error, flags = (0, CONTINUE) if is_granted else (-errno.EAGAIN, 0)
        try:
            fcntl.ioctl(self.asking, SEND, struct.pack("QqiI", struct.unpack_from("Q", notice)[0], 0, error, flags))
        except OSError:  # the same
            self._at_most -= is_granted

    def close(self) -> None:
        """Stop answering: from now on the kernel refuses."""
        os.close(self.asking)
