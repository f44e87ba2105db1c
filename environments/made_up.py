"""What environments share whose tasks are drawn when they are asked for: what they say of themselves, finding tasks."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import Generic, Protocol, TypeVar, get_args

from agentevo.errors import Misuse, UnknownName
from agentevo.protocols import FeedbackLevel
from agentevo.types import Card, Task


class Asked(Protocol):
    """A task, and what only the environment knows of it."""

    @property
    def task(self) -> Task: ...


R = TypeVar("R", bound=Asked)


def sizes(convention: object, level: object, tasks: object, levels: Sequence[str], most: int) -> dict[str, int]:
    """Return how many tasks each split has; raise Misuse where there is no such convention, level or size.

    `levels` says in a word what level 1, level 2 and level 3 are.
    """
    if type(convention) is not int or convention < 0:
        raise Misuse(f"convention is {convention!r}; expected the number of a convention, 0 or more")
    if type(level) is not int or not 1 <= level <= len(levels):
        *first, last = (f"{number} ({word})" for number, word in enumerate(levels, 1))
        raise Misuse(f"level is {level!r}; expected {', '.join(first)} or {last}")
    if type(tasks) is not int or not 10 <= tasks <= most:
        raise Misuse(f"tasks is {tasks!r}; expected how many train and test have, from 10 to {most}")
    return {"train": tasks, "dev": tasks * 3 // 10, "test": tasks}


def built_in(name: str, counts: Mapping[str, int], *, description: str, instruction: str, ability: str) -> Card:
    """Return the card of an environment that is ours, runs in this process, and knows gold for every task."""
    return Card(
        name=name, version="1", description=description, instruction=instruction, licence="Apache-2.0", ability=ability,
        splits=dict(counts), null_score=0.0, gold_score=1.0, trusted=True,
    )  # fmt: skip


class MadeUp(Generic[R]):
    """Tasks that `draw` makes when the first is asked for; who extends this opens and verifies them.

    `label` is how the environment was made: errors name it so.
    """

    def __init__(self, card: Card, label: str, draw: Callable[[], Mapping[str, Sequence[R]]]) -> None:
        self.card = card
        self._label, self._draw = label, draw

    def __repr__(self) -> str:
        return self._label

    def splits(self) -> Sequence[str]:
        return tuple(self.card.splits)

    def tasks(self, split: str) -> Sequence[Task]:
        """Return the tasks of a split, in order. Raise UnknownName for a split that is not here."""
        if split not in self.card.splits:
            raise UnknownName(f"split of {self.card.name}", split, self.card.splits)
        return [request.task for request in self._requests[split]]

    def task(self, id: str) -> Task:
        return self._named(id).task

    def _opened(self, task: Task, feedback: FeedbackLevel) -> R:
        """Return the request of a task that is to be opened. Raise UnknownName for a level that there is not."""
        if feedback not in get_args(FeedbackLevel):
            raise UnknownName("feedback level", feedback, get_args(FeedbackLevel))
        return self._asked(task)

    def _asked(self, task: Task) -> R:
        """Return the request of a task, also of one that has travelled; a prompt of its own is not one of ours."""
        request = self._named(task.id)
        if task.prompt != request.task.prompt:
            raise Misuse(f"task {task.id!r} is not the one of {self._label}: it says {task.prompt!r:.120}")
        return request

    def _named(self, id: str) -> R:
        if id not in self._by_id:
            raise Misuse(f"{self._label} has no task {id!r}; its first is {next(iter(self._by_id))!r}")
        return self._by_id[id]

    @cached_property
    def _requests(self) -> Mapping[str, Sequence[R]]:
        return self._draw()

    @cached_property
    def _by_id(self) -> dict[str, R]:
        return {request.task.id: request for split in self._requests.values() for request in split}
