"""Elastic Reset: from time to time the weights go back to their own moving average. (Noukhovitch et al., 2312.07551)"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from agentevo.phases.act import Sample
from agentevo.phases.gate import HeldOut
from agentevo.phases.judge import Verify
from agentevo.phases.refine import Threshold
from agentevo.protocols import Gate, Recipe
from agentevo.types import Json
from agentevo.weights.averages import Average
from agentevo.weights.policies import Train
from agentevo.weights.replay import Replay


def elastic_reset(
    *,
    n: int = 8,
    every: int = 4,
    decay: float = 0.5,
    temperature: float = 0.7,
    max_tokens: int | None = None,
    stop: Sequence[str] = (),
    replay: Sequence[Replay] = (),
    train: Mapping[str, Json] | None = None,
    gate: Gate | None = None,
) -> Recipe:
    """Train on what is right, turn upon turn; each `every` turns put the average of the adapters so far in its place.

    The average begins at the base, and begins there anew at each reset. decay: how much of it stays when it takes in
    the adapter of a turn. The paper resets every 260 steps of one training; here a step is a turn. The gate lets a
    reset in where it loses no more than its margin.
    """
    return Recipe(
        act=Sample(temperature=0.0, max_tokens=max_tokens, stop=stop),
        practice=Sample(n, temperature=temperature, max_tokens=max_tokens, stop=stop),
        judge=[Verify()],
        refine=[Threshold(1.0)],
        update=[
            Train("sft", from_base=False, replay=replay, config=train or {}),
            Average("ema", every=every, decay=decay),
        ],
        gate=gate or HeldOut(0.05),
    )
