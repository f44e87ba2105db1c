"""LMSI: the model's own majority is what it learns, reasons and all, where it is sure. (Huang et al., 2210.11610)"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from agentevo.phases.act import Sample
from agentevo.phases.gate import Gains
from agentevo.phases.judge import Vote
from agentevo.phases.refine import Confident, majority
from agentevo.protocols import Gate, Recipe
from agentevo.recipes.correction.self_consistency import THINK, final
from agentevo.types import Json
from agentevo.weights.policies import Train
from agentevo.weights.replay import Replay


def lmsi(
    *,
    n: int = 32,
    share: float = 0.8,
    think: bool = True,
    temperature: float = 0.7,
    max_tokens: int | None = None,
    stop: Sequence[str] = (),
    replay: Sequence[Replay] = (),
    train: Mapping[str, Json] | None = None,
    gate: Gate | None = None,
) -> Recipe:
    """Answer n times; where at least this share agrees, train on all attempts that do. No label is read in practice.

    think: ask for steps before the answer; both in practice and when it counts. All rows are the model's own: train it
    with min_real=0, which is the default here, or mix real rows in with replay=.
    """
    context = [THINK] if think else []
    return Recipe(
        act=Sample(context=context, temperature=0.0, max_tokens=max_tokens, stop=stop),
        practice=Sample(n, context=context, temperature=temperature, max_tokens=max_tokens, stop=stop),
        judge=[Vote(final)],
        refine=[Confident(share), majority],
        update=[Train("sft", replay=replay, config={"min_real": 0.0, **(train or {})})],
        gate=gate or Gains(),
    )
