"""CodeT: of programs that disagree, the one that agrees with most tests and most others is given."""

from __future__ import annotations

import pytest
from programs import RIGHT, SUM, area, done

from agentevo.errors import ModelUnavailable
from agentevo.models import ScriptedModel
from agentevo.models.fakes import Scripted
from agentevo.recipes import load

OTHER = "def area(x, y):\n    total = 0\n    for _ in range(x):\n        total += y\n    return total"
TESTS = ["assert area(2, 3) == 6\nassert area(1, 4) == 4", "assert area(2, 2) == 4\nassert area(2, 5) == 7"]


def model(*programs: str, tests: Scripted = TESTS) -> ScriptedModel:
    return ScriptedModel([list(programs), tests])


def test_programs_that_agree_with_each_other_and_with_tests_win_over_the_first() -> None:
    asked = model(SUM, RIGHT, OTHER)
    attempt, score = done(load("codet", n=3, tests=2), area(), asked)
    assert (attempt.answer, score, attempt.usage.calls, attempt.score) == (RIGHT, 1.0, 2, None)
    assert attempt.feedback[-1].evidence["group"] == 2
    assert [request.n for request in asked.requests] == [3, 2]
    assert "return a" not in str(asked.requests[1].messages)


@pytest.mark.parametrize(("alpha", "wins"), [(0.5, RIGHT), (2, SUM)])
def test_alpha_says_what_company_counts_against_tests(alpha: float, wins: str) -> None:
    programs = ("def area(a, b): return b + a", SUM, RIGHT)
    attempt, _ = done(load("codet", n=3, tests=2, alpha=alpha), area(), model(*programs))
    assert attempt.answer == (programs[0] if wins == SUM else RIGHT)


@pytest.mark.parametrize("tests", [["I cannot.", "Nor can I."], ModelUnavailable("down")])
def test_without_tests_the_first_program_is_given(tests: Scripted) -> None:
    attempt, _ = done(load("codet", n=2, tests=2), area(), model(SUM, RIGHT, tests=tests))
    assert (attempt.answer, "down" in attempt.stopped) == (SUM, isinstance(tests, Exception))
