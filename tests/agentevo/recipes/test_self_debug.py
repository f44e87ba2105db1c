"""Self-debugging: what failed is run, explained and mended; without tests the explanation stands alone."""

from __future__ import annotations

import json
from collections.abc import Sequence

import pytest
from programs import HIDDEN, RIGHT, SUM, VISIBLE, area, done

from agentevo.models import ScriptedModel
from agentevo.models.fakes import Scripted
from agentevo.phases.judge import Review
from agentevo.recipes import load
from agentevo.types import ToolCall

EXPLAINED = "Line 1 adds a and b, where the task wants them multiplied."


def mended(replies: Sequence[Scripted], **options: object) -> tuple[str, float | None, ScriptedModel]:
    model = ScriptedModel(replies)
    attempt, score = done(load("self_debug", **options), area(), model)
    return attempt.answer, score, model


def test_the_trace_and_the_explanation_stand_in_what_mends_the_program() -> None:
    answer, score, model = mended([SUM, EXPLAINED, RIGHT])
    assert (answer, score) == (RIGHT, 1.0)
    _, explaining, mending = (str(request.messages) for request in model.requests)
    assert "area(2, 3) == 6: got 5" in explaining
    assert all(said in mending for said in ("area(2, 3) == 6: got 5", EXPLAINED, "passed 0 of 2 tests", SUM))


def test_a_program_that_passes_is_left_alone() -> None:
    answer, score, model = mended([RIGHT])
    assert (answer, score, len(model.requests)) == (RIGHT, 1.0, 1)


def test_without_explanation_what_the_tests_said_is_all() -> None:
    answer, _, model = mended([SUM, RIGHT], explain=False)
    assert (answer, len(model.requests)) == (RIGHT, 2)


def test_it_ends_after_so_many_rounds() -> None:
    answer, score, model = mended([SUM, EXPLAINED, "def area(a, b): return 0", EXPLAINED, SUM], rounds=2)
    assert (answer, score, len(model.requests)) == (SUM, 0.0, 5)


def test_hidden_tests_are_in_nothing_that_the_model_is_told() -> None:
    *_, model = mended([SUM, EXPLAINED, SUM, EXPLAINED, SUM], rounds=2)
    told = json.dumps([request.messages for request in model.requests])
    assert not [test for test in HIDDEN if test in told]
    assert VISIBLE[0] in told


@pytest.mark.parametrize("explain", [True, False])
def test_a_task_without_tests_has_its_program_explained_and_reviewed(explain: bool) -> None:
    model = ScriptedModel([SUM, Review(text=EXPLAINED, verdict="wrong"), RIGHT, Review(text="Good.", verdict="right")])
    attempt, score = done(load("self_debug", explain=explain), area(visible=()), model)
    assert (attempt.answer, score) == ((RIGHT, 1.0) if explain else (SUM, 0.0))
    assert EXPLAINED in str(model.requests[2].messages) if explain else len(model.requests) == 1


def writes(program: str, id: str) -> ToolCall:
    return ToolCall(id=id, name="write", arguments={"path": "solution.py", "content": program})


def test_in_a_workspace_it_works_on_the_files_again() -> None:
    model = ScriptedModel([writes(SUM, "1"), "Done.", EXPLAINED, writes(RIGHT, "2"), "Mended."])
    attempt, score = done(load("self_debug"), area(mode="workspace"), model)
    assert (attempt.answer, score) == ("Mended.", 1.0)
    assert "area(2, 3) == 6: got 5" in str(model.requests[3].messages)
