"""ETO: what an expert does is preferred to one's own failures in the same task. (Song et al., 2024, 2403.02502)"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from agentevo.phases.gate import Gains
from agentevo.phases.judge import Verify
from agentevo.phases.loop import Loop
from agentevo.phases.pairs import Cut, Pairs
from agentevo.phases.practice import Gold, Paired
from agentevo.protocols import Gate, Recipe, State
from agentevo.types import Experience, Json, Op
from agentevo.weights.adapters import base_of, in_use
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

    Where the agent does better than the expert it is preferred; ties are no preference. As long as no adapter is in
    use, a turn first imitates what succeeded; then each goes on from what is in use, by preferences. The expert is the
    environment's own `gold`.
    """
    settings = train or {}
    explore = Loop(steps, temperature=temperature, max_tokens=max_tokens, stop=stop)
    return Recipe(
        act=Loop(steps, temperature=0.0, max_tokens=max_tokens, stop=stop),
        practice=Paired(Gold(), explore),
        judge=[Verify()],
        refine=[Pairs(keep=True), Cut(extra)],
        update=[
            Imitate(Train("sft", least=1.0, config=fitting(settings, "sft"))),
            Train("dpo", from_base=False, config={**fitting(settings, "dpo"), "beta": beta}),
        ],
        gate=gate or Gains(),
    )


@dataclass(frozen=True)
class Imitate:
    """Train only as long as no adapter is in use: to begin anew would lose what preferences have taught."""

    train: Train

    async def __call__(self, state: State, experiences: Sequence[Experience]) -> list[Op]:
        live = await in_use(state.memory, base_of(state.model.name))
        return await self.train(state, experiences) if live is None else []
