"""Tasks from a split of the environment: some at random, the next in order, or those that went wrong or well before."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass
from typing import Literal, TypeAlias, get_args

from agentevo.errors import Misuse, UnknownName
from agentevo.protocols import State
from agentevo.types import Experience, Task

Select: TypeAlias = Literal["random", "in order", "failed", "solved"]


@dataclass(frozen=True)
class Pool:
    """At most n tasks of a split; None stands for all of them.

    random: drawn anew each turn, none twice in a turn. in order: each turn goes on where the last one ended, and from
    the beginning after the end. failed, solved: those that scored less than `solved`, or at least so much, when they
    were last tried in the turns so far; before any of the split was tried, all of it.
    """

    split: str = "train"
    n: int | None = None
    select: Select = "random"
    _: KW_ONLY
    solved: float = 1.0

    def __post_init__(self) -> None:
        must_be_count(self.n)
        if self.select not in get_args(Select):
            raise UnknownName("selection", str(self.select), get_args(Select))
        must_be_reachable(self.solved)

    async def __call__(self, state: State) -> list[Task]:
        tasks = tasks_of(state, self.split)
        if self.select == "random":
            return state.dice("tasks", self.split).sample(tasks, self._most(tasks))
        if self.select == "in order":
            start = state.round * self._most(tasks)
            return [tasks[(start + n) % len(tasks)] for n in range(self._most(tasks))]
        return self._judged(tasks, tried(state))[: self.n]

    def _most(self, tasks: Sequence[Task]) -> int:
        return len(tasks) if self.n is None else min(self.n, len(tasks))

    def _judged(self, tasks: list[Task], before: dict[str, list[Experience]]) -> list[Task]:
        known = [task for task in tasks if task.id in before]
        if not known:
            return tasks
        return [t for t in known if (before[t.id][-1].score >= self.solved) == (self.select == "solved")]


def tasks_of(state: State, split: str) -> list[Task]:
    """Return the tasks of a split of the state's environment."""
    there = state.environment.splits()
    if split not in there:
        raise UnknownName(f"split of {state.environment.card.name!r}", split, there)
    return list(state.environment.tasks(split))


def tried(state: State) -> dict[str, list[Experience]]:
    """Return what came of each task in the turns so far, by task: the last judged experience of each turn.

    What a turn practised counts, and what it answered when it counted, unless on a memory that was thrown away.
    """
    found: dict[str, list[Experience]] = {}
    for report in state.history:
        seen = (*report.practised, *(report.experiences if report.accepted else ()))
        latest = {x.task.id: x for x in seen if any(attempt.score is not None for attempt in x.attempts)}
        for name, experience in latest.items():
            found.setdefault(name, []).append(experience)
    return found


def must_be_count(n: int | None) -> None:
    if n is not None and n < 1:
        raise Misuse(f"n is {n!r}; expected how many tasks a turn has, 1 or more, or None for all")


def must_be_reachable(solved: float) -> None:
    if not 0 < solved <= 1:
        raise Misuse(f"solved is {solved!r}; expected the score from which a task is solved, above 0 and up to 1")
