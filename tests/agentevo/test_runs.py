"""What a run is known by: its folder, who holds that, and what it was begun with, which another run has otherwise."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import cast

import pytest
from cycles import Sums
from filelock import FileLock
from moments import memory, moment

from agentevo import Agent
from agentevo.environments.answers import Answers
from agentevo.environments.tool.house import House
from agentevo.environments.wrappers import OutputLimit, TimeLimit
from agentevo.errors import Misuse, RunError, UnknownName
from agentevo.memory import Memory
from agentevo.models import ScriptedModel
from agentevo.position import attempt_id
from agentevo.protocols import Environment, Recipe, State
from agentevo.record import Record
from agentevo.runs import about, beginning, folder_of, held
from agentevo.types import Attempt, Experience, Json, Op, Task


def described(environment: Environment) -> dict[str, Json]:
    with memory() as store:
        return about(replace(moment(store, ScriptedModel([])), environment=environment))


def answers(right: str, version: str = "") -> Answers:
    rows = [{"question": f"Whose is desk {n}?", "answer": right} for n in range(5)]
    return Answers(rows, instruction="", version=version)


@pytest.mark.parametrize(
    ("one", "other", "differing"),
    [
        (House(), House(level=2), {"options"}),
        (House(), House(tasks=50), {"options", "splits"}),
        (House(), TimeLimit(House(), steps=3), {"options"}),
        (TimeLimit(House(), steps=3), TimeLimit(House(), steps=4), {"options"}),
        (TimeLimit(House(), steps=3), TimeLimit(House(), seconds=3), {"options"}),
        (OutputLimit(House(), 20), OutputLimit(House(level=3), 20), {"options"}),
        (answers("Ada"), answers("Bob"), {"environment", "options"}),
        (answers("Ada", version="3"), answers("Bob", version="3"), {"options"}),
        (answers("Ada"), answers("Ada"), set()),
        (House(), House(level=1), set()),
    ],
)
def test_environments_that_differ_are_told_apart(one: Environment, other: Environment, differing: set[str]) -> None:
    first, second = described(one), described(other)
    del first["memory"], second["memory"]
    assert {name for name in first if first[name] != second[name]} == differing


def test_a_memory_is_known_where_it_was_moved_and_not_where_it_was_made_anew(tmp_path: Path) -> None:
    def known_by(folder: Path) -> Json:
        with Memory.open(folder, embedder="hash") as store:
            return about(moment(store, ScriptedModel([])))["memory"]

    first = known_by(tmp_path / "a")
    (tmp_path / "a").rename(tmp_path / "b")
    assert known_by(tmp_path / "b") == first
    assert known_by(tmp_path / "a") != first


def test_sizes_belong_to_a_run() -> None:
    with memory() as store:
        assert about(moment(store, ScriptedModel([])), tasks=48)["tasks"] == 48


def test_a_run_is_kept_under_its_name(tmp_path: Path, empty_home: Path) -> None:
    assert folder_of("mine") == empty_home / "runs" / "mine"
    assert folder_of("mine", runs=tmp_path) == tmp_path / "mine"
    assert folder_of(kind="bench").name.startswith("bench-2")
    assert len({folder_of() for _ in range(8)}) > 1


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "/tmp", "a/"])
def test_a_name_that_is_no_folders_is_refused(name: str) -> None:
    with pytest.raises(Misuse, match="a run is named like a folder, without separators"):
        folder_of(name)


def test_a_run_is_held_by_one_at_a_time(tmp_path: Path) -> None:
    with (
        FileLock(tmp_path / "lock", is_singleton=False),
        pytest.raises(RunError, match="under way already, in this process or another"),
    ):
        held(tmp_path)
    held(tmp_path).release()
    with Record.open(tmp_path), pytest.raises(RunError, match="under way already, in this process or another"):
        held(tmp_path)


def test_a_folder_that_cannot_be_made_is_an_error_of_the_run(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match="cannot use the run folder"):
        held(tmp_path / "file" / "run")


class Unknown(ScriptedModel):
    """A model that goes by no provider's name, which takes so long to find out that another begins the run."""

    def __init__(self, run: Path) -> None:
        super().__init__([])
        self._run = run

    async def check_name(self) -> None:
        with Record.open(self._run):
            raise UnknownName("model", "nobody/nothing", ["local/smollm2-135m"])


def test_a_run_that_another_began_meanwhile_is_not_taken_away(tmp_path: Path) -> None:
    async def begun() -> None:
        async with beginning(tmp_path / "run", Unknown(tmp_path / "run")):
            raise AssertionError("nothing is begun with a model that nobody knows")

    with pytest.raises(UnknownName):
        asyncio.run(begun())
    assert (tmp_path / "run" / "run.json").is_file()


def test_a_run_that_finished_a_turn_without_a_model_stays_where_misuse_ends_the_next(tmp_path: Path) -> None:
    tried = itertools.count()

    async def guess(state: State, task: Task) -> list[Attempt]:
        next(tried)
        return [Attempt(id=attempt_id(), task=task, answer="3")]

    async def broken_at_first(state: State, experiences: Sequence[Experience]) -> list[Op]:
        return [] if state.round == 0 or (tmp_path / "mended").exists() else cast(list[Op], "no list")

    recipe = Recipe(act=guess, update=[broken_at_first])
    with memory() as store:
        agent = Agent(ScriptedModel([]), memory=store, recipe=recipe, environment=Sums(), runs=tmp_path / "runs")
        with pytest.raises(Misuse, match="slot 'update'"):
            list(agent.evolve(run="x", cycles=2))
        made = next(tried)
        (tmp_path / "mended").touch()
        assert [report.accepted for report in agent.evolve(run="x", cycles=2)] == [True, True]
        evaluated = len(Sums().tasks("dev"))
        assert next(tried) == made + 1 + evaluated
