"""Beside: an environment with splits of others beside its own, so that a gate sees what is forgotten elsewhere."""

from __future__ import annotations

from collections.abc import Sequence

from agentevo.described import describe
from agentevo.environments.wrappers import Wrapped
from agentevo.errors import Misuse
from agentevo.protocols import Environment, Episode, FeedbackLevel
from agentevo.types import Attempt, Card, Feedback, Json, Task
from agentevo.types.work import SUITE

INSTRUCTION = "instruction"
"""The name in a task's data of the instruction it is asked under."""


class Beside(Wrapped):
    """An environment that has, beside its own splits, one split each of other environments, under names of their own.

    A task from beside is called NAME/ID, names its split as data["suite"], is asked under its own environment's
    instruction (data["instruction"]), and is opened and verified there. All else is the first environment's.
    """

    def __init__(self, environment: Environment, **beside: tuple[Environment, str]) -> None:
        super().__init__(environment)
        self._beside = dict(beside)
        for name, (other, split) in beside.items():
            if name in environment.splits():
                raise Misuse(
                    f"{environment.card.name!r} has a split {name!r} of its own; call the one beside otherwise"
                )
            if split not in other.splits():
                raise Misuse(f"{other.card.name!r} has no split {split!r}; it has {', '.join(other.splits())}")

    def __repr__(self) -> str:
        others = (f"{name}={describe(other)}/{split}" for name, (other, split) in self._beside.items())
        return f"Beside({', '.join([describe(self._environment), *others])})"

    @property
    def card(self) -> Card:
        own = self._environment.card
        counts = {name: len(other.tasks(split)) for name, (other, split) in self._beside.items()}
        return own.but(splits={**own.splits, **counts})

    def splits(self) -> Sequence[str]:
        return (*self._environment.splits(), *self._beside)

    def tasks(self, split: str) -> Sequence[Task]:
        if split not in self._beside:
            return self._environment.tasks(split)
        other, inner = self._beside[split]
        return [_named(split, other, task) for task in other.tasks(inner)]

    def task(self, id: str) -> Task:
        name, _, inner = id.partition("/")
        if name not in self._beside:
            return self._environment.task(id)
        other, _ = self._beside[name]
        return _named(name, other, other.task(inner))

    async def open(self, task: Task, seed: int = 0, feedback: FeedbackLevel = "weak") -> Episode:
        where, inner = self._of(task)
        return await where.open(inner, seed, feedback)

    async def verify(self, task: Task, attempt: Attempt) -> Feedback:
        where, inner = self._of(task)
        return await where.verify(inner, attempt)

    def _of(self, task: Task) -> tuple[Environment, Task]:
        """Return where a task is from, and what it is called there."""
        name = task.data.get(SUITE)
        if not isinstance(name, str) or name not in self._beside:
            return self._environment, task
        data: dict[str, Json] = {key: value for key, value in task.data.items() if key not in (SUITE, INSTRUCTION)}
        return self._beside[name][0], task.but(id=task.id.removeprefix(f"{name}/"), data=data)


def _named(suite: str, other: Environment, task: Task) -> Task:
    about: dict[str, Json] = {SUITE: suite, INSTRUCTION: other.card.instruction}
    return task.but(id=f"{suite}/{task.id}", data={**task.data, **about})
