"""Judges that run programs: what tests say of attempts, what a model's tests are, and how agreement ranks programs."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest
from moments import memory
from sums import Sums, somewhere, task

from agentevo.environments.wrappers import OutputLimit
from agentevo.errors import Misuse
from agentevo.models import ScriptedModel
from agentevo.models.fakes import Scripted
from agentevo.phases.judge import Verify
from agentevo.phases.judge_tests import DualAgree, Exec, Written, agreement, asserts
from agentevo.protocols import Environment, Judge, State
from agentevo.scoring import Sealed
from agentevo.types import Attempt, Experience, Feedback, Task

PASSES = {"a": "1234", "b": "1234", "c": "12", "d": "5"}
"""By answer: the tests that it passes; a table, so that what is judged is the judge."""


class Tried(Sums):
    """Sums that can be tried: an answer passes the tests that a table says; the task itself shows `shown`."""

    def __init__(self, shown: Sequence[str] = ("1", "5")) -> None:
        super().__init__()
        self.shown, self.asked = shown, list[str]()

    async def run_tests(self, task: Task, answer: str | Attempt, tests: Sequence[str] = ()) -> list[Feedback]:
        assert isinstance(answer, Attempt)
        self.asked.append(answer.id)
        passed = PASSES.get(answer.answer, "")
        return [
            Feedback(score=1.0) if test[-1] in passed else Feedback(score=0.0, text=f"{test}: no")
            for test in tests or self.shown
        ]


def tries(*answers: str) -> Experience:
    attempts = (Attempt(id=f"a{n}", task=task("1+1"), answer=answer) for n, answer in enumerate(answers))
    return Experience(task=task("1+1"), attempts=tuple(attempts))


def judged(
    judge: Judge, answers: Sequence[str], environment: Environment | None = None, replies: Sequence[Scripted] = ()
) -> list[Feedback | None]:
    """Return what was said last of an attempt at each answer; None where nothing was."""

    async def awaited() -> Experience:
        with memory() as m:
            return await judge(somewhere(m, environment or Tried(), list(replies)), tries(*answers))

    return [a.feedback[-1] if a.feedback else None for a in asyncio.run(awaited()).attempts]


def giving(*tests: str) -> Written:
    """Return who gives these tests without a model."""

    async def given(state: State, task: Task) -> Sequence[str]:
        return tests

    return given  # type: ignore[return-value]


# --- Exec


def test_the_score_is_the_share_of_the_tests_that_the_task_shows() -> None:
    assert judged(Exec(), ["a", "?"]) == [
        Feedback(
            score=0.5, verdict="passed 1 of 2 tests", text="5: no", source="rule", evidence={"passed": [0], "of": 2}
        ),
        Feedback(
            score=0.0, verdict="passed 0 of 2 tests", text="1: no\n\n5: no", source="rule",
            evidence={"passed": [], "of": 2},
        ),
    ]  # fmt: skip


def test_so_many_failures_are_told() -> None:
    (one,) = judged(Exec(giving("7", "8", "9"), shown=2), ["a"])
    assert one is not None
    assert one.text == "7: no\n\n8: no"


def test_a_task_without_tests_leaves_attempts_as_they_were() -> None:
    assert judged(Exec(), ["a"], Tried(shown=())) == [None]


def test_tests_from_a_model_are_no_more_than_an_opinion() -> None:
    said = "Tests:\nassert f(1) == 1\nassert f(1) == 2"
    (one,) = judged(Exec(Written(1)), ["c"], replies=[said])
    assert one is not None
    assert (one.source, one.score) == ("self", 1.0)


def test_where_no_test_was_written_none_is_run_not_even_a_visible_one() -> None:
    environment = Tried()
    assert judged(Exec(Written(1)), ["c"], environment, ["I cannot."]) == [None]
    assert judged(DualAgree(Written(1)), ["c"], environment, ["I cannot."]) == [None]
    assert environment.asked == []


@pytest.mark.parametrize("judge", [Exec(), Exec(Written()), DualAgree()])
def test_an_environment_that_runs_no_tests_is_refused_before_the_model_is_asked(judge: Judge) -> None:
    with pytest.raises(Misuse, match=r"sums cannot run tests on answers; .* such as library or humaneval"):
        judged(judge, ["a"], Sums())


def test_tests_are_run_through_wrappers_and_while_attempts_count() -> None:
    (one,) = judged(Exec(), ["a"], Sealed(OutputLimit(Tried(), 100)))
    assert one is not None
    assert one.score == 0.5


def test_the_environment_has_its_say_before_tests_do() -> None:
    async def both(state: State, experience: Experience) -> Experience:
        return await Exec()(state, await Verify()(state, experience))

    environment = Tried(shown=("1",))
    judged(both, ["a"], environment)
    assert environment.verified == ["a0"]


# --- Written


def test_only_whole_assert_lines_that_call_the_program_are_tests() -> None:
    text = (
        "Here:\n```python\nassert f(1) == ')'\n  assert f([1,\n    2]) == 3\nassert g(2) == 2\nassert f (3) == 3\n"
        "assertion\nassert True\nassert not f('\\'(')\n```\n" + f"assert f('{'x' * 1000}') == 1"
    )
    assert asserts(text, "f") == ["assert f(1) == ')'", "assert f (3) == 3", "assert not f('\\'(')"]
    assert "assert True" in asserts(text)


def test_each_reply_gives_so_many_tests_and_no_answer_is_shown() -> None:
    asked = task("1+1").but(data={"entry_point": "f"})
    model = ScriptedModel([["assert f(1) == 1\nassert f(2) == 2\nassert f(3) == 3", "assert f(1) == 1"]])

    async def awaited() -> list[str]:
        with memory() as m:
            return await Written(2, each=2)(somewhere(m, Tried(), model), asked)

    assert asyncio.run(awaited()) == ["assert f(1) == 1", "assert f(2) == 2", "assert f(1) == 1"]
    (request,) = model.requests
    assert (request.n, request.temperature) == (2, 0.8)
    assert "The tests call `f`." in str(request.messages[1]["content"])


# --- DualAgree


def test_agreement_ranks_a_matrix_of_four_programs_and_three_tests() -> None:
    matrix = [frozenset({0, 1}), frozenset({0, 1}), frozenset({0, 1, 2}), frozenset()]
    root = [2**0.5 * 2, 2**0.5 * 2, 3, 0]
    assert agreement(matrix, 3) == pytest.approx([score / (2 * 3) for score in root])
    plain = [2 * 2, 2 * 2, 3, 0]
    assert agreement(matrix, 3, alpha=1) == pytest.approx([score / (4 * 3) for score in plain])


def test_programs_that_pass_the_same_tests_stand_by_each_other() -> None:
    found = judged(DualAgree(giving("1", "2", "3", "5"), alpha=1), ["d", "a", "c", "b"])
    assert [one.score for one in found if one] == pytest.approx([1 / 16, 6 / 16, 2 / 16, 6 / 16])
    assert found[1] == Feedback(
        score=6 / 16, verdict="2 passed the same 3 of 4 tests", source="self",
        evidence={"passed": [0, 1, 2], "of": 4, "group": 2},
    )  # fmt: skip


def test_a_test_that_comes_twice_counts_twice() -> None:
    once = judged(DualAgree(giving("1", "5")), ["c", "d"])
    twice = judged(DualAgree(giving("1", "5", "5")), ["c", "d"])
    assert [one.score for one in once if one] == pytest.approx([0.5 / 2**0.5] * 2)
    assert [one.score for one in twice if one] == pytest.approx([1 / 3 / 2**0.5, 2 / 3 / 2**0.5])


def test_options_that_cannot_be_are_refused() -> None:
    with pytest.raises(Misuse, match=r"Exec\(tests=...\) takes who gives tests.*Written"):
        Exec(Written)  # type: ignore[arg-type]
    with pytest.raises(Misuse, match=r"DualAgree\(tests=...\) takes who gives tests, .* not 3"):
        DualAgree(3)  # type: ignore[arg-type]
    with pytest.raises(Misuse, match="shown is -1"):
        Exec(shown=-1)
    with pytest.raises(Misuse, match="alpha is 0"):
        DualAgree(alpha=0)
    with pytest.raises(Misuse, match="n=0"):
        Written(0)
    with pytest.raises(Misuse, match="needs a prompt"):
        Written(prompt=" ")
    with pytest.raises(Misuse, match="temperature is -1"):
        Written(temperature=-1)
