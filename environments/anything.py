"""The environment of an app that has none: it is asked anything, and knows no truth."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from agentevo.errors import UnknownName
from agentevo.protocols import FeedbackLevel
from agentevo.types import Attempt, Card, Feedback, Message, Outcome, Task, Tool

CARD = Card(
    name="anything", version="1", description="Whatever a user asks; nothing is known to be right.", trusted=True
)


@dataclass(frozen=True)
class Anything:
    """No splits, no tasks of its own and no truth: any task can be opened, and none is scored."""

    @property
    def card(self) -> Card:
        return CARD

    def splits(self) -> Sequence[str]:
        return ()

    def tasks(self, split: str) -> Sequence[Task]:
        raise UnknownName("split of anything", split, ())

    def task(self, id: str) -> Task:
        raise UnknownName("task of anything", id, ())

    async def open(self, task: Task, seed: int = 0, feedback: FeedbackLevel = "weak") -> Answering:
        return Answering(task.prompt)

    async def verify(self, task: Task, attempt: Attempt) -> Feedback:
        return Feedback()


@dataclass(frozen=True)
class Answering:
    """An episode in which there is nothing to do but answer: whatever is said ends it."""

    observation: str
    tools: Sequence[Tool] = ()

    async def step(self, action: Message) -> Outcome:
        return Outcome(observation="", terminated=True)

    async def close(self) -> None:
        """Nothing is open."""
