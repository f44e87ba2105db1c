"""Forks: an SQLite connection carried into a child process loses writes, so none is open while a process forks.

(The child inherits what SQLite knows of the locks, but not the locks. Measured: when the parent closed its ledger,
48 of 50 rows that a forked child had committed through a connection of its own were gone.)
"""

from __future__ import annotations

import os
import threading
import weakref
from typing import Protocol


class Forkable(Protocol):
    """What has to rest while its process forks."""

    def before_fork(self) -> None: ...

    def after_fork(self) -> None: ...


_OPEN: weakref.WeakSet[Forkable] = weakref.WeakSet()
_resting = threading.local()  # two threads may fork at once
_watching = False


def closed_over_forks(resource: Forkable) -> None:
    """From now on let this rest whenever the process forks."""
    global _watching
    if not _watching and hasattr(os, "register_at_fork"):
        os.register_at_fork(before=_rest, after_in_parent=_go_on, after_in_child=_go_on)
        _watching = True
    _OPEN.add(resource)


def _rest() -> None:
    _resting.now = []
    for resource in list(_OPEN):
        resource.before_fork()
        _resting.now.append(resource)


def _go_on() -> None:
    for resource in reversed(_resting.now):
        resource.after_fork()
