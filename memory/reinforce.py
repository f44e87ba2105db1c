"""Use turned into numbers: what helped wins, what did not loses, and what is used grows stronger.

`Item.utility`, (wins + 1) / (wins + losses + 2), is the mean of a Beta posterior with a flat prior over the share of
uses that help. Every op carries a key, so an attempt that is learned from twice is counted once, as it was last told.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from agentevo.errors import Misuse
from agentevo.memory.arguments import is_number
from agentevo.memory.asking import sources
from agentevo.protocols import State
from agentevo.types import Attempt, Experience, Json, Op


@dataclass(frozen=True)
class Credit:
    """Credit the items that stood in the prompt of a judged attempt: its score to wins, the rest to losses.

    An attempt without an answer because the model failed (an outage, say) tells nothing about them, and is left out.
    """

    async def __call__(self, state: State, experiences: Sequence[Experience]) -> list[Op]:
        def scored(attempt: Attempt) -> tuple[str, dict[str, Json]] | None:
            score = attempt.score
            if score is None or (attempt.has_failed and not attempt.answer):
                return None
            return attempt.id, {"wins": score, "losses": 1 - score}

        return await _reinforced(state, experiences, scored, "used in an attempt that scored {wins:g}")


@dataclass(frozen=True)
class Reinforce:
    """Strengthen the items that stood in the prompt of an attempt, judged or not, and note when they were used."""

    strength: float = 1.0

    def __post_init__(self) -> None:
        if not (is_number(self.strength) and 0 <= self.strength < math.inf):
            raise Misuse(f"strength is {self.strength!r}; expected a number from 0 up")

    async def __call__(self, state: State, experiences: Sequence[Experience]) -> list[Op]:
        def used(attempt: Attempt) -> tuple[str, dict[str, Json]]:
            return f"use:{attempt.id}", {"strength": self.strength, "uses": 1, "at": state.now}

        return await _reinforced(state, experiences, used, "used in an attempt")


async def _reinforced(
    state: State,
    experiences: Sequence[Experience],
    told: Callable[[Attempt], tuple[str, dict[str, Json]] | None],
    reason: str,
) -> list[Op]:
    """Return one op an attempt and item; the latest word on an attempt stands, and items that are gone are left out."""
    attempts = {attempt.id: attempt for experience in experiences for attempt in experience.attempts}
    here = await sources(state, [name for attempt in attempts.values() for name in attempt.used])

    def ops() -> Iterator[Op]:
        for attempt in attempts.values():
            if (said := told(attempt)) is None:
                continue
            key, changes = said
            for name in dict.fromkeys(attempt.used):
                if name in here:
                    yield Op(verb="reinforce", id=name, changes=changes, key=key, reason=reason.format(**changes))

    return list(ops())
