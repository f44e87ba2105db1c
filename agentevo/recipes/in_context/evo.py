"""evo: examples of what was right, lessons from what was not, credit for what helped; what harms is forgotten."""

from __future__ import annotations

from collections.abc import Sequence

from agentevo.memory import Credit, Evict, Insert, Reinforce, TopK, lessons
from agentevo.memory.corrections import corrected, has_correction, is_example, is_unexplained, told
from agentevo.memory.harmful import Harmful
from agentevo.memory.recall import Mode
from agentevo.memory.retest import Retested
from agentevo.phases.context import Recalled
from agentevo.phases.gate import HeldOut
from agentevo.phases.judge import Verify
from agentevo.phases.loop import Loop
from agentevo.protocols import FeedbackLevel, Recipe


def evo(
    *,
    k: int = 4,
    mode: Mode = "hybrid",
    feedback: FeedbackLevel = "strong",
    cap: int = 1000,
    reflect: bool = True,
    steps: int = 20,
    temperature: float | None = None,
    max_tokens: int | None = None,
    stop: Sequence[str] = (),
    margin: float = 0.02,
) -> Recipe:
    """Recall k items; keep what succeeded, corrections, and lessons that a retest bears out.

    feedback: how much the environment tells of a failure in practice. reflect: where nobody said what would have been
    right, the model writes lessons, and those stay with which the same task then succeeds. cap: items beyond so many
    are forgotten, the least useful first.
    """
    written = [Retested(Insert(lessons, when=is_unexplained, kind="lesson"))] if reflect else []
    return Recipe(
        act=Loop(steps, context=[Recalled(TopK(k, mode))], temperature=temperature, max_tokens=max_tokens, stop=stop),
        judge=[Verify(feedback)],
        update=[
            Credit(),
            Reinforce(),
            Insert(when=is_example),
            Insert(corrected, when=has_correction, kind="lesson"),
            Insert(told, kind="lesson"),
            *written,
            Harmful(),
            Evict(cap, "help"),
        ],
        gate=HeldOut(margin),
    )
