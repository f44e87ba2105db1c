"""Protocols: trials show what trying again with notes does, recipes choose their tasks, and every call is counted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from sheets import Adding, ran

from agentevo.benchmarks.compare import compare
from agentevo.errors import Misuse
from agentevo.models import FunctionModel, ScriptedModel
from agentevo.phases.act import Sample
from agentevo.phases.combine import Refined
from agentevo.phases.judge import Verify
from agentevo.phases.tasks.pool import Pool
from agentevo.recipes import load
from agentevo.types import Message, Usage

REFLEXION = load("reflexion")
BOTH = ("none", "memory")


def test_trials_show_what_notes_on_failures_do(tmp_path: Path) -> None:
    found = compare(ran(tmp_path, REFLEXION, arms=BOTH, protocol="trials", epochs=2))
    assert {arm.name: arm.curve for arm in found.arms} == {"none": (0.0, 0.0, 0.0), "memory": (0.0, 1.0, 1.0)}
    assert {arm.name: (arm.answering.calls, arm.learning.calls) for arm in found.arms} == {
        "none": (12, 0), "memory": (8, 4),
    }  # fmt: skip
    (difference,) = found.differences
    assert (difference.mean, difference.pairs) == (1.0, 4)


def test_a_task_that_is_not_tried_again_keeps_its_answer_at_no_cost(tmp_path: Path) -> None:
    rows = ran(tmp_path, REFLEXION, arms=("memory",), protocol="trials", epochs=2)
    second, third = (
        {row.experience.task.id: row.experience for row in rows if row.cell.epoch == epoch} for epoch in (1, 2)
    )
    assert [x.score for x in third.values()] == [1.0] * 4
    for name, experience in third.items():
        (kept,) = experience.attempts
        assert kept.usage == Usage()
        assert kept.id == second[name].attempts[0].id
        assert second[name].attempts[0].usage.calls == 1


def test_without_a_strategy_for_tasks_all_are_tried_again(tmp_path: Path) -> None:
    model = Adding()
    ran(tmp_path, replace(REFLEXION, tasks=None), model, arms=("none",), protocol="trials", epochs=2)
    assert model.asked == 12


def test_a_task_that_was_never_tried_has_no_answer(tmp_path: Path) -> None:
    rows = ran(tmp_path, replace(REFLEXION, tasks=Pool(n=1)), arms=("none",), protocol="trials")
    first, second = ([len(r.experience.attempts) for r in rows if r.cell.epoch == epoch] for epoch in (0, 1))
    assert (sum(first), len(first)) == (1, 4)
    assert 1 <= sum(second) <= 2


def test_trials_that_were_stopped_go_on_and_ask_nothing_twice(tmp_path: Path) -> None:
    for name in ("whole", "stopped"):
        (tmp_path / name).mkdir()
    whole = ran(tmp_path / "whole", REFLEXION, arms=("memory",), protocol="trials", epochs=2)
    model = Adding()
    ran(tmp_path / "stopped", REFLEXION, model, most=5, arms=("memory",), protocol="trials", epochs=2)
    asked = model.asked
    again = ran(tmp_path / "stopped", REFLEXION, model, arms=("memory",), protocol="trials", epochs=2)
    assert [row.experience.score for row in again] == [row.experience.score for row in whole]
    assert [row.learning.calls for row in again] == [row.learning.calls for row in whole]
    assert (asked, model.asked) == (12, 12)


@pytest.mark.parametrize("arms", [("memory",), ("none", "copy"), ("reflexion",)])
def test_a_stream_refuses_what_chooses_its_tasks_itself(arms: tuple[str, ...], tmp_path: Path) -> None:
    recipe = load("evo") if arms == ("reflexion",) else REFLEXION
    with pytest.raises(Misuse, match=r"chooses its tasks itself \(Retry\(\)\).*use the protocol trials"):
        ran(tmp_path, recipe, arms=arms)


def test_epochs_practise_the_tasks_that_the_recipe_chooses(tmp_path: Path) -> None:
    model, recipe = Adding(), replace(REFLEXION, tasks=Pool(n=2, select="in order"), update=())
    ran(tmp_path, recipe, model, arms=("memory",), protocol="epochs", epochs=2)
    assert model.asked == 3 * 4 + 2 * 2


@pytest.mark.parametrize(
    ("protocol", "tasks", "asked"),
    [("stream", None, 2), ("epochs", None, 4 + 2 + 4), ("epochs", Pool(), 4 + 2 + 4), ("trials", Pool(), 2 + 2)],
)
def test_nothing_but_what_was_drawn_is_practised(protocol: str, tasks: Pool | None, asked: int, tmp_path: Path) -> None:
    model, recipe = Adding(), replace(REFLEXION, tasks=tasks, update=())
    ran(tmp_path, recipe, model, arms=("memory",), protocol=protocol, tasks=2)
    assert model.asked == asked


@pytest.mark.parametrize("protocol", ["stream", "epochs", "trials"])
def test_every_call_is_counted_once_as_answering_or_as_learning(protocol: str, tmp_path: Path) -> None:
    model, recipe = Adding(), replace(REFLEXION, tasks=None)
    (arm,) = compare(ran(tmp_path, recipe, model, arms=("memory",), protocol=protocol, epochs=2)).arms
    assert arm.answering.calls + arm.learning.calls == model.asked
    assert arm.learning.tokens > 0
    assert arm.answering.tokens > 0


@pytest.mark.parametrize(("protocol", "tells"), [("stream", False), ("trials", False), ("epochs", True)])
def test_what_counts_is_answered_without_being_told_the_answer(protocol: str, tells: bool, tmp_path: Path) -> None:
    asked: list[str] = []

    def listens(messages: Sequence[Message]) -> str:
        asked.append(str(messages[-1]["content"]))
        return "no idea"

    recipe = replace(REFLEXION, tasks=None, act=Refined(Sample(), by=Verify("strong"), rounds=1), update=())
    ran(tmp_path, recipe, FunctionModel(listens), arms=("memory",), protocol=protocol)
    assert any("wrong" in prompt for prompt in asked)
    assert any("The right answer is" in prompt for prompt in asked) is tells  # in epochs, while it practises


def test_an_answer_costs_what_all_samples_of_it_cost(tmp_path: Path) -> None:
    recipe = replace(REFLEXION, tasks=None, act=Sample(3), update=())
    for protocol in ("stream", "epochs", "trials"):
        (tmp_path / protocol).mkdir()
        three = ScriptedModel([["a b", "c d", "e f"]] * 20, "adding")
        rows = ran(tmp_path / protocol, recipe, three, arms=("memory",), protocol=protocol)
        usages = {(a.usage.calls, a.usage.completion_tokens) for row in rows for a in row.experience.attempts}
        (usage,) = usages
        assert usage[0] == 1
        assert usage[1] >= 6
