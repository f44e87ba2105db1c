"""What a hostile program is, and what came of running it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field

from agentevo.environments.sandbox import Limits

LIMITS = Limits(
    memory_mb=128,
    cpu_s=3,
    wall_s=6,
    processes=16,
    disk_mb=16,
    files=256,
    file_size_mb=8,
    output_bytes=100_000,
    stretch=1,
)
OUTPUT_SLACK = 2_000  # the marker that says how much was cut


@dataclass(frozen=True, slots=True)
class Outcome:
    """What the agent that ran a program was told: `kind` is `broken` where the sandbox itself raised."""

    kind: str
    stdout: str = ""
    stderr: str = ""
    exit_status: int | None = None
    passed: bool = False
    seconds: float = 0.0

    @property
    def text(self) -> str:
        """Return all that the program made known."""
        return self.stdout + self.stderr


Oracle = Callable[[Outcome], str]  # what is wrong with an outcome, or nothing


def fine(outcome: Outcome) -> str:
    """Find nothing wrong: what the world saw decides alone."""
    return ""


@dataclass(frozen=True, slots=True)
class Program:
    """An attack on the machine. `then` is a second program, run after it, which looks for what it left."""

    name: str
    area: str
    code: str
    oracle: Oracle = field(default=fine)
    then: str = ""
    stopped: bool = False  # its victim sleeps, and is not to be woken
    weighed: bool = False  # what it holds of the machine is added up
    rival: bool = False  # attacks another run, which is under way at the same time
    bare: bool = True  # may be let loose without walls

    def source(self, facts: dict[str, object]) -> str:
        """Return what is run: the facts about the world that an attacker may know, then the attack."""
        return PRELUDE.format(facts=json.dumps(facts)) + self.code

    def second(self, facts: dict[str, object]) -> str:
        """Return what is run afterwards, in the same way."""
        return PRELUDE.format(facts=json.dumps(facts)) + self.then


@dataclass(frozen=True, slots=True)
class Forgery:
    """A wrong solution that tries to look right, or to learn what the tests hold."""

    name: str
    candidate: str
    tests: str = "def check(candidate):\n    assert candidate(1, 2) == 3\n    assert candidate(5, 5) == 10\n"
    entry: str = "add"
    area: str = "verdicts"


# The numbers of system calls are those of x86-64.
PRELUDE = """\
import ctypes, gc, glob, json, mmap, os, resource, signal, socket, struct, subprocess, sys, threading, time
HOST = json.loads({facts!r})
libc = ctypes.CDLL(None, use_errno=True)
libc.prctl(15, HOST["tag"].encode(), 0, 0, 0)
HERE, VICTIM = HOST["folder"], HOST.get("victim", 0)
def call(*args):
    if os.uname().machine != "x86_64":
        return -1
    return libc.syscall(*[ctypes.c_long(arg) if isinstance(arg, int) else arg for arg in args])
def quietly(act, *args):
    try:
        return act(*args)
    except BaseException as error:
        return error
def name(text):
    libc.prctl(15, text.encode(), 0, 0, 0)
def children(count, act):
    for number in range(count):
        try:
            pid = os.fork()
        except OSError:
            break
        if not pid:
            try:
                act(number)
            finally:
                os._exit(0)
def grep(data):
    import re
    for found in set(re.findall(rb"canary-[0-9a-f]{{32}}", data)):
        print(found.decode(), flush=True)
def memory_of(pid):
    for line in open(f"/proc/{{pid}}/maps"):
        span, mode = line.split()[:2]
        start, end = (int(part, 16) for part in span.split("-"))
        if mode.startswith("rw") and end - start < 1 << 26:
            with open(f"/proc/{{pid}}/mem", "rb", 0) as memory:
                quietly(lambda: (memory.seek(start), grep(memory.read(end - start))))
"""
