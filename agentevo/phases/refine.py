"""Filters: which attempts are learned from. They are pure and ask no model."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import KW_ONLY, dataclass

from agentevo.errors import Misuse
from agentevo.phases.judge import MAJORITY, MINORITY
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


@dataclass(frozen=True)
class Confident:
    """Keep experiences whose majority is sure: at least this share of the votes, and no other answer has as many.

    It reads what `Vote` said; what was not voted on goes. No label is read.
    """

    share: float = 0.8

    def __post_init__(self) -> None:
        _must_be_score(self.share)

    async def __call__(self, state: State, experiences: Sequence[Experience]) -> list[Experience]:
        return [experience for experience in experiences if self._is_sure(experience)]

    def _is_sure(self, experience: Experience) -> bool:
        voted = [(f.verdict, f.score) for a in experience.attempts for f in a.feedback if f.score is not None]
        most = max((score for verdict, score in voted if verdict == MAJORITY), default=-1.0)
        return most >= self.share and all(score < most for verdict, score in voted if verdict == MINORITY)


async def majority(state: State, experiences: Sequence[Experience]) -> list[Experience]:
    """Keep the attempts that `Vote` found to agree with the majority, all of them."""
    agreeing = (
        _only(x, [a for a in x.attempts if any(f.verdict == MAJORITY for f in a.feedback)]) for x in experiences
    )
    return [experience for experience in agreeing if experience.attempts]


@dataclass(frozen=True)
class Distinct:
    """Keep the first of the attempts at a task that are alike: that give `by` the same, their equations if not told.

    An attempt without equations is known by its whole answer.
    """

    by: Callable[[str], object] | None = None

    def __post_init__(self) -> None:
        if self.by is not None and not callable(self.by):
            raise Misuse(f"by is {self.by!r}; expected a function of an answer that is the same for answers alike")

    async def __call__(self, state: State, experiences: Sequence[Experience]) -> list[Experience]:
        return [_only(x, self._firsts(x.attempts)) for x in experiences]

    def _firsts(self, attempts: Sequence[Attempt]) -> list[Attempt]:
        by = self.by or equations
        found: dict[object, Attempt] = {}
        for attempt in attempts:
            found.setdefault(by(attempt.answer), attempt)
        return list(found.values())


def equations(answer: str) -> tuple[str, ...]:
    """Return the equations in a text, in order and without spaces; a text that has none is itself."""
    found = tuple("".join(equation.split()) for equation in _EQUATION.findall(answer))
    return found or (" ".join(answer.split()),)


_EQUATION = re.compile(r"[\d(][\d.,()+*/%^ \t-]*=[ \t]*-?\d[\d.,]*(?<![.,])")


def _must_be_score(value: float) -> float:
    if not 0 <= value <= 1:
        raise Misuse(f"the threshold is {value!r}; expected a score from 0 to 1, or a function of the round")
    return value


def _only(experience: Experience, attempts: Sequence[Attempt]) -> Experience:
    """Return an experience with some of its attempts, and the pairs among these."""
    names = {attempt.id for attempt in attempts}
    pairs = tuple(pair for pair in experience.pairs if names.issuperset(pair))
    return experience.but(attempts=tuple(attempts), pairs=pairs)
