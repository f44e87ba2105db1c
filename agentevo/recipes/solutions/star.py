"""STaR: reasons that led to right answers, found with a hint where they did not. (Zelikman et al., 2203.14465)"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from agentevo.phases.act import Sample
from agentevo.phases.gate import Gains
from agentevo.phases.judge import Verify
from agentevo.phases.practice import Hinted
from agentevo.phases.refine import Threshold
from agentevo.protocols import Gate, Recipe
from agentevo.types import Json
from agentevo.weights.policies import Train
from agentevo.weights.replay import Replay

THINK = "Think step by step, then give the answer in the form that the task asks for."


def star(
    *,
    think: bool = False,
    hint: bool = True,
    temperature: float | None = None,
    max_tokens: int | None = None,
    stop: Sequence[str] = (),
    replay: Sequence[Replay] = (),
    train: Mapping[str, Json] | None = None,
    gate: Gate | None = None,
) -> Recipe:
    """Answer; where it is wrong, answer again knowing what is right; train on what is then right, without the hint.

    Each turn trains from the base, on all that was right in that turn. think: ask for steps, which are what is learned.
    The environment must know what is right. train: settings of the training.
    """
    act = Sample(context=[THINK] if think else [], temperature=temperature, max_tokens=max_tokens, stop=stop)
    return Recipe(
        act=act,
        practice=Hinted(act, by=Verify("strong")) if hint else act,
        judge=[Verify()],
        refine=[Threshold(1.0)],
        update=[Train("sft", replay=replay, config=train or {})],
        gate=gate or Gains(),
    )
