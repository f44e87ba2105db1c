"""Harmful: forget what stands in the prompts of failures clearly more often than the rest of memory does."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from agentevo.errors import Misuse
from agentevo.memory.change import forgetting
from agentevo.memory.forget import Kinds, kinds_of
from agentevo.memory.vitals import Vitals, vitals
from agentevo.protocols import State
from agentevo.types import Experience, Op


@dataclass(frozen=True)
class Harmful:
    """Forget items with which attempts succeed less often than with the others, where chance hardly explains it.

    An item is looked at once it was used `at_least` times. Its wins are compared, by the binomial tail, with the share
    of wins that all other items have together: while nothing works yet, nothing is blamed. Pinned items stay.
    Not covered: an item that is only used where tasks are hard looks harmful, and nothing here can tell.
    """

    at_least: int = 5
    chance: float = 0.05
    kind: Kinds = None

    def __post_init__(self) -> None:
        if self.at_least < 1:
            raise Misuse(f"at_least is {self.at_least!r}; expected how many judged uses it takes, 1 or more")
        if not 0 < self.chance < 1:
            raise Misuse(f"chance is {self.chance!r}; expected how unlikely bad luck must be, between 0 and 1")
        kinds_of(self.kind)

    async def __call__(self, state: State, experiences: Sequence[Experience]) -> list[Op]:
        items = await vitals(state.memory, kinds=kinds_of(self.kind))
        wins, uses = sum(item.wins for item in items), sum(item.wins + item.losses for item in items)
        ops = []
        for item in items:
            own = item.wins + item.losses
            if item.pinned or own < self.at_least or uses <= own:
                continue
            rate = (wins - item.wins) / (uses - own)
            if _tail(item, rate) < self.chance:
                said = f"{item.wins:g} of {own:g} uses helped, where the others help in {rate:.0%}"
                ops.append(forgetting(item.id, f"harmful: {said}"))
        return ops


def _tail(item: Vitals, rate: float) -> float:
    """Return the chance of so few wins, or fewer, if the item helped as often as the others do."""
    n, most = round(item.wins + item.losses), math.floor(item.wins)
    return sum(math.comb(n, k) * rate**k * (1 - rate) ** (n - k) for k in range(most + 1))
