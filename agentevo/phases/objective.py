"""What to get better at next."""

from __future__ import annotations

from dataclasses import dataclass

from agentevo.errors import Misuse
from agentevo.protocols import State
from agentevo.types import Objective


@dataclass(frozen=True)
class Fixed:
    """Want the same at every turn, whatever the state wanted before."""

    objective: Objective

    def __post_init__(self) -> None:
        if not isinstance(self.objective, Objective):
            raise Misuse(
                f"objective is {self.objective!r:.80}; expected an Objective, such as Objective(ability='math')"
            )

    def __call__(self, state: State) -> Objective:
        return self.objective
