"""What this process holds: tasks, threads, child processes and open files, to see what something left behind.

Not counted: the threads of asyncio's own pool, which stay for reuse. Files and children are counted on Linux alone.
"""

from __future__ import annotations

import asyncio
import re
import threading
from collections import Counter
from pathlib import Path

_POOL = "asyncio_"
_NUMBER = re.compile(r":\[\d+\]$")


def held() -> Counter[str]:
    """Count what this process and the running loop hold, by name."""
    current = asyncio.current_task()
    tasks = (f"task {task.get_coro()!r:.80}" for task in asyncio.all_tasks() if task is not current)
    threads = (f"thread {t.name}" for t in threading.enumerate() if not t.name.startswith(_POOL))
    return Counter([*tasks, *threads, *_children(), *_files()])


async def settled(patience_s: float = 1.0) -> Counter[str]:
    """Count what is held once it is the same twice in a row: what episodes share may still be getting ready."""
    clock = asyncio.get_running_loop().time
    until, before = clock() + patience_s, held()
    while clock() < until:
        await asyncio.sleep(0.05)
        if (again := held()) == before:
            break
        before = again
    return before


async def left_since(before: Counter[str], patience_s: float) -> list[str]:
    """Return what is held that was not before, after giving it some time to go away."""
    clock = asyncio.get_running_loop().time
    until, wait_s = clock() + patience_s, 0.001
    while (new := held() - before) and clock() < until:
        await asyncio.sleep(wait_s)
        wait_s = min(0.1, wait_s * 2)
    return sorted(new.elements())


def _children() -> list[str]:
    lists = Path("/proc/self/task").glob("*/children")
    return [f"process {pid}" for children in lists for pid in _read(children).split()]


def _files() -> list[str]:
    """Name open files by where they lead, sockets and pipes without their numbers: either can be given anew."""
    found = []
    for link in Path("/proc/self/fd").glob("*"):
        try:
            found.append(f"file {_NUMBER.sub('', str(link.readlink()))}")
        except OSError:  # closed meanwhile: the folder that is being listed, for one
            continue
    return found


def _read(path: Path) -> str:
    try:
        return path.read_text("ascii")
    except OSError:  # the thread ended meanwhile
        return ""
