"""RFT: of many solutions those that are right, each way of getting there once. (Yuan et al., 2023, arXiv 2308.01825)"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from agentevo.phases.act import Sample
from agentevo.phases.gate import Gains
from agentevo.phases.judge import Verify
from agentevo.phases.refine import Distinct, Threshold
from agentevo.protocols import Gate, Recipe
from agentevo.types import Json
from agentevo.weights.policies import Train
from agentevo.weights.replay import Replay


def rft(
    *,
    n: int = 16,
    temperature: float = 0.7,
    max_tokens: int | None = None,
    stop: Sequence[str] = (),
    replay: Sequence[Replay] = (),
    train: Mapping[str, Json] | None = None,
    gate: Gate | None = None,
) -> Recipe:
    """Solve each task n times; train on the right solutions, of those with the same equations on the first alone.

    The paper has n = 100. Solutions without equations are told apart by their whole text.
    """
    return Recipe(
        act=Sample(max_tokens=max_tokens, stop=stop, temperature=0.0),
        practice=Sample(n, temperature=temperature, max_tokens=max_tokens, stop=stop),
        judge=[Verify()],
        refine=[Threshold(1.0), Distinct()],
        update=[Train("sft", replay=replay, config=train or {})],
        gate=gate or Gains(),
    )
