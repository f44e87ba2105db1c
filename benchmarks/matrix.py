"""The matrix: arms by seeds, each cell a run of its own, which goes on where it was stopped."""

from __future__ import annotations

import random
from collections.abc import AsyncGenerator, Sequence
from contextlib import AsyncExitStack, aclosing, closing
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Literal, TypeAlias, get_args

from agentevo.benchmarks.arms import BASELINES, MEMORY, arm
from agentevo.benchmarks.protocols import Met, epochs, stream, trials
from agentevo.benchmarks.suites import tuned
from agentevo.described import describe
from agentevo.environments.load import load
from agentevo.errors import Misuse, RunError, UnknownName
from agentevo.journal import Journal, records
from agentevo.memory import Memory
from agentevo.models.usage import Budget, Meter
from agentevo.protocols import Environment, Model, Recipe, State
from agentevo.record import Record
from agentevo.runs import about, beginning, held, identity
from agentevo.types import Experience, Json, Task, Usage
from agentevo.types import Record as Line

Protocol: TypeAlias = Literal["stream", "epochs", "trials"]
RESULTS = "results.jsonl"


class Cell(Line):
    """What a row belongs to: the arm and seed, and what was held fixed."""

    suite: str
    environment: str = ""
    """Which one it was, see `agentevo.runs.identity`: rows of another cannot be compared with these."""
    arm: str
    seed: int
    model: str
    recipe: str
    protocol: Protocol = "stream"
    epoch: int = 0
    place: int = 0
    """Where the task stood: in the stream, in the test, or among what is tried."""


class Row(Line):
    """One line of the results: a task, how it was answered, and what the environment said of it.

    learning: what it cost to learn, beside what it cost to answer. In a stream that is learning from this task. Else it
    stands on the first row of a round: in epochs, the practice before it; in trials, learning from the round.
    """

    cell: Cell
    experience: Experience
    learning: Usage = Usage()


@dataclass(frozen=True)
class Plan:
    """What is compared: suites are `name@version/split`, arms by name, seeds 0, 1, 2, ...

    epochs: how often what is practised is gone through, or in trials how often it is tried again.
    """

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
        if self.protocol not in get_args(Protocol):
            raise UnknownName("protocol", self.protocol, get_args(Protocol))
        for name in ("seeds", "tasks", "test", "epochs"):
            if getattr(self, name) < 1:
                raise Misuse(f"{name} is {getattr(self, name)!r}; expected 1 or more")
        if not self.arms or len(set(self.arms)) != len(self.arms):
            raise Misuse(f"arms are {list(self.arms)!r}; expected at least one, each once")
        for name in self.arms:
            self._must_fit(name)
        environment, split = load(self.suite)
        if not self.suite.endswith(f"/{split}") and "train" in environment.splits():
            split = "train"  # what is practised on; the split for testing is named only to stream it
        object.__setattr__(self, "environment", environment)
        object.__setattr__(self, "split", split)

    def _must_fit(self, name: str) -> None:
        """Raise Misuse where an arm cannot be run as its recipe says: a stream gives the tasks itself."""
        chosen = self.arm(name)
        if self.protocol == "stream" and chosen.tasks is not None:
            is_own = name in (MEMORY, *BASELINES)
            who = f"recipe {self.recipe.name or describe(self.recipe)!r}" if is_own else f"arm {name!r}"
            raise Misuse(
                f"{who} chooses its tasks itself ({describe(chosen.tasks)}), and in a stream each comes once and"
                " in order; use the protocol trials, or epochs"
            )

    def arm(self, name: str) -> Recipe:
        """Return what an arm does."""
        return arm(name, self.recipe, partial(tuned, self.suite))

    def cells(self) -> list[tuple[str, int]]:
        """Return arms and seeds in the order they are run: seed by seed, so that arms can be compared early."""
        return [(name, seed) for seed in range(self.seeds) for name in self.arms]

    def rows(self) -> int:
        """Return how many rows there will be."""
        each = len(self.tested(0)) if self.protocol == "epochs" else len(self.drawn(0))
        rounds = 1 if self.protocol == "stream" else self.epochs + 1
        return each * rounds * len(self.cells())

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
    """Run all cells into a folder, yielding rows as they come; rows that were there before come first, at once.

    Raise RunError where another process is running it, and UnknownName for a model of no provider.
    """
    meter = Meter("bench", plan.budget)
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(beginning(folder, plan.model))
        stack.callback(held(folder).release)
        journal = stack.enter_context(closing(Journal(folder / RESULTS)))
        kept = {row.cell for row in results(folder)}  # also those of arms that this plan has not
        for name, seed in plan.cells():
            async with aclosing(_cell(plan, name, seed, folder / "cells" / f"{name}-{seed}", meter)) as rows:
                async for row in rows:
                    if row.cell not in kept:
                        journal.append(row.model_dump_json(exclude_defaults=True))
                    yield row


def results(folder: Path) -> list[Row]:
    """Return the rows of a run, finished or not; raise RunError where there are none, or one is damaged."""
    path = folder / RESULTS
    if not path.exists():
        raise RunError(f"{folder} holds no {RESULTS}: it is not the folder of a benchmark's run")
    return list(records(path, Row))


async def _cell(plan: Plan, name: str, seed: int, folder: Path, meter: Meter) -> AsyncGenerator[Row, None]:
    recipe = plan.arm(name)
    cell = Cell(
        suite=plan.suite, environment=identity(plan.environment), arm=name, seed=seed, model=plan.model.name,
        recipe=recipe.name or describe(recipe), protocol=plan.protocol,
    )  # fmt: skip
    belongs: dict[str, Json] = {"suite": plan.suite, "arm": name, "protocol": plan.protocol}
    with Memory.open(folder / "memory", embedder=plan.embedder, actor="agent") as memory:
        state = State(model=plan.model, memory=memory, environment=plan.environment, recipe=recipe, seed=seed)
        with Record.open(
            folder, about=about(state, tasks=plan.tasks, test=plan.test, **belongs), concurrency=plan.concurrency
        ) as record:
            state = replace(state, model=record.model(plan.model))
            async with aclosing(record.following(_met(plan, state, record), meter)) as found:
                async for epoch, place, met in found:
                    here = cell.but(epoch=epoch, place=place)
                    yield Row(cell=here, experience=met.experience, learning=met.learning)


async def _met(plan: Plan, state: State, record: Record) -> AsyncGenerator[tuple[int, int, Met], None]:
    """Yield what was met, with the round and the place that it was met in."""
    drawn = plan.drawn(state.seed)
    if plan.protocol == "stream":
        place = 0
        async for met in stream(state, drawn, record):
            yield 0, place, met
            place += 1
        return
    if plan.protocol == "epochs":
        rounds = epochs(state, drawn, plan.tested(state.seed), record, plan.epochs)
    else:
        rounds = trials(state, drawn, record, plan.epochs)
    async for found in rounds:
        for place, met in enumerate(found.met):
            yield found.number, place, met
