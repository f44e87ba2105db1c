"""Tasks that went wrong are tried again, a few times; then come new ones."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass

from agentevo.errors import Misuse
from agentevo.phases.tasks.pool import must_be_count, must_be_reachable, tasks_of, tried
from agentevo.protocols import State
from agentevo.types import Task


@dataclass(frozen=True)
class Retry:
    """Try again what is not solved yet, each task at most `trials` times in all; then new tasks of the split, in order.

    A turn that has a judged experience of a task is one trial; the last one says whether the task is solved (a score
    of at least `solved`). At most n tasks a turn, None for all of them; none are left once each is solved or given up.
    What a filter of the recipe threw out of a turn was not tried: a recipe that retries keeps its failures.
    """

    n: int | None = None
    trials: int = 3
    _: KW_ONLY
    split: str = "train"
    solved: float = 1.0

    def __post_init__(self) -> None:
        must_be_count(self.n)
        must_be_reachable(self.solved)
        if self.trials < 1:
            raise Misuse(f"trials is {self.trials!r}; expected how often a task is tried before it is given up")

    async def __call__(self, state: State) -> list[Task]:
        tasks, before = tasks_of(state, self.split), tried(state)
        again = [t for t in tasks if t.id in before and self._is_open(before[t.id][-1].score, len(before[t.id]))]
        new = [task for task in tasks if task.id not in before]
        return [*again, *new][: self.n]

    def _is_open(self, score: float, tries: int) -> bool:
        return score < self.solved and tries < self.trials
