"""The gate keeps what is not worse, says the figures, and what so few tasks can show."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from sums import outcome

from agentevo.errors import Misuse
from agentevo.phases.gate import Gains, HeldOut
from agentevo.types import Attempt, Decision, Experience, Feedback, Json, Report, Task


def report(scores: Sequence[float], first: int = 0) -> Report:
    return Report(experiences=tuple(outcome(f"{n}+0", score) for n, score in enumerate(scores, first)))


def decided(before: Sequence[float], after: Sequence[float], gate: HeldOut | None = None) -> Decision:
    return (gate or HeldOut())(report(before), report(after))


def test_a_clear_gain_is_accepted_and_a_clear_loss_is_not() -> None:
    low, high = [0.0, 1.0] * 40, [1.0, 1.0] * 40
    assert decided(low, high).accepted
    assert not decided(high, low).accepted


def test_the_reason_says_the_figures() -> None:
    found = decided([0.0, 1.0] * 40, [1.0, 1.0] * 40)
    assert found.reason == (
        "0.500 before, 1.000 after: +0.500 (90% interval +0.412 to +0.588, n=80); "
        "accepted: the lower end is above -0.020; to see a difference of 0.02 in 80% of cases at 90% confidence takes "
        "about 3,915 pairs that differ as these do (spread 0.503); there are 80"
    )


def test_a_loss_within_the_margin_needs_enough_tasks_to_be_accepted() -> None:
    gate = HeldOut(margin=0.1)
    few, many = [1.0] * 20, [1.0] * 400
    small, large = decided(few, [0.0, *few[1:]], gate), decided(many, [0.0] * 20 + many[20:], gate)
    assert (small.accepted, large.accepted) == (False, True)
    assert "rejected: the lower end is not above -0.100; to see a difference of 0.1 in 80%" in small.reason
    assert "there are 20" in small.reason
    assert "there are 400" in large.reason


@pytest.mark.parametrize(("before", "after"), [([1, 0], [1, 0]), ([0], [1]), ([0, 0, 0, 1], [0, 0, 1, 1])])
@pytest.mark.parametrize("margin", [0, 0.02])
def test_where_no_task_scored_lower_it_is_accepted_however_few_they_are(
    before: list[float], after: list[float], margin: float
) -> None:
    assert decided(before, after, HeldOut(margin)).accepted


def test_the_reason_says_what_so_few_cannot_rule_out() -> None:
    found = decided([1.0, 0.0], [1.0, 0.0])
    assert found.reason.endswith("accepted: no task scored lower, though 2 cannot rule out -0.776")


@pytest.mark.parametrize("margin", [0.02, -0.02])
@pytest.mark.parametrize(("tasks", "changes"), [(20, 10), (80, 40), (80, -40)])
def test_the_reason_says_how_many_tasks_would_show_the_margin(margin: float, tasks: int, changes: int) -> None:
    old, new = [0.0] * tasks, [1.0] * abs(changes) + [0.0] * (tasks - abs(changes))
    found = decided(old, new, HeldOut(margin)) if changes > 0 else decided(new, old, HeldOut(margin))
    assert "to see a difference of 0.02 in 80% of cases at 90% confidence takes about" in found.reason
    assert found.reason.endswith(f"there are {tasks}")


def test_where_nothing_differs_or_no_margin_is_set_there_is_nothing_to_see() -> None:
    assert "to see a difference" not in decided([0.0, 1.0] * 10, [0.0, 1.0] * 10).reason
    assert "to see a difference" not in decided([0.0, 1.0] * 10, [1.0] * 20, HeldOut(margin=0)).reason


@pytest.mark.parametrize(("worse", "better"), [(0, 0), (1, 3), (2, 5), (3, 7), (4, 9)])
def test_with_60_tasks_so_many_gains_make_up_for_so_many_losses(worse: int, better: int) -> None:
    def gate(gains: int) -> bool:
        old = [1.0] * worse + [0.0] * (60 - worse)
        return decided(old, [0.0] * worse + [1.0] * gains + [0.0] * (60 - worse - gains)).accepted

    assert gate(better)
    assert worse == 0 or not gate(better - 1)


def test_losses_that_gains_make_up_for_on_average_are_no_proof() -> None:
    assert not decided([1, 0, 1, 0], [0, 1, 1, 0]).accepted


def test_scores_are_paired_by_task_whatever_their_order() -> None:
    before = Report(experiences=tuple(outcome(f"{n}+0", n / 100) for n in range(60)))
    after = Report(experiences=tuple(reversed(before.experiences)))
    assert "n=60" in HeldOut()(before, after).reason
    assert "+0.000 (90%" in HeldOut()(before, after).reason


def test_a_task_answered_several_times_counts_once() -> None:
    before = Report(experiences=(outcome("1+0", 1.0), outcome("1+0", 0.0), outcome("2+0", 0.5)))
    found = HeldOut()(before, report([0.5, 0.5], first=1))
    assert found.reason.startswith("0.500 before, 0.500 after: +0.000")
    assert found.accepted


def test_tasks_that_only_one_report_has_are_left_out_and_counted() -> None:
    found = HeldOut()(report([0.0] * 10), report([0.0] * 10, first=5))
    assert "n=5" in found.reason
    assert "10 tasks that only one report has were left out" in found.reason


def test_reports_without_a_common_task_are_refused() -> None:
    with pytest.raises(Misuse, match=r"no task in common: 2 before \(0\+0, 1\+0\), 5 after \(5\+0, 6\+0, 7\+0, ...\)"):
        HeldOut()(report([1, 1]), report([1] * 5, first=5))
    with pytest.raises(Misuse, match=r"0 before \(none\)"):
        HeldOut()(Report(), report([1]))


def test_a_wider_margin_and_less_confidence_accept_more() -> None:
    before, after = [1.0] * 60, [0.0] + [1.0] * 59
    assert not decided(before, after).accepted
    assert decided(before, after, HeldOut(margin=0.07)).accepted
    mixed, better = [0.0, 1.0] * 10, [1.0, 1.0] * 6 + [0.0] * 8
    accepted = [decided(mixed, better, HeldOut(margin=0, confidence=c)).accepted for c in (0.3, 0.99)]
    assert accepted == [True, False]


def test_options_that_cannot_be_are_refused() -> None:
    with pytest.raises(Misuse, match=r"margin is -1"):
        HeldOut(margin=-1)
    with pytest.raises(Misuse, match=r"margin is 1\.5"):
        HeldOut(margin=1.5)
    with pytest.raises(Misuse, match="confidence is 90"):
        HeldOut(confidence=90)
    with pytest.raises(Misuse, match="splits is 'dev'"):
        HeldOut(splits="dev")
    assert HeldOut(splits=["dev", "test"]).splits == ("dev", "test")


def test_a_negative_margin_is_a_gain_that_must_be_shown() -> None:
    low, high = [0.0, 1.0] * 40, [1.0, 1.0] * 40
    gate = HeldOut(margin=-0.05)
    assert decided(low, high, gate).accepted
    assert not decided(low, low, gate).accepted
    assert decided(low, low).accepted


def suites(target: Sequence[float], **others: Sequence[float]) -> Report:
    """Return a report on target tasks, and on tasks of splits beside, with these scores."""
    scored = [("", n, s) for n, s in enumerate(target)]
    scored += [(name, n, s) for name, scores in others.items() for n, s in enumerate(scores)]
    made = []
    for name, n, value in scored:
        data: dict[str, Json] = {"suite": name} if name else {}
        task = Task(id=f"{name}{n}", prompt="?", data=data)
        attempt = Attempt(id=f"{name}{n}", task=task, feedback=(Feedback(score=value),))
        made.append(Experience(task=task, attempts=(attempt,)))
    return Report(experiences=tuple(made))


KEEPS = Gains(target=("dev",), retention=("old",), margin=0.1)
OLD = [1.0] * 20


def test_what_gains_and_keeps_the_rest_is_accepted() -> None:
    decision = KEEPS(suites([0.0] * 20, old=OLD), suites([1.0] * 20, old=OLD))
    assert decision.accepted
    assert decision.reason.startswith("accepted; target passes: 0.000 before, 1.000 after")
    assert "old passes: 1.000 before, 1.000 after" in decision.reason


def test_what_gains_nothing_is_rejected() -> None:
    assert not KEEPS(suites([0.5] * 20, old=OLD), suites([0.5] * 20, old=OLD)).accepted


def test_what_gains_and_forgets_is_rejected() -> None:
    decision = KEEPS(suites([0.0] * 20, old=OLD), suites([1.0] * 20, old=[0.0] * 10 + [1.0] * 10))
    assert (decision.accepted, "old fails" in decision.reason) == (False, True)


def test_a_loss_within_the_margin_is_no_harm() -> None:
    lost = [0.0] + [1.0] * 199
    assert KEEPS(suites([0.0] * 20, old=[1.0] * 200), suites([1.0] * 20, old=lost)).accepted


def test_a_gain_can_be_asked_for_and_splits_are_what_it_looks_at() -> None:
    some = [1.0] * 6 + [0.0] * 14
    assert Gains()(suites([0.0] * 20), suites(some)).accepted
    assert not Gains(0.3)(suites([0.0] * 20), suites(some)).accepted
    assert (KEEPS.splits, Gains().splits) == (("dev", "old"), ())


@pytest.mark.parametrize(
    "options",
    [
        {"gain": 1.0},
        {"margin": -0.1},
        {"target": "dev"},
        {"retention": ("old",)},
        {"confidence": 1.0},
        {"target": ["dev"], "retention": ["dev"]},
    ],
)
def test_a_gate_for_gains_that_makes_no_sense_is_refused(options: dict[str, object]) -> None:
    with pytest.raises(Misuse):
        Gains(**options)  # type: ignore[arg-type]


@pytest.mark.parametrize("after", [[1, 1, 0], [1, 1, 1], [0.5, 0.6], [1, 1, 0, 0], [1, 1, 1, 1]])
def test_fewer_than_five_tasks_show_no_gain(after: list[float]) -> None:
    assert not Gains()(report([0.0] * len(after)), report(after)).accepted


@pytest.mark.parametrize("n", [5, 6, 10, 24])
def test_more_gains_never_turn_a_turn_down(n: int) -> None:
    accepted = [Gains()(report([0.0] * n), report([1.0] * k + [0.0] * (n - k))).accepted for k in range(n + 1)]
    assert accepted == sorted(accepted)
    assert accepted[-1]
