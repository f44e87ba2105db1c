"""ReST: one set of samples is trained on several times, with a bar that rises. (Gulcehre et al., 2023, 2308.08998)"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from agentevo.errors import Misuse
from agentevo.phases.act import Sample
from agentevo.phases.gate import Gains
from agentevo.phases.judge_rubric import Rubric
from agentevo.phases.practice import Reuse, Same
from agentevo.phases.refine import Threshold
from agentevo.phases.tasks.pool import Pool
from agentevo.protocols import Gate, Judge, Recipe
from agentevo.types import Json
from agentevo.weights.policies import Train
from agentevo.weights.replay import Replay


def rest(
    *,
    n: int = 16,
    tasks: int | None = None,
    bars: Sequence[float] = (0.7, 0.8, 0.9),
    reward: Judge | None = None,
    seed: Sequence[Replay] = (),
    temperature: float = 0.7,
    max_tokens: int | None = None,
    stop: Sequence[str] = (),
    train: Mapping[str, Json] | None = None,
    gate: Gate | None = None,
) -> Recipe:
    """Grow: sample n answers a task; then improve as often as there are bars, on what of these reaches the next one.

    reward: who scores the answers, by default the model by a rubric. seed: rows of the data that the model came with,
    replayed in each training, such as [Rows("seed.jsonl", 0.3)]. Each improvement goes on from the one before.
    """
    return Recipe(
        tasks=Same(Pool(n=tasks), len(bars)),
        act=Sample(temperature=0.0, max_tokens=max_tokens, stop=stop),
        practice=Reuse(Sample(n, temperature=temperature, max_tokens=max_tokens, stop=stop), len(bars)),
        judge=[reward or Rubric()],
        refine=[Threshold(Rising(tuple(bars)))],
        update=[Train("sft", from_base=False, replay=seed, config={"min_real": 0.0, **(train or {})})],
        gate=gate or Gains(),
    )


@dataclass(frozen=True)
class Rising:
    """The bar of a turn: one after the other, and from the first one again."""

    bars: tuple[float, ...]

    def __post_init__(self) -> None:
        if not self.bars or any(later <= before for before, later in pairwise(self.bars)):
            raise Misuse(f"bars are {self.bars!r}; expected scores of which each is higher than the one before")

    def __call__(self, turn: int) -> float:
        return self.bars[turn % len(self.bars)]
