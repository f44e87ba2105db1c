"""SDFT: right answers are said in the model's own words before they are learned. (Yang et al., 2024, 2402.13669)"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from agentevo.models.usage import spending
from agentevo.phases.act import Sample
from agentevo.phases.context import HINT
from agentevo.phases.gate import Gains
from agentevo.phases.judge import Verify
from agentevo.phases.practice import Gold
from agentevo.phases.refine import Threshold
from agentevo.protocols import Act, Gate, Judge, Recipe, State
from agentevo.quote import fenced
from agentevo.types import Attempt, Experience, Feedback, Json, Task
from agentevo.weights.policies import Train
from agentevo.weights.replay import Replay

REWRITE = """
A reference answer stands between the fences. Using it, write the answer to the task in your own words, in the form that
the task asks for, as if it were yours alone.
"""
BANNED = ("reference answer", "your response", "the given answer", "as an ai", "between the fences", "in my own words")
"""What an answer says that is about having been given one."""
REWRITTEN = "in its own words"


def sdft(
    *,
    temperature: float | None = 0.0,
    max_tokens: int | None = None,
    stop: Sequence[str] = (),
    replay: Sequence[Replay] = (),
    train: Mapping[str, Json] | None = None,
    gate: Gate | None = None,
) -> Recipe:
    """Have the model rewrite each right answer, keep its words where they are still right, and train on these.

    A rewriting that speaks of having been given an answer, or is wrong, gives way to the answer itself. What is close
    to what the model would say anyway moves it less from what it could do.
    """
    act = Sample(temperature=temperature, max_tokens=max_tokens, stop=stop)
    return Recipe(
        act=act,
        practice=OwnWords(act, by=Verify()),
        judge=[Verify()],
        refine=[Threshold(1.0)],
        update=[Train("sft", replay=replay, config=train or {})],
        gate=gate or Gains(),
    )


@dataclass(frozen=True)
class OwnWords:
    """The right answer in the model's words, or, where these are not right or speak of it, as it is."""

    act: Act
    by: Judge
    gold: Act = Gold()  # noqa: RUF009 - frozen
    prompt: str = REWRITE

    async def __call__(self, state: State, task: Task) -> list[Attempt]:
        return [await self._rewritten(state, attempt) for attempt in await self.gold(state, task)]

    async def _rewritten(self, state: State, right: Attempt) -> Attempt:
        hint = f"{self.prompt.strip()}\n{fenced(right.answer, 'answer')}"
        with spending() as meter:
            made = await self.act(state, right.task.but(data={**right.task.data, HINT: hint}))
        if not made or not await self._is_fit(state, made[0].but(task=right.task)):
            return right.but(usage=right.usage + meter.usage)
        own = (*right.messages[: right.prompt], *made[0].messages[made[0].prompt :])
        done = made[0].but(task=right.task, messages=own, prompt=right.prompt, bare=right.bare, usage=meter.usage)
        return done.told(Feedback(verdict=REWRITTEN, source="rule"))

    async def _is_fit(self, state: State, attempt: Attempt) -> bool:
        said = attempt.answer.casefold()
        if attempt.stopped or not said or any(phrase in said for phrase in BANNED):
            return False
        judged = await self.by(state, Experience(task=attempt.task, attempts=(attempt,)))
        return judged.score >= 1
