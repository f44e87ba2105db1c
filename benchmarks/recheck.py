"""Checking results again: stored attempts are handed to the environment once more, which must say what it said."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from agentevo.benchmarks.matrix import Row
from agentevo.environments.load import load
from agentevo.errors import Misuse
from agentevo.protocols import Environment
from agentevo.runs import identity
from agentevo.together import together
from agentevo.types import Record

AT_ONCE = 8
SAME = 1e-9
"""Scores that differ by less are the same: some are shares."""


class Changed(Record):
    """An answer of which the environment says something else now."""

    arm: str
    seed: int
    epoch: int
    place: int
    task: str
    then: float
    now: float | None
    why: str = ""


class Recheck(Record):
    """What came of checking rows again. An environment that is not the one that was run stands in `others`."""

    rows: int
    checked: int
    changed: tuple[Changed, ...] = ()
    others: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        return not self.changed and not self.others


async def recheck(rows: Sequence[Row], so_far: Callable[[int], object] = bool) -> Recheck:
    """Score stored attempts again, and compare the environment with the one that was run.

    Rows without an attempt have nothing to check. `so_far` is told how many were checked.
    """
    environments = {suite: load(suite)[0] for suite in {row.cell.suite for row in rows}}
    limit, done = asyncio.Semaphore(AT_ONCE), 0

    async def one(row: Row) -> Changed | None:
        nonlocal done
        async with limit:
            changed = await _checked(environments[row.cell.suite], row)
        so_far(done := done + 1)
        return changed

    attempted = [row for row in rows if row.experience.attempts]
    found = await together(one(row) for row in attempted)
    return Recheck(
        rows=len(rows), checked=len(attempted), changed=tuple(one for one in found if one is not None),
        others=tuple(dict.fromkeys(_others(environments, rows))),
    )  # fmt: skip


def _others(environments: dict[str, Environment], rows: Sequence[Row]) -> list[str]:
    known = {suite: identity(environment) for suite, environment in environments.items()}
    return [
        f"{row.cell.suite} was {row.cell.environment}, and is {known[row.cell.suite]}"
        for row in rows
        if row.cell.environment != known[row.cell.suite]
    ]


async def _checked(environment: Environment, row: Row) -> Changed | None:
    """Return what is said otherwise of a row's attempt, as if nobody had said anything of it yet."""
    task, attempt = row.experience.task, row.experience.attempts[0]
    now, why = None, ""
    try:
        now = (await environment.verify(task, attempt.but(feedback=()))).score
    except Misuse as error:  # a task that is there no more
        why = str(error)
    if now is not None and abs(now - row.experience.score) < SAME:
        return None
    cell = row.cell
    return Changed(
        arm=cell.arm, seed=cell.seed, epoch=cell.epoch, place=cell.place, task=task.id, then=row.experience.score,
        now=now, why=why,
    )  # fmt: skip
