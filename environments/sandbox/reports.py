"""A supervisor's report as a record."""

from __future__ import annotations

from agentevo.environments.sandbox.box.wire import Message
from agentevo.environments.sandbox.results import Check, RunResult, SandboxBroken

REPORTED = ("kind", "stdout", "stderr", "exit_status", "seconds", "memory_mb", "waited_s")


def as_result(report: Message) -> RunResult:
    """Return what a supervisor reported; a program that was stopped because it had served its time is `ok`."""
    try:
        kind = "ok" if report["kind"] == "stopped" else report["kind"]
        return RunResult.model_validate({**{name: report[name] for name in REPORTED}, "kind": kind})
    except (KeyError, ValueError) as error:  # which only a service elsewhere can get wrong
        raise SandboxBroken(f"a report is not one of a run ({error})") from error


def compared(name: str, result: RunResult, expected: str) -> Check:
    """Compare what a program wrote with what was expected, up to white space at the ends of lines and of the text."""
    if not result.ok or result.kind == "output":
        status = "" if result.exit_status is None else f", exit status {result.exit_status}"
        return Check(name=name, passed=False, message=f"the program ended with {result.kind}{status}")
    if _lines(result.stdout) == _lines(expected):
        return Check(name=name, passed=True)
    return Check(name=name, passed=False, message=f"wrote {result.stdout!r:.300}, expected {expected!r:.300}")


def _lines(text: str) -> list[str]:
    return [line.rstrip() for line in text.rstrip().splitlines()]
