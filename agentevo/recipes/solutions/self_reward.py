"""Self-Reward: the model judges its own answers and learns to prefer the better ones. (Yuan et al., 2401.10020)"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from agentevo.phases.act import Sample
from agentevo.phases.gate import Gains
from agentevo.phases.judge_rubric import Rubric
from agentevo.phases.pairs import Pairs
from agentevo.phases.tasks.generate import Generate
from agentevo.protocols import Gate, Recipe
from agentevo.types import Json
from agentevo.weights.policies import Train
from agentevo.weights.replay import Replay


def self_reward(
    *,
    tasks: int = 32,
    demos: int = 8,
    n: int = 4,
    readings: int = 3,
    temperature: float = 0.7,
    max_tokens: int | None = None,
    stop: Sequence[str] = (),
    replay: Sequence[Replay] = (),
    train: Mapping[str, Json] | None = None,
    gate: Gate | None = None,
) -> Recipe:
    """Write new tasks, answer each n times, give each answer points (0 to 5, read so many times); prefer best to worst.

    Equal means give no pair. No label is read in practice; the gate, which lets an adapter in, knows better than the
    judge that chose the pairs.
    """
    return Recipe(
        tasks=Generate(tasks, demos),
        act=Sample(temperature=0.0, max_tokens=max_tokens, stop=stop),
        practice=Sample(n, temperature=temperature, max_tokens=max_tokens, stop=stop),
        judge=[Rubric(readings=readings)],
        refine=[Pairs()],
        update=[Train("dpo", from_base=False, replay=replay, config={"min_real": 0.0, **(train or {})})],
        gate=gate or Gains(),
    )
