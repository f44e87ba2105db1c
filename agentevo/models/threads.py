"""How many threads the offline runtime takes, and how they wait: a busy machine makes both matter."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

Jiffies: TypeAlias = tuple[int, int]
"""Time that all cores were idle, and time in all."""

_SAMPLE_S = 0.08


def wait_without_spinning() -> None:
    """Let the threads of the runtime, and of torch, sleep while they wait for each other.

    By default they spin, and on a busy machine two of them then give 5 tokens a second rather than 60. It is read when
    the library that both share is first loaded: an app that loads torch itself must set OMP_WAIT_POLICY before.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")


def idle_cores(
    cores: int | None = None,
    jiffies: Callable[[], Jiffies | None] | None = None,
    sleep: Callable[[float], None] = time.sleep,
) -> int:
    """Return how many of the cores that this process may use are idle now, at least 1."""
    cores, jiffies = cores or usable_cores(), jiffies or _from_proc_stat
    before = jiffies()
    if before is None:
        return _bounded(cores - _load(), cores)
    sleep(_SAMPLE_S)
    after = jiffies() or before
    passed = after[1] - before[1]
    share = (after[0] - before[0]) / passed if passed > 0 else 1.0
    return _bounded(share * cores, cores)


def usable_cores() -> int:
    """Return the cores that this process may run on, within the quota of its container."""
    affine = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(affine, _quota() or affine))


def _quota() -> int | None:
    try:
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text("ascii").split()
        return max(1, int(quota) // int(period))
    except (OSError, ValueError):  # no control groups, or no limit: it says "max"
        return None


def _bounded(idle: float, cores: int) -> int:
    return max(1, min(cores, round(idle)))


def _load() -> float:
    return os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0


def _from_proc_stat() -> Jiffies | None:
    try:
        with Path("/proc/stat").open("rb") as file:
            fields = [int(field) for field in file.readline().split()[1:9]]
    except (OSError, ValueError):
        return None
    return fields[3] + fields[4], sum(fields)
