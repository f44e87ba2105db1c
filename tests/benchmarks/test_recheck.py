"""Results checked again: what scores as it did, what does not, and an environment that is not the one that was run."""

from __future__ import annotations

import asyncio
from pathlib import Path

from sheets import ran, sheet

from agentevo.benchmarks.matrix import Row
from agentevo.benchmarks.recheck import Recheck, recheck
from agentevo.phases.act import Sample
from agentevo.protocols import Recipe
from agentevo.recipes import load


def rechecked(rows: list[Row]) -> Recheck:
    return asyncio.run(recheck(rows))


def rows_in(folder: Path) -> list[Row]:
    return ran(folder, load("reflexion"), arms=("null", "memory"), protocol="trials")


def test_what_was_not_touched_scores_as_it_did(tmp_path: Path) -> None:
    found = rechecked(rows_in(tmp_path))
    assert (found.ok, found.rows, found.checked) == (True, 16, 16)


def test_an_answer_that_was_edited_scores_otherwise(tmp_path: Path) -> None:
    *rows, last = rows_in(tmp_path)
    (attempt,) = last.experience.attempts
    edited = last.but(experience=last.experience.but(attempts=(attempt.but(answer="12"),)))
    (changed,) = rechecked([*rows, edited]).changed
    assert (changed.arm, changed.epoch, changed.task, changed.then, changed.now) == (
        "memory", 1, last.experience.task.id, 1.0, 0.0,
    )  # fmt: skip


def test_answers_of_an_edited_environment_are_told(tmp_path: Path) -> None:
    rows = rows_in(tmp_path)
    suite = sheet(tmp_path, of_0="7")
    found = rechecked(rows)
    assert not found.ok
    (other,) = found.others
    assert other.startswith(f"{suite} was sums@")
    assert {(c.arm, c.then, c.now) for c in found.changed} == {("memory", 1.0, 0.0)}


def test_a_task_that_is_gone_cannot_be_scored(tmp_path: Path) -> None:
    rows = rows_in(tmp_path)
    path = tmp_path / "sums.csv"
    path.write_text(path.read_text("utf-8").replace("3+4", "4+3"), "utf-8")
    gone = [changed for changed in rechecked(rows).changed if changed.now is None]
    assert {changed.arm for changed in gone} == {"null", "memory"}
    assert "has no task" in gone[0].why


def test_where_nothing_was_attempted_there_is_nothing_to_check(tmp_path: Path) -> None:
    async def silent(state: object, task: object) -> list[object]:
        return []

    rows = ran(tmp_path, Recipe(act=Sample()), arms=("null",))
    empty = [row.but(experience=row.experience.but(attempts=())) for row in rows]
    found = rechecked(empty)
    assert (found.ok, found.rows, found.checked) == (True, 4, 0)
