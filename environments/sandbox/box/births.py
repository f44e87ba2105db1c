"""Decides on each new process or thread of a worker, where no limit of the kernel counts a worker's own only."""

from __future__ import annotations

import errno
import fcntl
import os
import struct
import time
from collections import deque
from collections.abc import Callable

RECEIVE, SEND = 0xC0502100, 0xC0182101
NOTICE_SIZE = 80
CONTINUE = 1
UNSEEN_S = 0.02
"""So long a process that was granted may not be there yet to be counted."""


class Births:
    """Answers what the filter asks: yes up to the limit, then that resources are unavailable."""

    def __init__(self, asking: int, count: Callable[[], int]) -> None:
        self.asking, self._count = asking, count
        self._at_most = 0
        """No more tasks than these can exist: as many as were counted last, and one for each granted since."""
        self._granted: deque[float] = deque(maxlen=256)

    def answer(self, limit: int) -> None:
        """Decide on the one that asks now."""
        notice = bytearray(NOTICE_SIZE)
        try:
            fcntl.ioctl(self.asking, RECEIVE, notice)
        except OSError:  # it was ended while it asked
            return
        if self._at_most + 1 > limit:
            just_now = sum(time.monotonic() - at < UNSEEN_S for at in self._granted)
            self._at_most = self._count() + just_now
        is_granted = self._at_most + 1 <= limit
        self._at_most += is_granted
        if is_granted:
            self._granted.append(time.monotonic())
        error, flags = (0, CONTINUE) if is_granted else (-errno.EAGAIN, 0)
        try:
            fcntl.ioctl(self.asking, SEND, struct.pack("QqiI", struct.unpack_from("Q", notice)[0], 0, error, flags))
        except OSError:  # the same
            self._at_most -= is_granted

    def close(self) -> None:
        """Stop answering: from now on the kernel refuses."""
        os.close(self.asking)
