"""The statistics agree with scipy where scipy has them, keep their laws, and say so where they cannot know."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import integrate, stats  # type: ignore[import-untyped]

from agentevo.errors import Misuse
from agentevo.statistics import McNemar, learning_area, mcnemar, paired_bootstrap, power_note, wilson

SCORE = st.floats(0, 1)
PAIRS = st.lists(st.tuples(SCORE, SCORE), min_size=1, max_size=30)
UNSCORED: Any = [None]


def drawn(n: int, lift: float, seed: int) -> tuple[list[float], list[float]]:
    """Return right and wrong before and after, where some of the wrong become right."""
    dice = random.Random(seed)
    before = [float(dice.random() < 0.5) for _ in range(n)]
    return before, [1.0 if dice.random() < lift else b for b in before]


# --- the paired bootstrap


@pytest.mark.parametrize(("n", "lift", "confidence"), [(20, 0.3, 0.95), (60, 0.2, 0.9), (300, 0.4, 0.99)])
def test_the_bootstrap_gives_the_interval_that_scipy_gives(n: int, lift: float, confidence: float) -> None:
    before, after = drawn(n, lift, seed=n)
    ours = paired_bootstrap(before, after, confidence=confidence, seed=7)
    theirs = stats.bootstrap(
        (after, before), lambda a, b, axis: np.mean(a - b, axis=axis), paired=True, n_resamples=10_000,
        confidence_level=confidence, method="percentile", rng=np.random.default_rng(8),
    ).confidence_interval  # fmt: skip
    spread = stats.sem(np.subtract(after, before))
    assert ours.estimate == pytest.approx(np.mean(after) - np.mean(before))
    assert (ours.low, ours.high) == pytest.approx((theirs.low, theirs.high), abs=0.25 * spread)
    assert (ours.n, ours.confidence) == (n, confidence)


def test_the_same_seed_gives_the_same_interval_and_another_seed_nearly_the_same() -> None:
    before, after = drawn(200, 0.2, 1)
    first, again, other = (paired_bootstrap(before, [a * 0.9 for a in after], seed=s) for s in (1, 1, 2))
    assert first == again != other
    assert (first.low, first.high) == pytest.approx((other.low, other.high), abs=0.01)


def test_many_pairs_are_resampled_in_parts() -> None:
    before, after = drawn(30_000, 0.2, 1)
    found = paired_bootstrap(before, after, resamples=200)
    half = 1.96 * float(stats.sem(np.subtract(after, before)))
    assert found.high - found.low == pytest.approx(2 * half, rel=0.25)


@settings(max_examples=40)
@given(PAIRS)
def test_the_bootstrap_keeps_its_laws(pairs: list[tuple[float, float]]) -> None:
    before, after = [b for b, _ in pairs], [a for _, a in pairs]
    found = paired_bootstrap(before, after, resamples=500)
    back = paired_bootstrap(after, before, resamples=500)
    wider = paired_bootstrap(before, after, resamples=500, confidence=0.99)
    assert -1 <= found.low <= found.estimate + 1e-9
    assert found.estimate - 1e-9 <= found.high <= 1
    assert (back.low, back.high) == pytest.approx((-found.high, -found.low), abs=1e-9)
    assert wider.low <= found.low + 1e-12
    assert wider.high >= found.high - 1e-12


@pytest.mark.parametrize(("n", "low"), [(1, -0.975), (20, -0.1684), (100, -0.0362), (1000, -0.00368)])
def test_pairs_that_are_all_alike_leave_what_so_few_cannot_rule_out(n: int, low: float) -> None:
    found = paired_bootstrap([0.5] * n, [0.5] * n)
    assert (found.estimate, found.low, found.high) == pytest.approx((0, low, -low), abs=1e-3)
    exact = stats.binomtest(0, n).proportion_ci(0.95, "exact").high
    assert found.high == pytest.approx(exact)


def test_one_pair_shows_next_to_nothing() -> None:
    found = paired_bootstrap([0], [1])
    assert (found.estimate, found.low, found.high) == pytest.approx((1, -0.95, 1))


def test_nearly_equal_differences_count_as_equal() -> None:
    before, after = [0.1, 0.2, 0.7], [0.1 + 0.2, 0.4, 0.9]
    assert paired_bootstrap(before, after).low < -0.5


@settings(max_examples=200)
@given(st.lists(st.tuples(SCORE, SCORE), min_size=1, max_size=12), st.data())
def test_a_better_score_never_lowers_an_end_of_the_interval(
    pairs: list[tuple[float, float]], data: st.DataObject
) -> None:
    before, after = [b for b, _ in pairs], [data.draw(st.sampled_from([b, a, 0.0, 1.0])) for b, a in pairs]
    place = data.draw(st.integers(0, len(pairs) - 1))
    better = [*after[:place], data.draw(st.floats(after[place], 1)), *after[place + 1 :]]
    old, new = (paired_bootstrap(before, scores, confidence=0.9, resamples=200) for scores in (after, better))
    assert new.low >= old.low - 1e-9
    assert new.high >= old.high - 1e-9


@given(st.lists(st.tuples(SCORE, SCORE), min_size=1, max_size=4))
def test_four_pairs_show_no_gain_whatever_they_are(pairs: list[tuple[float, float]]) -> None:
    found = paired_bootstrap([b for b, _ in pairs], [a for _, a in pairs], confidence=0.9, resamples=200)
    assert found.low < 0


@pytest.mark.parametrize(("n", "gains"), [(5, 5), (6, 4), (20, 4), (60, 4), (164, 4)])
def test_so_many_gains_without_a_loss_are_one(n: int, gains: int) -> None:
    def low(better: int) -> float:
        return paired_bootstrap([0.0] * n, [1.0] * better + [0.0] * (n - better), confidence=0.9).low

    assert low(gains) > 0 >= low(gains - 1)


def test_of_many_pairs_with_several_that_differ_the_bootstrap_alone_decides() -> None:
    found = paired_bootstrap([0.0] * 40, [1.0] * 11 + [0.0] * 29)
    assert (found.estimate, found.low, found.high) == pytest.approx((0.275, 0.150, 0.425))


# --- McNemar


def split(better: int, worse: int, same: int = 5) -> tuple[list[float], list[float]]:
    return [0.0] * better + [1.0] * (worse + same), [1.0] * better + [0.0] * worse + [1.0] * same


@pytest.mark.parametrize(("better", "worse"), [(0, 0), (1, 0), (5, 5), (3, 9), (12, 12), (24, 0)])
def test_few_changed_pairs_are_tested_exactly(better: int, worse: int) -> None:
    p = stats.binomtest(better, better + worse).pvalue if better + worse else 1.0
    found = mcnemar(*split(better, worse))
    assert (found.better, found.worse, found.method) == (better, worse, "exact")
    assert found.p == pytest.approx(p)


@pytest.mark.parametrize(("better", "worse"), [(25, 0), (13, 12), (30, 30), (60, 40), (400, 300)])
def test_many_changed_pairs_are_tested_with_continuity_correction(better: int, worse: int) -> None:
    corrected = max(0, abs(better - worse) - 1) ** 2 / (better + worse)
    p = float(stats.chi2.sf(corrected, 1))
    found = mcnemar(*split(better, worse))
    assert (found.better, found.worse, found.method) == (better, worse, "corrected")
    assert found.p == pytest.approx(p)


@given(st.integers(0, 60), st.integers(0, 60))
def test_mcnemar_does_not_care_which_side_is_called_before(better: int, worse: int) -> None:
    before, after = split(better, worse)
    one, other = mcnemar(before, after), mcnemar(after, before)
    assert (one.p, one.better, one.worse) == (other.p, other.worse, other.better)
    assert 0 <= one.p <= 1


def test_a_score_is_right_from_where_the_caller_says() -> None:
    assert mcnemar([0.5, 0.4], [0.9, 0.9]) == McNemar(1, 0, 1.0, "exact")
    assert mcnemar([0.5, 0.4], [0.9, 0.9], right_from=0.9) == McNemar(2, 0, 0.5, "exact")


# --- the learning curve


@given(st.lists(SCORE, min_size=2, max_size=20), st.data())
def test_the_area_is_that_of_scipy_over_the_length(scores: list[float], data: st.DataObject) -> None:
    steps = data.draw(st.lists(st.floats(0.1, 100), min_size=len(scores), max_size=len(scores)))
    at = list(np.cumsum(steps))
    assert learning_area(scores, at) == pytest.approx(integrate.trapezoid(scores, at) / (at[-1] - at[0]))
    assert learning_area(scores) == pytest.approx(integrate.trapezoid(scores) / (len(scores) - 1))
    assert min(scores) - 1e-9 <= learning_area(scores, at) <= max(scores) + 1e-9


def test_learning_earlier_gives_more_area() -> None:
    assert learning_area([0, 1, 1]) > learning_area([0, 0.5, 1]) > learning_area([0, 0, 1])
    assert learning_area([0.25]) == 0.25


def test_a_curve_that_does_not_rise_along_its_axis_is_refused() -> None:
    with pytest.raises(Misuse, match=r"do not rise"):
        learning_area([0, 1], [3, 3])
    with pytest.raises(Misuse, match="2 scores stand at 1 places"):
        learning_area([0, 1], [3])


# --- power


@pytest.mark.parametrize("difference", [0.35, 0.1])
def test_as_many_pairs_as_the_note_says_see_the_difference_as_often_as_it_says(difference: float) -> None:
    dice = np.random.default_rng(3)
    differences = dice.normal(0.0, 0.3, 50)
    note = power_note([0.0] * 50, list(differences), difference)
    seen = stats.power(
        stats.ttest_1samp, lambda size: dice.normal(difference, note.spread, size), note.pairs,
        significance=0.05, n_resamples=4_000, kwargs={"popmean": 0.0},
    ).power  # fmt: skip
    assert seen == pytest.approx(0.8, abs=0.03)


def test_a_smaller_difference_takes_more_pairs_and_the_sentence_says_how_many() -> None:
    before, after = drawn(60, 0.2, 5)
    small, large = power_note(before, after, 0.02), power_note(before, after, 0.2)
    assert small.pairs > 50 * large.pairs / 2
    assert str(large) == large.sentence
    assert f"about {small.pairs:,} pairs" in small.sentence
    assert "0.02" in small.sentence
    assert "there are 60" in small.sentence


def test_a_drop_takes_as_many_pairs_as_a_gain() -> None:
    before, after = drawn(30, 0.2, 5)
    assert power_note(before, after, -0.1) == power_note(before, after, 0.1)


def test_pairs_that_are_all_alike_do_not_promise_that_few_are_enough() -> None:
    few, many = power_note([1.0] * 5, [1.0] * 5, 0.1), power_note([1.0] * 500, [1.0] * 500, 0.1)
    assert few.pairs > 300
    assert many.pairs < few.pairs / 10
    assert few.sentence.endswith(f"takes up to {few.pairs:,} pairs, as the spread is not known; there are 5, all alike")


# --- Wilson


@pytest.mark.parametrize(("right", "n", "confidence"), [(0, 1, 0.95), (1, 1, 0.9), (0, 20, 0.95), (7, 30, 0.99)])
def test_wilson_agrees_with_scipy(right: int, n: int, confidence: float) -> None:
    found = wilson([1.0] * right + [0.0] * (n - right), confidence=confidence)
    expected = stats.binomtest(right, n).proportion_ci(confidence, "wilson")
    assert (found.estimate, found.n, found.confidence) == (right / n, n, confidence)
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high), abs=1e-12)


@given(st.lists(SCORE, min_size=1, max_size=50))
def test_wilson_holds_its_mean_and_stays_within_scores(scores: list[float]) -> None:
    found = wilson(scores)
    assert 0 <= found.low <= found.estimate + 1e-12
    assert found.estimate - 1e-12 <= found.high <= 1


def test_an_interval_reads_as_people_write_it() -> None:
    assert str(wilson([1, 0, 1, 1])) == "0.750 (95% interval 0.301 to 0.954, n=4)"


# --- what means nothing


@pytest.mark.parametrize("paired", [paired_bootstrap, mcnemar, lambda b, a: power_note(b, a, 0.1)])
def test_what_makes_no_pairs_is_refused(paired: Callable[[list[float], list[float]], object]) -> None:
    with pytest.raises(Misuse, match="before is empty"):
        paired([], [])
    with pytest.raises(Misuse, match="2 numbers before and 1 after"):
        paired([0, 1], [0])
    with pytest.raises(Misuse, match=r"after\[1\] is nan"):
        paired([0, 1], [0, math.nan])
    with pytest.raises(Misuse, match=r"before\[0\] is None; expected .*leave out what was not measured"):
        paired(UNSCORED, [0])
    with pytest.raises(Misuse, match=r"before\[0\] is inf"):
        paired([math.inf, 1], [0, 1])


@pytest.mark.parametrize("single", [wilson, learning_area])
def test_no_scores_and_no_numbers_are_refused(single: Callable[[list[float]], object]) -> None:
    with pytest.raises(Misuse, match="scores is empty"):
        single([])
    with pytest.raises(Misuse, match=r"scores\[0\] is nan"):
        single([math.nan])


def test_options_that_cannot_be_are_refused() -> None:
    with pytest.raises(Misuse, match="confidence is 95"):
        wilson([1], confidence=95)
    with pytest.raises(Misuse, match="confidence is 1"):
        paired_bootstrap([1], [1], confidence=1)
    with pytest.raises(Misuse, match="resamples is 10"):
        paired_bootstrap([1], [1], resamples=10)
    with pytest.raises(Misuse, match="a difference of 8 lies outside"):
        paired_bootstrap([1], [9])
    with pytest.raises(Misuse, match=r"a score is 1.5"):
        wilson([1.5])
    with pytest.raises(Misuse, match="difference is 0"):
        power_note([1], [1], 0)
    with pytest.raises(Misuse, match="difference is 1e-200"):
        power_note([1], [1], 1e-200)
    with pytest.raises(Misuse, match="right_from is nan"):
        mcnemar([1], [1], right_from=float("nan"))
    with pytest.raises(Misuse, match="power is 0"):
        power_note([1], [1], 0.1, power=0)


def test_other_units_take_other_bounds() -> None:
    found = paired_bootstrap([10, 10], [5, 5], bounds=(-100, 100))
    assert found.estimate == -5
    assert found.low < -80
