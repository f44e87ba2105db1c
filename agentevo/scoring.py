"""What counts: a task answered with nobody giving the answer away, and the environment's word on the first attempt."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from agentevo.given import listed
from agentevo.protocols import Environment, Episode, FeedbackLevel, State
from agentevo.types import Attempt, Card, Experience, Feedback, Task, Usage

UNTESTED = "not tested: nothing here gives a score"
"""What the reason of an op ends with that had to be proved by a case, and was not, as nobody could say how it went."""


async def answered(state: State, task: Task) -> Experience:
    """Answer a task once, sealed off from what is right, and have the environment say how well."""
    attempts = listed("act", await state.recipe.act(sealed(state), task), Attempt)
    return await scored(state, Experience(task=task, attempts=tuple(attempts)))


async def scored(state: State, experience: Experience) -> Experience:
    """Have the environment score the attempt that counts, the first one, and leave out all others but their cost."""
    if not experience.attempts:
        return experience
    first, cost = experience.attempts[0], sum((a.usage for a in experience.attempts), Usage())
    told = first.told(await state.environment.verify(experience.task, first)).model_copy(update={"usage": cost})
    return experience.but(attempts=(told,), pairs=())


def sealed(state: State) -> State:
    """Return the same moment in an environment that says of an answer no more than whether it is right."""
    if isinstance(state.environment, Sealed):
        return state
    return replace(state, environment=Sealed(state.environment))


@dataclass(frozen=True)
class Sealed:
    """An environment as what is being scored may see it: feedback that would tell the answer is lowered to weak.

    Covered: `open`, `verify` (score and verdict alone) and `gold`, whichever act, judge or combinator asks. What an
    act asks for at "weak" it gets, as that is part of how it answers. Not covered: what a task says in its own data,
    and further methods of an environment.
    """

    inside: Environment

    @property
    def card(self) -> Card:
        return self.inside.card

    def splits(self) -> Sequence[str]:
        return self.inside.splits()

    def tasks(self, split: str) -> Sequence[Task]:
        return self.inside.tasks(split)

    def task(self, id: str) -> Task:
        return self.inside.task(id)

    async def open(self, task: Task, seed: int = 0, feedback: FeedbackLevel = "weak") -> Episode:
        return await self.inside.open(task, seed, "weak" if feedback == "strong" else feedback)

    async def verify(self, task: Task, attempt: Attempt) -> Feedback:
        found = await self.inside.verify(task, attempt)
        return Feedback(score=found.score, verdict=found.verdict, source=found.source)

    def __getattr__(self, name: str) -> object:
        if name == "gold" or name.startswith("__"):
            raise AttributeError(f"an answer that counts is given without {name!r}")
        return getattr(self.inside, name)
