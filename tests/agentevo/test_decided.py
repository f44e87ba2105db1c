"""A gate's decision stands only where answers that never came, in an outage say, would not turn it."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from agentevo.decided import decided
from agentevo.phases.gate import Gains, HeldOut
from agentevo.protocols import Gate
from agentevo.types import Attempt, Decision, Experience, Feedback, Report, Task

DOWN = None
"""The score of a task on which the model failed."""


def report(scores: Sequence[float | None]) -> Report:
    mean = sum(score or 0.0 for score in scores) / len(scores)
    return Report(scores={"all": mean}, experiences=tuple(outcome(f"t{n}", score) for n, score in enumerate(scores)))


def outcome(name: str, score: float | None) -> Experience:
    task, feedback = Task(id=name, prompt=name), (Feedback(score=score or 0.0),)
    made = Attempt(id=name, task=task, answer="7", feedback=feedback)
    failed = Attempt(id=name, task=task, stopped="model: down", feedback=feedback)
    return Experience(task=task, attempts=(failed if score is DOWN else made,))


def found(before: Sequence[float | None], after: Sequence[float | None]) -> Decision:
    return decided(HeldOut(margin=0.0), report(before), report(after))


def test_where_the_model_answered_everything_the_gates_word_is_the_last() -> None:
    before, after = report([0.0] * 30), report([1.0] * 30)
    assert decided(HeldOut(), before, after) == HeldOut()(before, after)


def test_an_outage_before_does_not_pass_for_a_gain() -> None:
    """Of 40 tasks the draft spoils 4 that were right; 20 that it does well were never answered before."""
    before, after = [1.0] * 20 + [DOWN] * 20, [0.0] * 4 + [1.0] * 36
    assert HeldOut(margin=0.0)(report(before), report(after)).accepted
    decision = found(before, after)
    assert not decision.accepted
    assert decision.reason.startswith(
        "not decided: the model failed on 20 of 40 held-out tasks, and these decide: as wrong answers, 0.500 before"
    )
    assert "left out, 1.000 before, 0.800 after" in decision.reason


def test_an_outage_after_does_not_pass_for_a_harm() -> None:
    decision = found([0.0] * 20 + [1.0] * 20, [1.0] * 20 + [DOWN] * 20)
    assert not decision.accepted
    assert decision.reason.startswith("not decided: the model failed on 20 of 40")


@pytest.mark.parametrize(("after", "accepted"), [([1.0] * 40, True), ([DOWN, *[0.0] * 39], False)])
def test_failures_that_would_turn_nothing_are_only_told(after: Sequence[float | None], accepted: bool) -> None:
    before = [DOWN, *[0.5] * 39]
    decision = found(before, after)
    assert decision.accepted == accepted
    assert decision.reason.endswith("the model failed on 1 of 40 held-out tasks, and without these it is decided alike")


def no_worse(before: Report, after: Report) -> Decision:
    return Decision(accepted=after.score >= before.score, reason="the mean")


def no_worse_by_ability(before: Report, after: Report) -> Decision:
    return Decision(accepted=after.scores["all"] >= before.scores["all"], reason="the ability's mean")


@pytest.mark.parametrize("gate", [no_worse, no_worse_by_ability])
def test_an_outage_passes_for_a_gain_by_no_figure_of_a_report(gate: Gate) -> None:
    """Of 40 tasks the draft spoils 4 that were right; 20 that it does well were never answered before."""
    before, after = report([1.0] * 20 + [DOWN] * 20), report([0.0] * 4 + [1.0] * 36)
    assert gate(before, after).accepted
    assert not decided(gate, before, after).accepted


@pytest.mark.parametrize("gate", [HeldOut(), Gains(target=["dev"]), no_worse, no_worse_by_ability])
def test_where_nothing_else_is_left_nothing_is_decided(gate: Gate) -> None:
    decision = decided(gate, report([DOWN, DOWN]), report([1.0, 1.0]))
    assert not decision.accepted
    assert decision.reason.startswith("not decided: the model failed on 2 of 2 held-out tasks, and the others cannot")


def test_a_model_that_failed_after_it_had_answered_was_not_out() -> None:
    judged = outcome("t0", 1.0).attempts[0].but(stopped="model: the critic was down")
    after = Report(experiences=(Experience(task=judged.task, attempts=(judged,)),))
    assert decided(HeldOut(), report([1.0]), after) == HeldOut()(report([1.0]), after)


def test_tasks_that_only_one_report_has_decide_nothing_where_the_model_failed_on_the_others() -> None:
    decision = found([DOWN], [DOWN, 1.0])
    assert not decision.accepted
    assert "the others cannot be compared: the two reports have no task in common" in decision.reason
