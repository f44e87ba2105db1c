"""A process whose kernel refuses some system calls, as a locked-down host would."""

from __future__ import annotations

import subprocess
import sys

FILTER = """
import ctypes, struct, sys
from agentevo.environments.sandbox.box import seccomp
from agentevo.environments.sandbox.box.numbers import OWN, machine, numbers
refused = [numbers(OWN, machine())[name] for name in sys.argv.pop(1).split(",")]
program = [seccomp._load(seccomp.NUMBER_AT), *seccomp._each(refused, seccomp.ERRNO | 1), seccomp._answer(seccomp.ALLOW)]
code = b"".join(struct.pack("HBBI", *instruction) for instruction in program)
held = ctypes.create_string_buffer(code, len(code))
seccomp.prctl(seccomp.PR_SET_NO_NEW_PRIVS, 1)
seccomp.call("seccomp", seccomp.SET_MODE_FILTER, 0, struct.pack("HxxxxxxP", len(program), ctypes.addressof(held)))
"""


def on_a_host_that_refuses(calls: str, program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a program whose kernel refuses the calls named, with commas between."""
    command = [sys.executable, "-c", FILTER + program, calls, *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)
