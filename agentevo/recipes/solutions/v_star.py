"""V-STaR: right solutions teach the generator, right beside wrong ones a verifier. (Hosseini et al., 2402.06457)"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from agentevo.models.installed import LOCAL
from agentevo.phases.act import Sample
from agentevo.phases.combine import Best
from agentevo.phases.gate import Gains
from agentevo.phases.judge import Verify
from agentevo.phases.pairs import Pairs
from agentevo.phases.tasks.pool import Pool
from agentevo.protocols import Adaptable, Gate, Model, Recipe, Scorer, State
from agentevo.types import Attempt, Experience, Feedback, Item, Json
from agentevo.weights.adapters import base_of, in_use, name_of
from agentevo.weights.config import fitting
from agentevo.weights.likely import likely
from agentevo.weights.policies import Train
from agentevo.weights.replay import Earlier

LOG = logging.getLogger(__name__)

VERIFIER = "verifier"


def v_star(
    *,
    n: int = 16,
    best_of: int = 8,
    temperature: float = 0.7,
    max_tokens: int | None = None,
    stop: Sequence[str] = (),
    train: Mapping[str, Json] | None = None,
    gate: Gate | None = None,
) -> Recipe:
    """Train a generator on right solutions, and a verifier on pairs of right and wrong ones of all turns so far.

    When it counts, the verifier picks of `best_of` answers the one it finds likeliest. Tasks that were solved go on to
    the next turn. The verifier is an adapter with a role of its own; how likely it finds an answer an offline model is
    asked by torch, any other where it can tell (`Scorer`). Before there is a verifier the first answer is given.
    """
    sft, dpo = fitting(train or {}, "sft"), fitting(train or {}, "dpo")
    return Recipe(
        tasks=Pool(select="solved"),
        act=Best(Sample(best_of, temperature=temperature, max_tokens=max_tokens, stop=stop), by=Likelihood()),
        practice=Sample(n, temperature=temperature, max_tokens=max_tokens, stop=stop),
        judge=[Verify()],
        refine=[Pairs(every=True, keep=True)],
        update=[
            Train("sft", least=1.0, config=sft),
            Train("dpo", from_base=False, role=VERIFIER, replay=[Earlier(1.0, pairs=True)], config=dpo),
        ],
        gate=gate or Gains(),
    )


@dataclass(frozen=True)
class Likelihood:
    """Rank attempts by how likely the verifier finds their answers; without a verifier they stay as they are."""

    role: str = VERIFIER

    async def __call__(self, state: State, experience: Experience) -> Experience:
        item = await in_use(state.memory, base_of(state.model.name), self.role)
        verifier = _scorer(state.model, item) if item else None
        if verifier is None:
            LOG.info("no verifier looks at the attempts at task %s", experience.task.id)
            return experience
        asked = [{"role": "user", "content": experience.task.prompt}]
        prompts = [a.messages[: a.prompt] or asked for a in experience.attempts]
        likely = [await verifier.logprob(p, a.answer) for p, a in zip(prompts, experience.attempts, strict=True)]
        return experience.but(attempts=tuple(map(_ranked, experience.attempts, likely, [sorted(likely)] * len(likely))))


def _scorer(model: Model, item: Item) -> Scorer | None:
    """Return what tells how likely the adapter of an item finds a text."""
    adapted: object = model.adapted(name_of(item)) if isinstance(model, Adaptable) else None
    if isinstance(adapted, Scorer):
        return adapted
    base = base_of(model.name)
    return likely(base, Path(str(item.metadata.get("path")))) if base.startswith(LOCAL) else None


def _ranked(attempt: Attempt, likely: float, order: Sequence[float]) -> Attempt:
    score = order.index(likely) / max(1, len(order) - 1)
    return attempt.told(Feedback(score=score, source="judge", evidence={"logprob": likely}))
