"""What figures say and what they do not: intervals, a test of paired answers, learning curves, and how many are needed.

All are pure functions over sequences of numbers. What they cannot know they do not make up: an interval of few pairs is
as wide as so few leave it, and input that means nothing is refused.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist, fmean, stdev
from typing import Literal, SupportsFloat, TypeAlias

from agentevo.errors import Misuse

Method: TypeAlias = Literal["exact", "corrected"]

FEW_DISCORDANT = 25
"""Below so many pairs that differ, McNemar's test is exact."""
_AT_ONCE = 2_000_000
_ALIKE = 1e-12
SMALLEST = 1e-9
"""No difference of means below this is looked for: float scores do not show it."""


@dataclass(frozen=True, slots=True)
class Interval:
    """An estimate from n values, and the bounds that hold it with the confidence asked for."""

    estimate: float
    low: float
    high: float
    n: int
    confidence: float

    def __str__(self) -> str:
        return f"{self.estimate:.3f} ({self.confidence:.0%} interval {self.low:.3f} to {self.high:.3f}, n={self.n})"


def paired_bootstrap(
    before: Sequence[float],
    after: Sequence[float],
    *,
    confidence: float = 0.95,
    resamples: int = 10_000,
    seed: int = 0,
    bounds: tuple[float, float] = (-1.0, 1.0),
) -> Interval:
    """Return the percentile bootstrap interval of the mean of after - before, pair by pair, and more if pairs are few.

    Resampling sees no difference that was not met. So each end is at least as far off as what n draws leave possible
    if others, up to the `bounds`, exist and were not met: about 3/n of the way there. With 90 % confidence it takes
    five gains of five pairs, or four of more, to show a gain. A greater difference lowers neither end. Where gains and
    losses of a whole point are equally likely, the 90 % interval of up to 20 pairs lies above 0 in up to 7 cases of
    100, not 5.
    """
    differences = _differences(before, after)
    _within("confidence", confidence)
    if resamples < 100:
        raise Misuse(f"resamples is {resamples!r}; expected 100 or more, or the ends of the interval are noise")
    outside = [d for d in differences if not bounds[0] - _ALIKE <= d <= bounds[1] + _ALIKE]
    if outside:
        raise Misuse(f"a difference of {outside[0]:g} lies outside {bounds}; say with bounds= how far they can go")
    mean, unseen = fmean(differences), _unseen(len(differences), confidence)
    low, high = _percentiles(differences, confidence, resamples, seed)
    low, high = min(low, mean - unseen * (mean - bounds[0])), max(high, mean + unseen * (bounds[1] - mean))
    return Interval(mean, low, high, len(differences), confidence)


def _percentiles(values: Sequence[float], confidence: float, resamples: int, seed: int) -> tuple[float, float]:
    import numpy as np

    dice, given = np.random.default_rng(seed), np.asarray(values)
    rows = max(1, _AT_ONCE // len(given))
    means = np.concatenate(
        [
            given[dice.integers(0, len(given), (min(rows, resamples - done), len(given)))].mean(axis=1)
            for done in range(0, resamples, rows)
        ]
    )
    low, high = np.percentile(means, [50 * (1 - confidence), 50 * (1 + confidence)])
    return float(low), float(high)


def _unseen(n: int, confidence: float) -> float:
    """Return the largest share that n draws can miss, unless they were unlikelier than one side of the confidence."""
    return 1.0 - float(((1 - confidence) / 2) ** (1 / n))


@dataclass(frozen=True, slots=True)
class McNemar:
    """How many pairs got better and how many worse, the chance of that or more if neither is likelier, and how so."""

    better: int
    worse: int
    p: float
    method: Method


def mcnemar(before: Sequence[float], after: Sequence[float], *, right_from: float = 0.5) -> McNemar:
    """Test whether right and wrong answers changed in one direction; a score is right from `right_from` up.

    Exact (two-sided binomial) below 25 pairs that differ, else chi-squared with continuity correction.
    """
    first, second = _pairs(before, after)
    if not math.isfinite(right_from):
        raise Misuse(f"right_from is {right_from!r}; expected the score from which an answer is right, such as 0.5")
    changes = [(a >= right_from) - (b >= right_from) for b, a in zip(first, second, strict=True)]
    better, worse = changes.count(1), changes.count(-1)
    if better + worse < FEW_DISCORDANT:
        return McNemar(better, worse, _binomial(better, worse), "exact")
    chi_squared = max(0, abs(better - worse) - 1) ** 2 / (better + worse)
    return McNemar(better, worse, math.erfc(math.sqrt(chi_squared / 2)), "corrected")


def _binomial(better: int, worse: int) -> float:
    n, fewer = better + worse, min(better, worse)
    return min(1.0, 2 * sum(math.comb(n, k) for k in range(fewer + 1)) / 2.0**n)


def learning_area(scores: Sequence[float], at: Sequence[float] | None = None) -> float:
    """Return the area under a learning curve over its length: its mean height, from trapezoids.

    `at` says after how much experience each score was measured, rising; without it the scores are evenly spaced.
    """
    heights = _numbers("scores", scores)
    places = [float(n) for n in range(len(heights))] if at is None else _numbers("at", at)
    if len(places) != len(heights):
        raise Misuse(f"{len(heights)} scores stand at {len(places)} places; expected one place a score")
    steps = [b - a for a, b in itertools.pairwise(places)]
    if any(step <= 0 for step in steps):
        raise Misuse(f"the places {list(places)!r:.80} do not rise; expected how much was seen before each score")
    if not steps:
        return heights[0]
    area = sum(step * (a + b) / 2 for step, a, b in zip(steps, heights, heights[1:], strict=False))
    return area / (places[-1] - places[0])


@dataclass(frozen=True, slots=True)
class Power:
    """How many pairs show a difference, given the spread of the differences; the sentence says it to people."""

    pairs: int
    spread: float
    sentence: str

    def __str__(self) -> str:
        return self.sentence


def power_note(
    before: Sequence[float],
    after: Sequence[float],
    difference: float,
    *,
    confidence: float = 0.95,
    power: float = 0.8,
) -> Power:
    """Return how many pairs a paired test needs to see a mean difference, if they spread as those given do.

    Where these are all alike, so that their spread is not known, the worst that they leave possible stands for it.
    """
    differences = _differences(before, after)
    _within("confidence", confidence)
    _within("power", power)
    if not SMALLEST <= abs(difference) < math.inf:
        raise Misuse(f"difference is {difference!r}; expected how large a difference is to be seen, {SMALLEST} or more")
    n = len(differences)
    known = max(differences) - min(differences) > _ALIKE
    spread = stdev(differences) if known else math.sqrt(_unseen(n, confidence))
    sure = NormalDist().inv_cdf((1 + confidence) / 2)
    # The last term makes up for a spread that is estimated (Guenther 1981).
    needed = (spread * (sure + NormalDist().inv_cdf(power)) / difference) ** 2 + sure**2 / 2
    pairs = max(2, math.ceil(needed))
    to_see = f"to see a difference of {abs(difference):g} in {power:.0%} of cases at {confidence:.0%} confidence takes"
    takes, there = f"about {pairs:,} pairs that differ as these do (spread {spread:.3g})", f"there are {n}"
    if not known:
        takes, there = f"up to {pairs:,} pairs, as the spread is not known", f"there are {n}, all alike"
    return Power(pairs, spread, f"{to_see} {takes}; {there}")


def wilson(scores: Sequence[float], *, confidence: float = 0.95) -> Interval:
    """Return the Wilson interval of the mean of scores from 0 to 1; for those in between it errs to the wide side."""
    values = _numbers("scores", scores)
    _within("confidence", confidence)
    outside = [value for value in values if not 0 <= value <= 1]
    if outside:
        raise Misuse(f"a score is {outside[0]:g}; expected numbers from 0 to 1")
    n, mean, z = len(values), fmean(values), NormalDist().inv_cdf((1 + confidence) / 2)
    middle = (mean + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(mean * (1 - mean) / n + z * z / (4 * n * n))
    return Interval(mean, max(0.0, min(mean, middle - half)), min(1.0, max(mean, middle + half)), n, confidence)


# --- what means nothing is refused


def _differences(before: Sequence[float], after: Sequence[float]) -> list[float]:
    first, second = _pairs(before, after)
    return [a - b for b, a in zip(first, second, strict=True)]


def _pairs(before: Sequence[float], after: Sequence[float]) -> tuple[list[float], list[float]]:
    first, second = _numbers("before", before), _numbers("after", after)
    if len(first) != len(second):
        raise Misuse(f"{len(first)} numbers before and {len(second)} after make no pairs; expected one of each a task")
    return first, second


def _numbers(name: str, values: Sequence[object]) -> list[float]:
    numbers = []
    for n, number in enumerate(values):
        if not isinstance(number, SupportsFloat) or not math.isfinite(number):
            raise Misuse(f"{name}[{n}] is {number!r:.80}; expected finite numbers: leave out what was not measured")
        numbers.append(float(number))
    if not numbers:
        raise Misuse(f"{name} is empty; expected at least one number")
    return numbers


def _within(name: str, value: float) -> None:
    if not 0 < value < 1:
        raise Misuse(f"{name} is {value!r}; expected a share between 0 and 1, such as 0.95")
