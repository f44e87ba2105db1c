"""A supervisor's report as a record."""

from __future__ import annotations

from agentevo.environments.sandbox.box.wire import Message
from agentevo.environments.sandbox.results import RunResult

REPORTED = ("kind", "stdout", "stderr", "exit_status", "seconds", "memory_mb", "waited_s")


def as_result(report: Message) -> RunResult:
    """Return what a supervisor reported; a program that was stopped because it had served its time is `ok`."""
    kind = "ok" if report["kind"] == "stopped" else report["kind"]
    return RunResult.model_validate({**{name: report[name] for name in REPORTED}, "kind": kind})
