"""The pair: tests in one worker, the solution in another, and a channel of plain values between them."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Sequence
from dataclasses import dataclass

from agentevo.environments.sandbox import channel
from agentevo.environments.sandbox.box.wire import Message
from agentevo.environments.sandbox.limits import Limits
from agentevo.environments.sandbox.pool import Pool
from agentevo.environments.sandbox.reports import as_result
from agentevo.environments.sandbox.results import Check, Verdict
from agentevo.environments.sandbox.zygote import Worker

UNFINISHED = "it did not run to its end"


@dataclass(frozen=True, slots=True)
class Case:
    """What is judged, checked and ready to be sent."""

    candidate: str
    files: dict[str, str]
    tests: str
    style: str
    entry_point: str
    support: str
    modules: Sequence[str]

    def solution_job(self, limits: Limits) -> Message:
        """Return what the solution's worker is told: nothing of the tests."""
        return {"mode": "serve", "code": self.candidate, "files": self.files, "limits": limits.as_dict()}

    def judge_job(self, limits: Limits) -> Message:
        """Return what the judge's worker is told: nothing of the solution but its modules' names."""
        return {
            "mode": "judge", "tests": self.tests, "style": self.style, "entry_point": self.entry_point,
            "support": self.support, "modules": [*self.modules], "limits": limits.as_dict(),
        }  # fmt: skip


async def judge(pool: Pool, case: Case, limits: Limits) -> Verdict:
    """Judge one solution in two workers. Raises SandboxBroken where one of them fails as a sandbox."""
    async with pool.worker(limits) as judging, pool.worker(limits) as solving:
        await _connect(judging, case.judge_job(limits), solving, case.solution_job(limits))
        judged = asyncio.ensure_future(channel.report(judging, limits))
        solved = asyncio.ensure_future(channel.report(solving, limits))
        try:
            seen = await judged
            if not solved.done():
                await channel.send(solving, {"stop": True})
            ran = await solved
        finally:
            judged.cancel()
            solved.cancel()
    return _verdict(seen, ran)


async def _connect(judging: Worker, tests: Message, solving: Worker, solution: Message) -> None:
    """Give each side its end of a channel, with its job; keep none."""
    ends = socket.socketpair()
    try:
        await channel.send(judging, tests, [ends[0].fileno()])
        await channel.send(solving, solution, [ends[1].fileno()])
    finally:
        for end in ends:
            end.close()


def _verdict(seen: Message, ran: Message) -> Verdict:
    """Put together what the judge's supervisor saw; a check that was declared and never ended has failed."""
    reports = seen["reports"]
    assert isinstance(reports, list)
    declared = next((report["declared"] for report in reports if "declared" in report), ["tests"])
    ended = {report["check"]: report for report in reports if "check" in report}
    last = next((report for report in reports if "finished" in report), None)
    checks = tuple(
        Check(name=name, passed=ended[name]["passed"] is True, message=ended[name]["message"])
        if name in ended
        else Check(name=name, passed=False, message=UNFINISHED)
        for name in declared
    )
    result = as_result(ran)
    if seen["kind"] != "ok":
        kind = "error" if seen["kind"] == "stopped" else seen["kind"]
        result = result.but(kind=kind) if result.kind == "ok" else result
    is_whole = last is not None and seen["kind"] in ("ok", "output") and seen["exit_status"] == 0
    return Verdict(
        passed=is_whole and bool(checks) and all(check.passed for check in checks),
        checks=checks,
        weak=str(last["weak"]) if last else "",
        result=result,
    )
