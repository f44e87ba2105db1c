"""After many runs, hostile ones among them, nothing is left: processes, mounts, descriptors, files, memory."""

from __future__ import annotations

import asyncio
import os
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import pytest
from processes import below, eventually, mounts, own_descriptors, pool, zygote

from agentevo.environments.sandbox import Limits, Sandbox
from agentevo.environments.sandbox.box.folder import PARTS
from agentevo.environments.sandbox.box.shared import PLACES
from agentevo.environments.sandbox.zygote import Zygote

RUNS = 10_000 if os.environ.get("AGENTEVO_SOAK") else 500
"""In each tier."""
MEMORY = "x = []\nwhile True: x.append(' ' * 10**6)"
HOSTILE = (
    "import os\ntry:\n    while True: os.fork()\nexcept OSError: pass",
    "import os, time\nif os.fork() == 0:\n    os.setsid()\n    time.sleep(60)",
    MEMORY,
    "import os\nwhile True: os.write(1, b'x' * 65536)",
    "import os\nfor n in range(5000): open(str(n), 'w').close()",
    "import os, signal\nos.kill(-1, signal.SIGKILL)",
    "while True: pass",
    "import os\nos.kill(os.getpid(), 11)",
    "import threading, time\nfor _ in range(99): threading.Thread(target=time.sleep, args=(60,)).start()",
    "import os\nfor n in range(60): os.mkdir('d'); os.chdir('d')",
)
LIMITS = Limits(memory_mb=64, wall_s=0.5, cpu_s=1, stretch=1, output_bytes=10_000)
ENDING = {MEMORY: Limits(memory_mb=64), HOSTILE[7]: Limits()}
"""What comes to an end by itself is given the time for it: it is asked how it ended."""


@dataclass(frozen=True)
class Left:
    """What there is of this process and its sandbox on the machine."""

    processes: int
    descriptors: int
    files: int


def left(zygote: Zygote) -> Left:
    # Folders that are being removed meanwhile are passed over, which Path.rglob does not do.
    kept = sum(len(folders) + len(files) for _, folders, files in os.walk(zygote._folder)) if zygote._folder else 0
    return Left(1 + len(below(zygote.process.pid)), own_descriptors(), kept)


def resident_mb(pid: int) -> float:
    return int(Path(f"/proc/{pid}/statm").read_text("ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20


@pytest.mark.timeout(7200)
def test_many_runs_leave_nothing_behind(sandbox: Sandbox) -> None:
    kinds: Counter[str] = Counter()

    async def one(number: int) -> None:
        if number % 10 == 0:
            hostile = HOSTILE[number // 10 % len(HOSTILE)]
            result = await sandbox.arun(hostile, limits=ENDING.get(hostile, LIMITS))
        else:
            result = await sandbox.arun(f"print({number})")
            assert (result.kind, result.stdout) == ("ok", f"{number}\n")
        kinds[result.kind] += 1

    async def many(count: int) -> None:
        for start in range(0, count, 50):
            await asyncio.gather(*(one(number) for number in range(start, min(start + 50, count))))

    started, spares = zygote(sandbox), pool(sandbox).spares
    asyncio.run(many(100))
    processes = 2 * spares + (2 if sandbox.tier == "namespaces" else 1)
    files = PLACES + spares * (1 + len(PARTS)) if started._folder else 0
    before = left(started)

    def is_settled() -> bool:
        nonlocal before
        handed_over = [one.done() for one in pool(sandbox)._warm]  # with a descriptor each
        before = left(started)  # this very look counts: a moment later a process of the last run may be seen again
        return handed_over == [True] * spares and (before.processes, before.files) == (processes, files)

    assert eventually(is_settled), f"{before}, and not {processes} processes and {files} files"
    mounted = mounts(os.getpid())
    resident = {pid: resident_mb(pid) for pid in (os.getpid(), started.process.pid)}
    asyncio.run(many(RUNS))
    assert eventually(lambda: left(started) == before), f"{before} became {left(started)}"
    assert not mounts(os.getpid()) - mounted  # the machine's own may go meanwhile
    assert {pid for pid, size in resident.items() if resident_mb(pid) > size + 12} == set()
    assert zygote(sandbox) is started
    assert {"ok", "error", "timeout", "memory"} <= set(kinds)
