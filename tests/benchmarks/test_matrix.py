"""The matrix: every arm meets the same tasks, learning shows in the curve, and a run that was stopped goes on."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
from sheets import rows_of

from agentevo.benchmarks.arms import arm
from agentevo.benchmarks.compare import compare
from agentevo.benchmarks.matrix import Plan, results
from agentevo.benchmarks.suites import suites, tuned
from agentevo.errors import BudgetExceeded, Misuse, RunError, UnknownName
from agentevo.memory import Memory
from agentevo.models import FunctionModel, ScriptedModel
from agentevo.models.usage import Budget
from agentevo.protocols import Model
from agentevo.types import Message


def reader(messages: Sequence[Message]) -> str:
    """Answer as the rule does, from the example that stands nearest: a model that reads its prompt well."""
    from agentevo.benchmarks.baselines import Example, substituted

    if len(messages) < 4:
        return "no idea"
    nearest = Example(str(messages[-3]["content"]), str(messages[-2]["content"]))
    return substituted(nearest, str(messages[-1]["content"])).text


def plan(model: Model | None = None, **options: object) -> Plan:
    chosen: dict[str, object] = {"tasks": 12, "test": 6, "embedder": "hash", **options}
    return Plan("house", tuned("house", "evo"), model or FunctionModel(reader), **chosen)  # type: ignore[arg-type]


def test_every_arm_meets_the_same_tasks_in_the_same_order(tmp_path: Path) -> None:
    rows = rows_of(plan(seeds=2), tmp_path)
    met: dict[tuple[str, int], list[str]] = {}
    for row in rows:
        met.setdefault((row.cell.arm, row.cell.seed), []).append(row.experience.task.id)
    assert len(rows) == plan(seeds=2).rows() == 4 * 2 * 12
    assert all(met[name, seed] == met["none", seed] for name, seed in met)
    assert met["none", 0] != met["none", 1]


def test_learning_shows_in_the_curve_of_the_memory_alone(tmp_path: Path) -> None:
    found = compare(rows_of(plan(tasks=30), tmp_path))
    curves = {one.name: one.curve for one in found.arms}
    assert max(curves["none"]) == max(curves["copy"]) == 0.0
    assert curves["memory"][0] < 0.5 < curves["memory"][-1]
    over = {d.over: d for d in found.differences}
    assert over["none"].low > 0
    assert over["none"].better == round(over["none"].mean * 30)


def test_epochs_test_on_what_nothing_is_learned_from(tmp_path: Path) -> None:
    rows = rows_of(plan(protocol="epochs", tasks=40, epochs=2, arms=("none", "memory")), tmp_path)
    assert len(rows) == plan(protocol="epochs", epochs=2, arms=("none", "memory")).rows() == 2 * 3 * 6
    found = compare(rows)
    none, memory = found.arms
    assert (len(memory.curve), memory.curve[0], none.mean) == (3, 0.0, 0.0)
    assert memory.mean > 0
    with Memory.open(tmp_path / "cells" / "memory-0" / "memory") as store:
        learned = {str(item.metadata["task"]) for item in store.list()}
    assert learned.isdisjoint({row.experience.task.id for row in rows})


def test_a_run_that_was_stopped_goes_on_and_asks_nothing_twice(tmp_path: Path) -> None:
    small = plan(arms=("memory",))
    whole = rows_of(small, tmp_path / "whole")
    rows_of(small, tmp_path / "stopped", most=5)
    asked: list[object] = []

    def counting(messages: Sequence[Message]) -> str:
        asked.append(messages)
        return reader(messages)

    again = rows_of(plan(FunctionModel(counting), arms=("memory",)), tmp_path / "stopped")
    assert [r.experience.score for r in again] == [r.experience.score for r in whole]
    assert len(asked) == 12 - 5
    assert results(tmp_path / "stopped") == again


def test_a_budget_ends_a_run_and_more_of_it_goes_on(tmp_path: Path) -> None:
    for _ in range(2):  # what was spent before counts
        with pytest.raises(BudgetExceeded, match="max_calls=4"):
            rows_of(plan(arms=("memory",), budget=Budget(max_calls=4)), tmp_path)
        assert len(results(tmp_path)) == 4
    assert len(rows_of(plan(arms=("memory",)), tmp_path)) == 12


def test_a_failing_model_is_a_wrong_answer_and_not_the_end(tmp_path: Path) -> None:
    rows = rows_of(plan(ScriptedModel([]), arms=("memory",), tasks=3), tmp_path)
    assert [(row.experience.score, bool(row.experience.attempts[0].stopped)) for row in rows] == [(0.0, True)] * 3


def test_a_run_does_not_go_on_as_another(tmp_path: Path) -> None:
    rows_of(plan(arms=("none",)), tmp_path)
    with pytest.raises(Misuse, match="begun with another tasks"):
        rows_of(plan(arms=("none",), tasks=13), tmp_path)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"arms": ("none", "evoo")}, "unknown arm 'evoo'; known: evo"),
        ({"arms": ()}, "at least one"),
        ({"arms": ("none", "none")}, "each once"),
        ({"seeds": 0}, "seeds is 0"),
        ({"tasks": 0}, "tasks is 0"),
        ({"protocol": "streams"}, "unknown protocol 'streams'"),
    ],
)
def test_a_plan_that_cannot_be_is_refused_at_once(options: dict[str, object], said: str) -> None:
    with pytest.raises(Misuse, match=said):
        plan(None, **options)


def test_a_recipe_that_chooses_its_tasks_is_named_as_it_was_given() -> None:
    with pytest.raises(Misuse, match=r"^recipe 'reflexion' chooses its tasks itself \(Retry"):
        Plan("house", tuned("house", "reflexion"), FunctionModel(reader))


def test_epochs_on_the_test_split_itself_are_refused(tmp_path: Path) -> None:
    on_test = Plan("house/test", tuned("house", "evo"), FunctionModel(reader), protocol="epochs")
    with pytest.raises(Misuse, match="need a split 'test' beside"):
        rows_of(on_test, tmp_path)


def test_any_recipe_can_be_an_arm() -> None:
    assert arm("reflexion", tuned("house", "evo")).name == "reflexion"
    with pytest.raises(UnknownName, match="unknown arm"):
        arm("nothing", tuned("house", "evo"))


def test_a_folder_that_holds_no_run_is_named(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"holds no results\.jsonl"):
        results(tmp_path)


def test_a_row_of_another_version_is_named(tmp_path: Path) -> None:
    rows_of(plan(arms=("null",), tasks=2), tmp_path)
    path = tmp_path / "results.jsonl"
    path.write_text(path.read_text("utf-8") + '{"cell": {"suite": "house", "place": "third"}}\n', "utf-8")
    with pytest.raises(RunError, match=r"results\.jsonl, line 3, does not fit: .*cell\.place: .*third.*begin a new"):
        results(tmp_path)


def test_an_arm_that_a_run_has_not_is_named(tmp_path: Path) -> None:
    rows = rows_of(plan(arms=("none",), tasks=2), tmp_path)
    with pytest.raises(UnknownName, match="unknown arm of this run 'nosuch'; known: none"):
        compare(rows, "nosuch")


def test_the_suites_that_need_only_their_name_are_listed() -> None:
    assert "house" in [card.name for card in suites()]
