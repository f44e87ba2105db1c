"""Filters: which attempts are learned from. They are pure and ask no model."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import KW_ONLY, dataclass

from agentevo.errors import Misuse
from agentevo.protocols import State
from agentevo.types import Attempt, Experience


@dataclass(frozen=True)
class Threshold:
    """Keep the attempts that score at least so much; what nobody scored goes, and experiences left empty go with it.

    A function is asked with the number of the round, so that the bar can rise.
    """

    score: float | Callable[[int], float]

    def __post_init__(self) -> None:
        if not callable(self.score):
            _must_be_score(self.score)

    async def __call__(self, state: State, experiences: Sequence[Experience]) -> list[Experience]:
        least = _must_be_score(self.score(state.round)) if callable(self.score) else self.score
        kept = (_only(x, [a for a in x.attempts if a.score is not None and a.score >= least]) for x in experiences)
        return [experience for experience in kept if experience.attempts]


def score(attempt: Attempt) -> float:
    """Return an attempt's score; one that nobody scored counts as 0."""
    return attempt.score or 0.0


@dataclass(frozen=True)
class TopK:
    """Keep the k best attempts of each experience, best first, of equals those made first."""

    k: int = 1
    _: KW_ONLY
    by: Callable[[Attempt], float] = score

    def __post_init__(self) -> None:
        if self.k < 1:
            raise Misuse(f"k is {self.k!r}; expected how many attempts of each experience stay, 1 or more")
        if not callable(self.by):
            raise Misuse(f"by is {self.by!r}; expected a function of an attempt that is larger for better ones")

    async def __call__(self, state: State, experiences: Sequence[Experience]) -> list[Experience]:
        return [_only(x, sorted(x.attempts, key=self.by, reverse=True)[: self.k]) for x in experiences]


def _must_be_score(value: float) -> float:
    if not 0 <= value <= 1:
        raise Misuse(f"the threshold is {value!r}; expected a score from 0 to 1, or a function of the round")
    return value


def _only(experience: Experience, attempts: Sequence[Attempt]) -> Experience:
    """Return an experience with some of its attempts, and the pairs among these."""
    names = {attempt.id for attempt in attempts}
    pairs = tuple(pair for pair in experience.pairs if names.issuperset(pair))
    return experience.but(attempts=tuple(attempts), pairs=pairs)
