"""ReST-EM: what is verified as right, so many of each task, from the base each time. (Singh et al., 2312.06585)"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from agentevo.phases.act import Sample
from agentevo.phases.gate import Gains
from agentevo.phases.judge import Verify
from agentevo.phases.refine import Threshold, TopK
from agentevo.phases.tasks.pool import Pool
from agentevo.protocols import Gate, Recipe
from agentevo.types import Json
from agentevo.weights.policies import Train
from agentevo.weights.replay import Replay


def rest_em(
    *,
    n: int = 32,
    cap: int = 10,
    tasks: int | None = None,
    temperature: float = 0.7,
    max_tokens: int | None = None,
    stop: Sequence[str] = (),
    replay: Sequence[Replay] = (),
    train: Mapping[str, Json] | None = None,
    gate: Gate | None = None,
) -> Recipe:
    """Sample n solutions a task with the adapter in use, train the base on those that are right, at most `cap` a task.

    Beginning from the base keeps what it could do, as nothing is trained upon what was trained.
    """
    return Recipe(
        tasks=Pool(n=tasks),
        act=Sample(temperature=0.0, max_tokens=max_tokens, stop=stop),
        practice=Sample(n, temperature=temperature, max_tokens=max_tokens, stop=stop),
        judge=[Verify()],
        refine=[Threshold(1.0), TopK(cap)],
        update=[Train("sft", from_base=True, replay=replay, config=train or {})],
        gate=gate or Gains(),
    )
