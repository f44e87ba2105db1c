"""What the sandbox says of programs: a score by the hidden tests, words by the visible ones.

What a hidden test said, and what a program printed or raised while hidden tests ran, goes no further than this module.
"""

from __future__ import annotations

import asyncio
import functools
import re
import textwrap
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from agentevo.environments.code.task import CodeTask, Test
from agentevo.errors import Misuse
from agentevo.protocols import FeedbackLevel
from agentevo.quote import clean, cut
from agentevo.types import Feedback, Json, Outcome

if TYPE_CHECKING:
    from agentevo.environments.sandbox import RunResult, Sandbox, Session, Verdict

TIMEOUT_S = 10.0
"""For all tests of a task that are statements, which run together: what was not reached by then has failed."""
SHOWN_TEST = 2_000
SHOWN_OUTPUT = 8_000
"""Characters, of what one test said, and of what a program printed."""
DECIDED = "decided by the solution"
"""So the sandbox says that a comparison was made by an object of the solution."""
NO_PROGRAM = "There is no program that defines {name}."

_WHOLE = re.compile(r"^(?:def|class|async def)\b", re.MULTILINE)


class Ran(NamedTuple):
    """What came of one test, and what it said: to be shown only where the test may be."""

    passed: bool
    said: str = ""
    weak: str = ""


class _Made(NamedTuple):
    """A program, what it was made for, and the files beside it."""

    asked: CodeTask
    program: str
    files: Mapping[str, str]


class Judge:
    """Runs tests on programs, in the sandbox it is given, or in one that all judges share."""

    def __init__(self, sandbox: Sandbox | None = None, timeout_s: float = TIMEOUT_S) -> None:
        self._own, self.timeout_s = sandbox, timeout_s

    async def verdict(self, asked: CodeTask, program: str | None, files: Mapping[str, str]) -> Feedback:
        """Score a program by the hidden tests, and say nothing else of them than how many it passed."""
        ran = await self._ran(asked, program, files, asked.hidden)
        passed = sum(one.passed for one in ran)
        evidence: dict[str, Json] = {"passed": passed, "of": len(ran)}
        if weak := next((one.weak for one in ran if one.weak), ""):
            evidence["weak"] = weak
        verdict = "right" if passed == len(ran) else "wrong"
        return Feedback(score=passed / len(ran), verdict=verdict, source="environment", evidence=evidence)

    async def shown(
        self, asked: CodeTask, program: str | None, files: Mapping[str, str], tests: Sequence[Test]
    ) -> list[Feedback]:
        """Run tests that may be shown, and tell what each of them said."""
        found = []
        for test, one in zip(tests, await self._ran(asked, program, files, tests), strict=True):
            said = "" if one.passed else f"{_shown(test)}\n{one.said or 'It did not pass.'}"
            verdict = "passed" if one.passed else "failed"
            told = cut(clean(said), SHOWN_TEST)
            found.append(Feedback(score=float(one.passed), verdict=verdict, text=told, source="rule"))
        return found

    async def outcome(
        self, asked: CodeTask, program: str | None, files: Mapping[str, str], level: FeedbackLevel
    ) -> Outcome:
        """Return how an episode ends: right or wrong, and at level strong what would have been right."""
        found = await self.verdict(asked, program, files)
        told = [found.verdict]
        if level == "strong" and found.verdict == "wrong":
            told += [one.text for one in await self.shown(asked, program, files, asked.visible) if one.score != 1]
            told += [f"What would have been right:\n{asked.gold}"] if asked.gold is not None else []
        return Outcome(observation="\n".join(told), reward=found.score or 0.0, terminated=True)

    async def session(self) -> Session:
        """Open a session for programs that are no answers."""
        return await self._sandbox().asession()

    async def _ran(
        self, asked: CodeTask, program: str | None, files: Mapping[str, str], tests: Sequence[Test]
    ) -> list[Ran]:
        """Run tests: those that are statements in one go, all others each for itself."""
        if program is None:
            return [Ran(False, NO_PROGRAM.format(name=asked.asked_for or "anything"))] * len(tests)
        made = _Made(asked, program, files)
        plain = {n: test for n, test in enumerate(tests) if isinstance(test, str) and not _WHOLE.search(test)}
        others = [n for n in range(len(tests)) if n not in plain]
        ran = dict(zip(plain, await self._together(made, [*plain.values()]), strict=True))
        alone = await asyncio.gather(*(self._alone(made, tests[n]) for n in others))
        ran |= dict(zip(others, alone, strict=True))
        return [ran[n] for n in range(len(tests))]

    async def _together(self, made: _Made, tests: Sequence[str]) -> list[Ran]:
        """Run tests as the functions of one module; where that is no Python, because one of them is none, alone."""
        if not tests:
            return []
        try:
            verdict = await self._judged(made, "\n\n".join(map(_function, range(len(tests)), tests)))
        except Misuse:
            return list(await asyncio.gather(*(self._alone(made, test) for test in tests)))
        if why := _decided_by_itself(made.asked, verdict):
            return [Ran(False, why, verdict.weak)] * len(tests)
        checks = {check.name: check for check in verdict.checks}
        lost = _lost(verdict)
        return [
            Ran(check.passed, check.message or lost, verdict.weak) if check is not None else Ran(False, lost)
            for check in (checks.get(_name(n)) for n in range(len(tests)))
        ]

    async def _alone(self, made: _Made, test: Test) -> Ran:
        try:
            verdict = await self._judged(made, test if isinstance(test, str) else [test])
        except Misuse as error:
            return Ran(False, str(error))
        if why := _decided_by_itself(made.asked, verdict):
            return Ran(False, why, verdict.weak)
        said = next((check.message for check in verdict.checks if not check.passed and check.message), "")
        return Ran(verdict.passed, said or _lost(verdict), verdict.weak)

    async def _judged(self, made: _Made, tests: str | Sequence[tuple[str, str]]) -> Verdict:
        return await self._sandbox().ajudge(
            made.program, tests, made.asked.entry_point, support=made.asked.support or None, files=made.files,
            timeout_s=self.timeout_s,
        )  # fmt: skip

    def _sandbox(self) -> Sandbox:
        return self._own or shared()


@functools.cache
def shared() -> Sandbox:
    """Return the sandbox that judges share, made when it is first needed."""
    from agentevo.environments.sandbox import Sandbox

    return Sandbox()


def shown(result: RunResult) -> str:
    """Return what a program printed and how it ended, bounded."""
    parts = [cut(part.rstrip(), SHOWN_OUTPUT // 2) for part in (result.stdout, result.stderr) if part.strip()]
    return "\n".join([*parts, *_ending(result)]) or "(no output)"


def _shown(test: Test) -> str:
    return (
        test.strip() if isinstance(test, str) else f"Given:\n{test[0].rstrip()}\nit should print:\n{test[1].rstrip()}"
    )


def _name(n: int) -> str:
    return f"test_{n}"


def _function(n: int, test: str) -> str:
    return f"def {_name(n)}():\n{textwrap.indent(test.strip(), '    ')}\n"


def _decided_by_itself(asked: CodeTask, verdict: Verdict) -> str:
    """Say what of the tests a solution decided by objects of its own, where it was to answer with plain values."""
    return verdict.weak if asked.is_plain and DECIDED in verdict.weak else ""


def _lost(verdict: Verdict) -> str:
    """Say how a program ended where that is why a test has no outcome."""
    return "\n".join([cut(verdict.result.stderr.rstrip(), SHOWN_TEST // 2), *_ending(verdict.result)]).strip()


def _ending(result: RunResult) -> list[str]:
    if result.kind == "ok":
        return []
    status = "" if result.exit_status is None else f", exit status {result.exit_status}"
    return [f"(ended: {result.kind}{status})"]
