"""Judges that run programs: on tests that the task shows or a model writes, and by agreement between the two."""

from __future__ import annotations

import logging
import re
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import KW_ONLY, dataclass, field
from typing import TypeAlias, cast

from agentevo.errors import Misuse
from agentevo.memory.asking import AS_DATA
from agentevo.phases.act import check_sampling
from agentevo.protocols import Environment, RunsTests, State
from agentevo.quote import fenced
from agentevo.together import together
from agentevo.types import Attempt, Experience, Feedback, Json, Message, Task

LOG = logging.getLogger(__name__)

Writer: TypeAlias = Callable[[State, Task], Awaitable[Sequence[str]]]
"""Who gives tests for a task, such as Written()."""

LONGEST_TEST = 1_000
"""Characters: a line beyond that is no test."""

TESTS = """
Write tests for the Python program that the task asks for: what it is called with, and what it must give back, as the
task says. Do not write the program. Each test is one line of the form `assert name(arguments) == value`. Cover plain
cases first, then limits.
"""


@dataclass(frozen=True)
class Written:
    """Tests that the model writes, without seeing an answer: n replies, and of each the first few lines that are one.

    Those that come twice count twice, as answers do. Where the task says what its program is called
    (`data["entry_point"]`), a line that does not call it is no test.
    """

    n: int = 10
    _: KW_ONLY
    each: int = 5
    prompt: str = TESTS
    temperature: float | None = 0.8
    max_tokens: int | None = 400

    def __post_init__(self) -> None:
        if self.n < 1 or self.each < 1:
            raise Misuse(f"Written(n={self.n!r}, each={self.each!r}): expected replies, and tests of each, 1 or more")
        if not self.prompt.strip():
            raise Misuse("Written needs a prompt that asks for tests; leave it out for the one that is shipped")
        check_sampling(self.temperature, self.max_tokens)

    async def __call__(self, state: State, task: Task) -> list[str]:
        name = str(task.data.get("entry_point") or "")
        asked = f"{fenced(task.prompt, 'task')}\nThe tests call `{name}`." if name else fenced(task.prompt, "task")
        messages: list[Message] = [
            {"role": "system", "content": f"{self.prompt.strip()}\n{AS_DATA}"},
            {"role": "user", "content": asked},
        ]
        seed = None if self.temperature == 0 else state.dice("tests", task.id).getrandbits(31)
        reply = await state.model.complete(
            messages, n=self.n, temperature=self.temperature, max_tokens=self.max_tokens, seed=seed
        )
        return [test for text in reply.texts for test in asserts(text, name)[: self.each]]


_ASSERT = re.compile(r"^[ \t]*+(assert\b[^\n]+)$", re.MULTILINE)
_QUOTED = re.compile(r"'(?:\\.|[^'\\\n])*+'|\"(?:\\.|[^\"\\\n])*+\"")


def asserts(text: str, name: str = "") -> list[str]:
    """Return the lines of a text that are whole assert statements, and call a name where one is given.

    They are searched, not parsed: a parser can be brought down by what it reads.
    """
    found = (line.strip() for line in _ASSERT.findall(text))
    calls = re.compile(rf"\b{re.escape(name)}[ ]*\(" if name else "")
    return [line for line in found if len(line) <= LONGEST_TEST and calls.search(line) and _is_whole(line)]


def _is_whole(line: str) -> bool:
    bare = _QUOTED.sub("", line)
    return all(bare.count(left) == bare.count(right) for left, right in ("()", "[]", "{}"))


def runner(environment: Environment) -> RunsTests | None:
    """Return the environment where it can run tests, else None."""
    # Not isinstance: from Python 3.12 on it does not see what a wrapper hands through.
    return cast(RunsTests, environment) if callable(getattr(environment, "run_tests", None)) else None


def must_run(environment: Environment) -> RunsTests:
    """Return the environment as one that runs tests; raise Misuse where it is none."""
    found = runner(environment)
    if found is None:
        raise Misuse(
            f"{environment.card.name} cannot run tests on answers; Exec and DualAgree need an environment that has"
            " `run_tests`, such as library or humaneval"
        )
    return found


async def ran(environment: RunsTests, experience: Experience, tests: Sequence[str] = ()) -> list[Sequence[Feedback]]:
    """Run tests on each attempt, those that the task shows where none are given; return what came of each."""
    task = experience.task
    return await together(environment.run_tests(task, attempt, tests) for attempt in experience.attempts)


@dataclass(frozen=True)
class Exec:
    """Run tests on each attempt: its score is the share that it passes, and what failing ones said is told.

    tests: None for those that the task shows; else who gives them, such as Written(). Where there are none, attempts
    stay as they were. The first `shown` failing tests are told. What a model wrote is no more than an opinion: its
    feedback is from `self`, while the task's own tests are a `rule`, after which `Verify` does not ask the environment:
    put that first. Raise Misuse where the environment runs no tests.
    """

    tests: Writer | None = None
    _: KW_ONLY
    shown: int = 3

    def __post_init__(self) -> None:
        if self.tests is not None:
            _must_write("Exec", self.tests)
        if self.shown < 0:
            raise Misuse(f"shown is {self.shown!r}; expected how many failing tests are told, 0 or more")

    async def __call__(self, state: State, experience: Experience) -> Experience:
        environment = must_run(state.environment)
        given = () if self.tests is None else tuple(await self.tests(state, experience.task))
        if self.tests is not None and not given:
            LOG.info("nothing was run on task %s: no test was written", experience.task.id)
            return experience
        outcomes = await ran(environment, experience, given)
        told = (self._told(a, outcome) for a, outcome in zip(experience.attempts, outcomes, strict=True))
        return experience.but(attempts=tuple(told))

    def _told(self, attempt: Attempt, outcome: Sequence[Feedback]) -> Attempt:
        if not outcome:
            return attempt
        passed = passing(outcome)
        failed = [one.text for n, one in enumerate(outcome) if n not in passed and one.text]
        evidence: dict[str, Json] = {"passed": [*sorted(passed)], "of": len(outcome)}
        return attempt.told(
            Feedback(
                score=len(passed) / len(outcome), verdict=f"passed {len(passed)} of {len(outcome)} tests",
                text="\n\n".join(failed[: self.shown]), source="self" if self.tests else "rule", evidence=evidence,
            )
        )  # fmt: skip


def passing(outcome: Sequence[Feedback]) -> frozenset[int]:
    """Return which tests were passed, by their place."""
    return frozenset(n for n, one in enumerate(outcome) if one.score is not None and one.score >= 1)


@dataclass(frozen=True)
class DualAgree:
    """Believe the programs that many agree on, and many tests: CodeT (Chen et al., 2022, arXiv 2207.10397).

    The model writes tests without seeing an answer, and each runs on each attempt. Attempts that pass the same tests
    form a group; its score is (its attempts) ** alpha x (its tests), as a share of what it would be if all passed all.
    alpha: 0.5 as in the published code, 1 as in the paper. Where no test was written, attempts stay as they were.
    """

    tests: Writer = field(default_factory=Written)
    _: KW_ONLY
    alpha: float = 0.5

    def __post_init__(self) -> None:
        _must_write("DualAgree", self.tests)
        if not 0 < self.alpha < float("inf"):
            raise Misuse(f"alpha is {self.alpha!r}; expected the weight of a group's size, above 0, such as 0.5 or 1")

    async def __call__(self, state: State, experience: Experience) -> Experience:
        environment = must_run(state.environment)  # before the model is paid for tests
        tests = tuple(await self.tests(state, experience.task))
        if not tests or not experience.attempts:
            LOG.info("nobody can agree on task %s: %d tests were written", experience.task.id, len(tests))
            return experience
        passed = [passing(outcome) for outcome in await ran(environment, experience, tests)]
        groups, scores = Counter(passed), agreement(passed, len(tests), self.alpha)
        told = (
            attempt.told(_agreed(score, one, groups[one], len(tests)))
            for attempt, one, score in zip(experience.attempts, passed, scores, strict=True)
        )
        return experience.but(attempts=tuple(told))


def agreement(passed: Sequence[frozenset[int]], tests: int, alpha: float = 0.5) -> list[float]:
    """Return how far each of several programs is agreed with, from 0 to 1, by which of so many tests each passes."""
    groups, most = Counter(passed), len(passed) ** alpha * tests
    return [groups[one] ** alpha * len(one) / most for one in passed]


def _agreed(score: float, passed: frozenset[int], group: int, tests: int) -> Feedback:
    evidence: dict[str, Json] = {"passed": [*sorted(passed)], "of": tests, "group": group}
    verdict = f"{group} passed the same {len(passed)} of {tests} tests"
    return Feedback(score=score, verdict=verdict, source="self", evidence=evidence)


def _must_write(name: str, tests: object) -> None:
    if not callable(tests) or isinstance(tests, type):
        raise Misuse(f"{name}(tests=...) takes who gives tests, such as Written(), not {tests!r:.80}")
