"""What the filter of a worker asks its supervisor: whether there may be a new process, and whether one may end."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import struct
import time
from collections import deque
from collections.abc import Callable

from agentevo.environments.sandbox.box.numbers import OWN, machine, numbers

RECEIVE, SEND = 0xC0502100, 0xC0182101
NOTICE = struct.Struct("QIxxxxixxxxxxxxxxxxQ")
"""Its number, who asks, which call it makes, with which first argument."""
NOTICE_SIZE = 80
CONTINUE = 1
EXIT = numbers(OWN, machine())["exit_group"]
UNSEEN_S = 0.02
"""So long a process that was granted may not be there yet to be counted."""


class Questions:
    """Answers what the filter asks: a new process may be, up to the limit, else resources are unavailable.

    Where no limit of the kernel counts a worker's own processes only, each new one is asked for. A process that ends
    as `worker` has it end asks too, and is still until it has an answer: no signal but the one that kills moves it.
    """

    def __init__(self, asking: int, count: Callable[[], int]) -> None:
        self.asking, self._count = asking, count
        self._at_most = 0
        """No more tasks than these can exist: as many as were counted last, and one for each granted since."""
        self._granted: deque[float] = deque(maxlen=256)

    def answer(self, limit: int, keeps: Callable[[int, int], bool] = lambda pid, status: False) -> None:
        """Decide on the one that asks now; `keeps` says of one that ends, and its status, whether it stays as it is."""
        notice = bytearray(NOTICE_SIZE)
        try:
            fcntl.ioctl(self.asking, RECEIVE, notice)
        except OSError:  # it was ended while it asked
            return
        number, pid, call, argument = NOTICE.unpack_from(notice)
        if call == EXIT:
            if not keeps(pid, argument & 0xFF):
                self._say(number, 0, CONTINUE)
        elif self._grants(limit) and self._say(number, 0, CONTINUE):
            self._at_most += 1
            self._granted.append(time.monotonic())
        else:
            self._say(number, -errno.EAGAIN, 0)

    def _grants(self, limit: int) -> bool:
        if self._at_most + 1 > limit:
            just_now = sum(time.monotonic() - at < UNSEEN_S for at in self._granted)
            self._at_most = self._count() + just_now
        return self._at_most + 1 <= limit

    def _say(self, number: int, error: int, flags: int) -> bool:
        """Answer; say whether the one who asked still waited for it."""
        with contextlib.suppress(OSError):
            fcntl.ioctl(self.asking, SEND, struct.pack("QqiI", number, 0, error, flags))
            return True
        return False

    def close(self) -> None:
        """Stop answering: from now on the kernel refuses."""
        os.close(self.asking)
