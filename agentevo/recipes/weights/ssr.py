"""SSR: what the model could do is rehearsed on tasks that it wrote itself. (Huang et al., 2024, arXiv 2403.01244)"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from agentevo.phases.act import Sample
from agentevo.phases.gate import Gains
from agentevo.phases.judge import Verify
from agentevo.phases.practice import Gold
from agentevo.phases.refine import Threshold
from agentevo.phases.tasks.generate import Generate
from agentevo.protocols import Gate, Recipe
from agentevo.types import Json
from agentevo.weights.policies import Train
from agentevo.weights.replay import Synthesise


def ssr(
    *,
    old: str = "old",
    rehearse: int = 20,
    of: int = 40,
    demos: int = 8,
    max_tokens: int | None = None,
    stop: Sequence[str] = (),
    train: Mapping[str, Json] | None = None,
    gate: Gate | None = None,
) -> Recipe:
    """Train on right answers to new tasks, and on the model's own answers to old ones that its base wrote.

    The base writes `of` tasks after the pattern of those in split `old` (a split beside, or a few prompts typed in: no
    data of earlier stages is needed, nor answers); the latest model answers them, and the `rehearse` most unlike each
    other are mixed in.
    """
    rehearsal = Synthesise(Generate(of, demos, split=old), rehearse, act=Sample(temperature=0.0, max_tokens=max_tokens))
    return Recipe(
        act=Sample(temperature=0.0, max_tokens=max_tokens, stop=stop),
        practice=Gold(),
        judge=[Verify()],
        refine=[Threshold(1.0)],
        update=[Train("sft", from_base=False, replay=[rehearsal], config=train or {})],
        gate=gate or Gains(),
    )
