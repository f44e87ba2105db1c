"""A small environment for tests of strategies: sums, with splits, a truth, and what would have been right."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import NoReturn

from moments import act, moment

from agentevo.memory import Draft, Memory
from agentevo.models.fakes import Scripted
from agentevo.protocols import Act, Environment, FeedbackLevel, Model, Recipe, State
from agentevo.types import Attempt, Card, Experience, Feedback, Message, Report, Task


def task(id: str) -> Task:
    """Return the task that an id such as "2+3" names."""
    return Task(id=id, prompt=f"What is {id}?")


class Sums:
    """Tasks are sums; an answer is right if it is the number. `verified` counts what it was asked."""

    def __init__(self, **splits: Sequence[str]) -> None:
        self._splits = splits or {"train": ("1+1", "1+2", "1+3", "1+4", "1+5"), "dev": ("2+2",), "test": ("3+3",)}
        self.verified: list[str] = []

    @property
    def card(self) -> Card:
        return Card(name="sums", version="1")

    def splits(self) -> Sequence[str]:
        return tuple(self._splits)

    def tasks(self, split: str) -> Sequence[Task]:
        return [task(name) for name in self._splits[split]]

    def task(self, id: str) -> Task:
        return task(id)

    async def open(self, task: Task, seed: int = 0, feedback: FeedbackLevel = "weak") -> NoReturn:
        raise NotImplementedError

    async def verify(self, task: Task, attempt: Attempt) -> Feedback:
        self.verified.append(attempt.id)
        right = attempt.answer == answer(task)
        verdict = "right" if right else "wrong"
        return Feedback(score=float(right), verdict=verdict, text="sums are sums", evidence={"checked": attempt.answer})


class GoldenSums(Sums):
    """Sums that can say how they are done: in one step, or in several."""

    def __init__(self, *before: Message) -> None:
        super().__init__()
        self._before = before

    def gold(self, task: Task) -> Sequence[Message]:
        return [*self._before, {"role": "assistant", "content": answer(task)}]


def answer(task: Task) -> str:
    first, _, second = task.id.partition("+")
    return str(int(first) + int(second))


def somewhere(
    memory: Memory | Draft,
    environment: Environment,
    model: Model | Sequence[Scripted] | None = None,
    *,
    act: Act = act,
    history: Sequence[Report] = (),
    seed: int = 0,
) -> State:
    """Return a state in an environment, with a recipe that acts so."""
    recipe = Recipe(act=act)
    return replace(moment(memory, model, seed=seed), environment=environment, recipe=recipe, history=tuple(history))


def outcome(id: str, *scores: float | None) -> Experience:
    """Return an experience of a task with attempts that the environment scored so; None for one nobody judged."""
    attempts = [Attempt(id=f"{id}#{n}", task=task(id)) for n in range(len(scores))]
    told = [a if s is None else a.told(Feedback(score=s)) for a, s in zip(attempts, scores, strict=True)]
    return Experience(task=task(id), attempts=tuple(told))
