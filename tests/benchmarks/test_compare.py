"""Two runs compared: task by task, arm by arm, and only where both met the same."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from sheets import ran, sheet

from agentevo.benchmarks.compare import across
from agentevo.benchmarks.matrix import Row
from agentevo.errors import Misuse, UnknownName
from agentevo.recipes import load

NAMES = ("old", "new")


@pytest.fixture
def forgetful(tmp_path: Path) -> list[Row]:
    return rows(tmp_path, "forgetful", learns=False)


@pytest.fixture
def learned(tmp_path: Path) -> list[Row]:
    return rows(tmp_path, "learned", learns=True)


def rows(folder: Path, name: str, *, learns: bool) -> list[Row]:
    recipe = load("reflexion")
    (folder / name).mkdir()
    sheet(folder / name)
    return ran(
        folder / name, recipe if learns else replace(recipe, update=()), arms=("null", "memory"), protocol="trials"
    )


def test_the_second_run_is_held_against_the_first(forgetful: list[Row], learned: list[Row]) -> None:
    found = across(forgetful, learned, NAMES)
    assert [(d.arm, d.over, d.mean, d.pairs) for d in found.differences] == [
        ("null of new", "null of old", 0.0, 4),
        ("memory of new", "memory of old", 1.0, 4),
    ]
    (back,) = across(learned, forgetful, NAMES, "memory").differences
    assert (back.mean, back.better, back.worse) == (-1.0, 0, 4)


def test_runs_in_other_environments_are_not_compared(forgetful: list[Row], learned: list[Row]) -> None:
    others = [row.but(cell=row.cell.but(environment="sums@0+1")) for row in forgetful]
    with pytest.raises(Misuse, match=r"old has the environment sums@0\+1, new sums@"):
        across(others, learned, NAMES)
    streamed = [row.but(cell=row.cell.but(protocol="stream")) for row in forgetful]
    with pytest.raises(Misuse, match="old has the protocol stream, new trials"):
        across(streamed, learned, NAMES)


def test_an_arm_that_only_one_run_has_is_named(forgetful: list[Row], learned: list[Row]) -> None:
    only = [row for row in forgetful if row.cell.arm == "null"]
    with pytest.raises(UnknownName, match="unknown arm of both runs 'memory'; known: null"):
        across(only, learned, NAMES, "memory")


def test_runs_that_met_no_task_in_common_are_refused(forgetful: list[Row], learned: list[Row]) -> None:
    others = [row.but(cell=row.cell.but(seed=row.cell.seed + 1)) for row in forgetful]
    with pytest.raises(Misuse, match="old and new have no arm in common that met the same tasks"):
        across(others, learned, NAMES)
