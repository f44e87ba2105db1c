"""Preferences among the attempts at one task: which is better, by score or by how it was made. They ask no model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from agentevo.errors import Misuse
from agentevo.phases.practice import BAD, GOOD
from agentevo.phases.refine import score
from agentevo.protocols import State
from agentevo.types import Attempt, Experience


@dataclass(frozen=True)
class Pairs:
    """Prefer what scored higher, by more than `margin`: the best over the worst, or, with every, all over all.

    Ties give no pair, nor do equal answers, and what nobody scored is in none. Experiences without a pair go, unless
    keep says that they are of use without one.
    """

    margin: float = 0.0
    every: bool = False
    keep: bool = False

    def __post_init__(self) -> None:
        if not 0 <= self.margin < 1:
            raise Misuse(f"margin is {self.margin!r}; expected by how much the better one must lead, from 0 to below 1")

    async def __call__(self, state: State, experiences: Sequence[Experience]) -> list[Experience]:
        paired = [x.but(pairs=tuple(self._pairs(x.attempts))) for x in experiences]
        return [experience for experience in paired if experience.pairs or self.keep]

    def _pairs(self, attempts: Sequence[Attempt]) -> list[tuple[str, str]]:
        scored = sorted((a for a in attempts if a.score is not None), key=score, reverse=True)
        ahead = [(b, w) for n, b in enumerate(scored) for w in scored[n + 1 :] if score(b) - score(w) > self.margin]
        wanted = ahead if self.every else [pair for pair in ahead if pair == (scored[0], scored[-1])]
        return [(better.id, worse.id) for better, worse in wanted if _differ(better, worse)]


async def by_construction(state: State, experiences: Sequence[Experience]) -> list[Experience]:
    """Prefer what `Paired` made as good over what it made as bad, whatever a judge says; equal answers are no pair."""
    paired = [x.but(pairs=tuple(_made(x.attempts))) for x in experiences]
    return [experience for experience in paired if experience.pairs]


def _made(attempts: Sequence[Attempt]) -> list[tuple[str, str]]:
    sides = {side: [a for a in attempts if any(f.verdict == side for f in a.feedback)] for side in (GOOD, BAD)}
    return [(good.id, bad.id) for good in sides[GOOD] for bad in sides[BAD] if _differ(good, bad)]


@dataclass(frozen=True)
class Cut:
    """Cut the worse attempt of each pair to so many steps more than the better one took.

    A failure may wander for long; what goes wrong in it goes wrong early.
    """

    extra: int = 5

    def __post_init__(self) -> None:
        if self.extra < 0:
            raise Misuse(f"extra is {self.extra!r}; expected how many steps more than the better one, 0 or more")

    async def __call__(self, state: State, experiences: Sequence[Experience]) -> list[Experience]:
        return [self._cut(experience) for experience in experiences]

    def _cut(self, experience: Experience) -> Experience:
        steps = {attempt.id: len(attempt.steps) for attempt in experience.attempts}
        most = {worse: steps[better] + self.extra for better, worse in experience.pairs}
        return experience.but(attempts=tuple(_shortened(a, most.get(a.id)) for a in experience.attempts))


def _shortened(attempt: Attempt, steps: int | None) -> Attempt:
    """Return an attempt with so many steps at most, the last one with what came of it."""
    said = [n for n, m in enumerate(attempt.messages) if n >= attempt.prompt and m.get("role") == "assistant"]
    if steps is None or len(said) <= steps:
        return attempt
    return attempt.but(messages=attempt.messages[: said[steps]])


def _differ(one: Attempt, other: Attempt) -> bool:
    return (one.answer, _did(one)) != (other.answer, _did(other))


def _did(attempt: Attempt) -> list[object]:
    return [attempt.messages[n] for n in range(attempt.prompt, len(attempt.messages))]
