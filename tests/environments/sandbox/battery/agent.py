"""The agent that an attack would have to get out to: it holds a sandbox, and secrets of its own, and can be lost.

Run as a program, with the tier and the inherited file; it reads requests as lines of JSON and answers in any order.
The tier `bare` is a subprocess with nothing around it but limits that protect the machine.
"""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol, cast

from agentevo.environments.sandbox import Sandbox
from battery.program import LIMITS

AT_ONCE = 8
GIGABYTE = 1 << 30


class Runner(Protocol):
    """What can run a program and judge a solution."""

    def run(self, code: str) -> dict[str, object]:
        """Run a program; return what is known of it."""
        ...

    def judge(self, candidate: str, tests: str, entry: str) -> dict[str, object]:
        """Judge a solution; return the verdict."""
        ...


class Walled:
    """The sandbox in one of its tiers."""

    def __init__(self, tier: str) -> None:
        self.sandbox = Sandbox(tier=tier, workers=AT_ONCE, limits=LIMITS)  # type: ignore[arg-type]  # checked there

    def run(self, code: str) -> dict[str, object]:
        """Run a program behind walls."""
        result = self.sandbox.run(code)
        return {
            "kind": result.kind, "stdout": result.stdout, "stderr": result.stderr, "exit_status": result.exit_status,
            "seconds": result.seconds,
        }  # fmt: skip

    def judge(self, candidate: str, tests: str, entry: str) -> dict[str, object]:
        """Judge a solution behind walls."""
        verdict = self.sandbox.judge(candidate, tests, entry)
        result = verdict.result
        # A weak verdict is not taken for a pass: it says what the solution decided itself.
        passed = verdict.passed and not verdict.weak
        return {"kind": result.kind, "stdout": result.stdout, "stderr": result.stderr, "passed": passed}


class Bare:
    """A subprocess, as many harnesses use it."""

    def run(self, code: str) -> dict[str, object]:
        """Run a program as it is."""
        started = subprocess.Popen(
            [sys.executable, "-I", "-c", code], start_new_session=True, close_fds=False, preexec_fn=_protect_machine,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip
        kind = "ok"
        try:
            output, errors = started.communicate(timeout=4)
        except subprocess.TimeoutExpired as late:
            kind, output, errors = "timeout", late.stdout or b"", late.stderr or b""
            started.kill()
            started.wait()
        if kind == "ok" and started.returncode:
            kind = "error"
        return {
            "kind": kind, "stdout": output.decode("utf-8", "replace"), "stderr": errors.decode("utf-8", "replace"),
            "exit_status": started.returncode,
        }  # fmt: skip

    def judge(self, candidate: str, tests: str, entry: str) -> dict[str, object]:
        """Judge a solution by the exit status of one program that holds it and its tests."""
        call = "import unittest; unittest.main()" if "unittest" in tests else f"check({entry})"
        told = self.run(f"{candidate}\n\n{tests}\n\n{call}\n")
        return {**told, "passed": told["exit_status"] == 0}


def _protect_machine() -> None:
    for limit, most in [
        (resource.RLIMIT_AS, GIGABYTE), (resource.RLIMIT_CPU, 2),
        (resource.RLIMIT_FSIZE, GIGABYTE // 10), (resource.RLIMIT_CORE, 0),
    ]:  # fmt: skip
        resource.setrlimit(limit, (most, most * 2))


def serve(runner: Runner) -> None:
    """Answer requests until there are no more."""
    lock = threading.Lock()

    def answer(request: dict[str, str]) -> None:
        try:
            if "tests" in request:
                told = runner.judge(request["candidate"], request["tests"], request["entry"])
            else:
                told = runner.run(request["code"])
        except Exception as error:  # noqa: BLE001  # it is to be judged by who asked
            told = {"kind": "broken", "stderr": f"{type(error).__name__}: {error}"}
        with lock:
            print(json.dumps({"id": request["id"], **told}), flush=True)  # noqa: T201  # the answer

    with ThreadPoolExecutor(AT_ONCE) as pool:
        for line in sys.stdin:
            pool.submit(answer, cast("dict[str, str]", json.loads(line)))


def main(tier: str, inherited: str) -> None:
    """Be such an agent."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.set_inheritable(os.open(inherited, os.O_RDWR), True)
    serve(Bare() if tier == "bare" else Walled(tier))


if __name__ == "__main__":
    main(*sys.argv[1:])
