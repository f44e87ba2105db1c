"""SPIN: prefer what is known to be right to what the model itself says now. (Chen et al., 2024, arXiv 2401.01335)"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from agentevo.phases.act import Sample
from agentevo.phases.gate import Gains
from agentevo.phases.pairs import by_construction
from agentevo.phases.practice import Gold, Paired
from agentevo.protocols import Gate, Recipe
from agentevo.types import Json
from agentevo.weights.policies import Train
from agentevo.weights.replay import Earlier


def spin(
    *,
    share: float = 0.5,
    beta: float = 0.1,
    temperature: float | None = 0.7,
    max_tokens: int | None = None,
    stop: Sequence[str] = (),
    train: Mapping[str, Json] | None = None,
    gate: Gate | None = None,
) -> Recipe:
    """Pair the right answer with the model's own of this turn, as the rejected one whatever its score; train by dpo.

    Each turn goes on from the adapter in use, whose answers these are, and mixes in pairs of earlier turns: so large a
    `share` of all. Equal answers are no pair. The environment must know what is right (`gold`). The first adapter is
    best made by star or rft: preferences alone teach no form.
    """
    sample = Sample(temperature=temperature, max_tokens=max_tokens, stop=stop)
    replay = [Earlier(share, pairs=True)] if share else []
    return Recipe(
        act=Sample(temperature=0.0, max_tokens=max_tokens, stop=stop),
        practice=Paired(Gold(), sample),
        refine=[by_construction],
        update=[Train("dpo", from_base=False, replay=replay, config={"beta": beta, **(train or {})})],
        gate=gate or Gains(),
    )
