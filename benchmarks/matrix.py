"""The matrix: arms by seeds, each cell a run of its own, which goes on where it was stopped."""

from __future__ import annotations

import random
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing, closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, TypeAlias

from agentevo.benchmarks.arms import arm
from agentevo.benchmarks.protocols import epochs, stream
from agentevo.environments.load import load
from agentevo.errors import Misuse, RunError, UnknownName
from agentevo.journal import Journal, lines
from agentevo.memory import Memory
from agentevo.models.usage import Budget, Meter
from agentevo.protocols import Environment, Model, Recipe, State, describe
from agentevo.record import Record
from agentevo.types import Experience, Task
from agentevo.types import Record as Line

Protocol: TypeAlias = Literal["stream", "epochs"]
RESULTS = "results.jsonl"


class Cell(Line):
    """What a row belongs to: the arm and seed, and what was held fixed."""

    suite: str
    arm: str
    seed: int
    model: str
    recipe: str
    protocol: Protocol = "stream"
    epoch: int = 0
    place: int = 0
    """Where in the stream, or in the test, the task stood."""


class Row(Line):
    """One line of the results: a task, how it was answered, and what the environment said of it."""

    cell: Cell
    experience: Experience


@dataclass(frozen=True)
class Plan:
    """What is compared: suites are `name@version/split`, arms by name, seeds 0, 1, 2, ..."""

    suite: str
    recipe: Recipe
    model: Model
    arms: Sequence[str] = ("none", "copy", "rule", "memory")
    seeds: int = 1
    protocol: Protocol = "stream"
    tasks: int = 60
    test: int = 60
    epochs: int = 1
    embedder: str | None = None
    budget: Budget | None = None
    concurrency: int = 8
    environment: Environment = field(init=False)
    split: str = field(init=False)

    def __post_init__(self) -> None:
        if self.protocol not in ("stream", "epochs"):
            raise UnknownName("protocol", self.protocol, ("stream", "epochs"))
        for name in ("seeds", "tasks", "test", "epochs"):
            if getattr(self, name) < 1:
                raise Misuse(f"{name} is {getattr(self, name)!r}; expected 1 or more")
        if not self.arms or len(set(self.arms)) != len(self.arms):
            raise Misuse(f"arms are {list(self.arms)!r}; expected at least one, each once")
        for name in self.arms:
            arm(name, self.recipe)
        environment, split = load(self.suite)
        if not self.suite.endswith(f"/{split}") and "train" in environment.splits():
            split = "train"  # what is practised on; the split for testing is named only to stream it
        object.__setattr__(self, "environment", environment)
        object.__setattr__(self, "split", split)

    def cells(self) -> list[tuple[str, int]]:
        """Return arms and seeds in the order they are run: seed by seed, so that arms can be compared early."""
        return [(name, seed) for seed in range(self.seeds) for name in self.arms]

    def rows(self) -> int:
        """Return how many rows there will be."""
        each = len(self.drawn(0))
        if self.protocol == "epochs":
            each = (self.epochs + 1) * len(self.tested(0))
        return each * len(self.cells())

    def drawn(self, seed: int) -> list[Task]:
        """Return the tasks that are practised, in the order of a seed; every arm meets the same."""
        return _drawn(self.environment.tasks(self.split), self.tasks, f"{seed}/practised")

    def tested(self, seed: int) -> list[Task]:
        """Return the tasks that are only tested on."""
        splits = self.environment.splits()
        if "test" not in splits or self.split == "test":
            raise Misuse(
                f"epochs of {self.suite!r} need a split 'test' beside {self.split!r}; it has {', '.join(splits)}"
            )
        return _drawn(self.environment.tasks("test"), self.test, f"{seed}/tested")


def _drawn(tasks: Sequence[Task], n: int, salt: str) -> list[Task]:
    return random.Random(salt).sample(list(tasks), min(n, len(tasks)))


async def run(plan: Plan, folder: Path) -> AsyncGenerator[Row, None]:
    """Run all cells into a folder, yielding rows as they come; rows that were there before come first, at once."""
    meter = Meter("bench", plan.budget)
    with closing(Journal(folder / RESULTS)) as journal:
        kept = {row.cell for row in results(folder)}  # also those of arms that this plan has not
        for name, seed in plan.cells():
            async with aclosing(_cell(plan, name, seed, folder / "cells" / f"{name}-{seed}", meter)) as rows:
                async for row in rows:
                    if row.cell not in kept:
                        journal.append(row.model_dump_json(exclude_defaults=True))
                    yield row


def results(folder: Path) -> list[Row]:
    """Return the rows of a run, finished or not; raise RunError where there are none."""
    path = folder / RESULTS
    if not path.exists():
        raise RunError(f"{folder} holds no {RESULTS}: it is not the folder of a benchmark's run")
    return [Row.model_validate(line) for line in lines(path)]


async def _cell(plan: Plan, name: str, seed: int, folder: Path, meter: Meter) -> AsyncGenerator[Row, None]:
    recipe = arm(name, plan.recipe)
    called = recipe.name or describe(recipe)
    cell = Cell(suite=plan.suite, arm=name, seed=seed, model=plan.model.name, recipe=called, protocol=plan.protocol)
    about = {**cell.model_dump(mode="json"), "tasks": plan.tasks, "test": plan.test, "method": describe(recipe)}
    with (
        Memory.open(folder / "memory", embedder=plan.embedder, actor="agent") as memory,
        Record.open(folder, about=about, concurrency=plan.concurrency) as record,
    ):
        state = State(
            model=record.model(plan.model), memory=memory, environment=plan.environment, recipe=recipe, seed=seed
        )
        async with aclosing(record.following(_experiences(plan, state, record), meter)) as found:
            async for epoch, place, experience in found:
                yield Row(cell=cell.but(epoch=epoch, place=place), experience=experience)


async def _experiences(plan: Plan, state: State, record: Record) -> AsyncGenerator[tuple[int, int, Experience], None]:
    drawn = plan.drawn(state.seed)
    if plan.protocol == "stream":
        place = 0
        async for experience in stream(state, drawn, record):
            yield 0, place, experience
            place += 1
        return
    async for epoch, tested in epochs(state, drawn, plan.tested(state.seed), record, plan.epochs):
        for place, experience in enumerate(tested):
            yield epoch, place, experience
