"""What environments share whose tasks are made up from the number of a convention: sizes, splits, and finding tasks."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import Generic, Protocol, TypeVar

from agentevo.errors import Misuse, UnknownName
from agentevo.types import Task


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


class MadeUp(Generic[R]):
    """The requests of an environment, drawn when the first is asked for; errors name the environment as `label`."""

    def __init__(
        self, name: str, label: str, counts: Mapping[str, int], draw: Callable[[], Mapping[str, Sequence[R]]]
    ) -> None:
        self.counts = dict(counts)
        self._name, self._label, self._draw = name, label, draw

    def tasks(self, split: str) -> Sequence[Task]:
        """Return the tasks of a split, in order. Raise UnknownName for a split that is not here."""
        if split not in self.counts:
            raise UnknownName(f"split of {self._name}", split, self.counts)
        return [request.task for request in self._requests[split]]

    def named(self, id: str) -> R:
        """Return the request whose task has this id."""
        if id not in self._by_id:
            raise Misuse(f"{self._label} has no task {id!r}; its first is {next(iter(self._by_id))!r}")
        return self._by_id[id]

    def asked(self, task: Task) -> R:
        """Return the request of a task, also of one that has travelled; a prompt of its own is not one of ours."""
        request = self.named(task.id)
        if task.prompt != request.task.prompt:
            raise Misuse(f"task {task.id!r} is not the one of {self._label}: it says {task.prompt!r:.120}")
        return request

    @cached_property
    def _requests(self) -> Mapping[str, Sequence[R]]:
        return self._draw()

    @cached_property
    def _by_id(self) -> dict[str, R]:
        return {request.task.id: request for split in self._requests.values() for request in split}
