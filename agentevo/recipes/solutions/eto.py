"""ETO: what an expert does is preferred to one's own failures in the same task. (Song et al., 2024, 2403.02502)"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from agentevo.phases.gate import Gains
from agentevo.phases.judge import Verify
from agentevo.phases.loop import Loop
from agentevo.phases.pairs import Cut, Pairs
from agentevo.phases.practice import Gold, Paired
from agentevo.protocols import Gate, Recipe
from agentevo.types import Json
from agentevo.weights.config import fitting
from agentevo.weights.policies import Train


def eto(
    *,
    steps: int = 20,
    extra: int = 5,
    beta: float = 0.1,
    temperature: float | None = 0.7,
    max_tokens: int | None = None,
    stop: Sequence[str] = (),
    train: Mapping[str, Json] | None = None,
    gate: Gate | None = None,
) -> Recipe:
    """Explore beside an expert; of both, prefer what scored higher, the worse cut to the better's steps and some more.

    Where the agent does better than the expert it is preferred; ties teach nothing. Each turn first imitates what
    succeeded, then goes on by preferences. The expert is the environment's own `gold`.
    """
    settings = train or {}
    explore = Loop(steps, temperature=temperature, max_tokens=max_tokens, stop=stop)
    return Recipe(
        act=Loop(steps, temperature=0.0, max_tokens=max_tokens, stop=stop),
        practice=Paired(Gold(), explore),
        judge=[Verify()],
        refine=[Pairs(), Cut(extra)],
        update=[
            Train("sft", least=1.0, config=fitting(settings, "sft")),
            Train("dpo", from_base=False, config={**fitting(settings, "dpo"), "beta": beta}),
        ],
        gate=gate or Gains(),
    )
