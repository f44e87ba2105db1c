"""Recipes that run tests, as arms of a benchmark of programs, in each protocol."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
from sheets import rows_of

from agentevo.benchmarks.matrix import Plan, Protocol
from agentevo.benchmarks.suites import OPTIONS, tuned
from agentevo.models import FunctionModel
from agentevo.protocols import Recipe
from agentevo.types import Message


def says(messages: Sequence[Message]) -> str:
    """Mend the program once its tests were told to have failed; where tests are asked for, write one."""
    last = str(messages[-1]["content"])
    if "The tests call" in last:
        return f"assert {last.split('`')[-2]}(1) == 'nothing'"
    name = next(str(m["content"]) for m in messages if m["role"] == "user").partition("(")[0]
    return f"def {name}(x): return {'x' if 'passed 0 of 2 tests' in last else 'None'}"


@pytest.mark.parametrize("protocol", ["stream", "epochs"])
def test_programs_are_tried_while_they_count(tmp_path: Path, protocol: Protocol) -> None:
    arms = ("self_debug", "codet", "self_consistency")
    plan = Plan(
        "library:tasks=10", tuned("library", "evo"), FunctionModel(says), arms, protocol=protocol, tasks=1, test=1,
        embedder="hash",
    )  # fmt: skip

    last = {row.cell.arm: row.experience.attempts[0] for row in rows_of(plan, tmp_path)}
    assert "return x" in last["self_debug"].answer
    assert "of 10 tests" in last["codet"].feedback[0].verdict
    assert "return None" in last["self_consistency"].answer
    assert [attempt.score for attempt in last.values()] == [0.0, 0.0, 0.0]


@pytest.mark.parametrize(("suite", "recipe"), sorted(OPTIONS))
def test_what_a_suite_tells_a_recipe_it_takes(suite: str, recipe: str) -> None:
    assert isinstance(tuned(suite, recipe), Recipe)
