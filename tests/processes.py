"""Processes as this machine sees them from outside."""

from __future__ import annotations

import contextlib
import os
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from agentevo.environments.sandbox import Sandbox
from agentevo.environments.sandbox.places import Here
from agentevo.environments.sandbox.pool import Pool
from agentevo.environments.sandbox.zygote import Zygote

PATIENCE_S = 120.0


def parents() -> dict[int, int]:
    """Return the parent of each process that has not ended."""
    found = {}
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            if entry.name.isdigit():
                fields = (entry / "stat").read_text("utf-8", "replace").rpartition(")")[2].split()
                if fields[0] != "Z":
                    found[int(entry.name)] = int(fields[1])
    return found


def below(root: int) -> dict[int, int]:
    """Return all descendants of a process with how many generations they are below it."""
    every, depths = parents(), {root: 0}
    while True:
        new = {pid: depths[parent] + 1 for pid, parent in every.items() if parent in depths and pid not in depths}
        if not new:
            return {pid: depth for pid, depth in depths.items() if pid != root}
        depths |= new


def processor_s(root: int) -> float:
    """Return the processor time that a process and all its descendants have used so far."""
    used = 0
    for pid in (root, *below(root)):
        with contextlib.suppress(OSError):
            fields = Path(f"/proc/{pid}/stat").read_text("utf-8", "replace").rpartition(")")[2].split()
            used += sum(int(ticks) for ticks in fields[11:15])
    return used / os.sysconf("SC_CLK_TCK")


def named(name: str) -> list[int]:
    """Return the processes that bear a name."""
    found = []
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            if entry.name.isdigit() and (entry / "comm").read_text("utf-8").strip() == name:
                found.append(int(entry.name))
    return found


def alive(pids: set[int]) -> set[int]:
    """Return those that still run."""
    return pids & parents().keys()


def eventually(holds: Callable[[], bool]) -> bool:
    """Wait until something holds that other processes bring about; say whether it came to hold."""
    until = time.monotonic() + PATIENCE_S
    while not (held := holds()) and time.monotonic() < until:
        time.sleep(0.02)
    return held


def mounts(pid: int) -> Counter[str]:
    """Return the mounts that a process sees, each with how often it is there."""
    return Counter(Path(f"/proc/{pid}/mounts").read_text("utf-8").splitlines())


def own_descriptors() -> int:
    """Return how many descriptors this process has open."""
    return len(os.listdir("/proc/self/fd"))  # noqa: PTH208


def pool(sandbox: Sandbox) -> Pool:
    """Return the workers of a sandbox of this machine."""
    assert isinstance(sandbox._place, Here)
    return sandbox._place.pool


def zygote(sandbox: Sandbox) -> Zygote:
    """Return the zygote that forks them."""
    started = pool(sandbox).zygote
    assert started is not None
    return started
