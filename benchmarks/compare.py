"""Comparing arms: curves, means, and paired differences with their intervals. It never scores anything itself."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from statistics import fmean

from agentevo.benchmarks.matrix import Row
from agentevo.errors import Misuse, UnknownName
from agentevo.statistics import learning_area, mcnemar, paired_bootstrap
from agentevo.types import Record, Usage

BLOCKS = 6
"""A stream's curve is drawn in so many blocks of tasks."""


class Arm(Record):
    """How an arm did: scores over the whole, along the way, and by groups of tasks; and what that cost."""

    name: str
    rows: int
    mean: float
    curve: tuple[float, ...]
    """Means of equal stretches of the stream, or after 0, 1, 2, ... epochs or further trials."""
    area: float
    groups: dict[str, float]
    answering: Usage
    """What the answers cost, all of those that count."""
    learning: Usage
    """What learning cost: judging, reflecting, retesting and, in epochs, the practice itself."""


class Difference(Record):
    """What one arm has over another, task by task: the mean, and the bounds of its 95 % interval."""

    arm: str
    over: str
    group: str = ""
    mean: float
    low: float
    high: float
    pairs: int
    better: int
    worse: int
    chance: float
    """McNemar's: of as many changes in one direction if neither were likelier."""


class Comparison(Record):
    """What a run says: its arms, and the last of them against each of the others."""

    suite: str
    model: str
    recipe: str
    protocol: str
    seeds: int
    arms: tuple[Arm, ...]
    differences: tuple[Difference, ...]


class Across(Record):
    """What one run has over another, arm by arm."""

    suite: str
    protocol: str
    differences: tuple[Difference, ...]


def compare(rows: Sequence[Row], arm: str | None = None) -> Comparison:
    """Compare an arm, by default the last, with each of the others, over the tasks that both have met."""
    names = _arms(rows)
    chosen = arm or names[-1]
    if chosen not in names:
        raise UnknownName("arm of this run", chosen, names)
    last = _last(rows)
    cell = next(row.cell for row in rows if row.cell.arm == chosen)
    return Comparison(
        suite=cell.suite, model=cell.model, recipe=cell.recipe, protocol=cell.protocol,
        seeds=len({row.cell.seed for row in rows}),
        arms=tuple(summary(name, [row for row in rows if row.cell.arm == name]) for name in names),
        differences=tuple(
            found
            for group in _groups(last)
            for other in names
            if other != chosen and (found := _difference(last, last, (chosen, other), group)) is not None
        ),
    )  # fmt: skip


def across(before: Sequence[Row], after: Sequence[Row], names: tuple[str, str], arm: str | None = None) -> Across:
    """Compare the arms of one run with those of another, task by task; raise Misuse where they met other tasks."""
    for what in ("environment", "protocol"):
        met = [sorted({str(getattr(row.cell, what)) for row in rows}) for rows in (before, after)]
        if met[0] != met[1]:
            raise Misuse(
                f"{names[0]} has the {what} {', '.join(met[0])}, {names[1]} {', '.join(met[1])}; runs are compared"
                " where both have the same"
            )
    arms = [name for name in _arms(before) if name in _arms(after)]
    if arm is not None and arm not in arms:
        raise UnknownName("arm of both runs", arm, arms)
    found = [
        difference
        for name in ([arm] if arm else arms)
        for difference in _between(_last(before), _last(after), name, names)
    ]
    if not found:
        raise Misuse(f"{names[0]} and {names[1]} have no arm in common that met the same tasks")
    return Across(suite=after[0].cell.suite, protocol=after[0].cell.protocol, differences=tuple(found))


def _between(before: Sequence[Row], after: Sequence[Row], arm: str, names: tuple[str, str]) -> Iterator[Difference]:
    for group in _groups((*before, *after)):
        found = _difference(after, before, (arm, arm), group)
        if found is not None:
            yield found.but(arm=f"{arm} of {names[1]}", over=f"{arm} of {names[0]}")


def _arms(rows: Sequence[Row]) -> list[str]:
    return list(dict.fromkeys(row.cell.arm for row in rows))


def _groups(rows: Sequence[Row]) -> list[str]:
    """Return the groups there are, first the whole, which stands alone where there is one group."""
    groups = sorted({group for row in rows if (group := group_of(row))})
    return ["", *(groups if len(groups) > 1 else ())]


def group_of(row: Row) -> str:
    """Return the group that the environment put the task in; empty where it has none."""
    return str(row.experience.task.data.get("group", ""))


def summary(name: str, rows: Sequence[Row]) -> Arm:
    """Return how an arm did."""
    last = _last(rows)
    curve = _curve(rows)
    groups = sorted({group for row in last if (group := group_of(row))})
    return Arm(
        name=name, rows=len(last), mean=_mean(last), curve=curve, area=learning_area(curve),
        groups={group: _mean([row for row in last if group_of(row) == group]) for group in groups},
        answering=sum((a.usage for row in rows for a in row.experience.attempts), Usage()),
        learning=sum((row.learning for row in rows), Usage()),
    )  # fmt: skip


def _last(rows: Sequence[Row]) -> list[Row]:
    """Return the rows of the last epoch."""
    epoch = max(row.cell.epoch for row in rows)
    return [row for row in rows if row.cell.epoch == epoch]


def _curve(rows: Sequence[Row]) -> tuple[float, ...]:
    if rows[0].cell.protocol != "stream":
        return tuple(_mean([r for r in rows if r.cell.epoch == n]) for n in sorted({r.cell.epoch for r in rows}))
    length = 1 + max(row.cell.place for row in rows)
    blocks = min(BLOCKS, length)
    parts = [[row for row in rows if row.cell.place * blocks // length == n] for n in range(blocks)]
    return tuple(_mean(part) for part in parts if part)


def _mean(rows: Iterable[Row]) -> float:
    return fmean(row.experience.score for row in rows)


def _difference(rows: Sequence[Row], others: Sequence[Row], arms: tuple[str, str], group: str) -> Difference | None:
    """Return what one arm of these rows has over one of those others; None where they met no task in common."""
    mine, theirs = _scores(rows, arms[0], group), _scores(others, arms[1], group)
    common = [key for key in mine if key in theirs]
    if not common:
        return None
    before, after = [theirs[key] for key in common], [mine[key] for key in common]
    found, change = paired_bootstrap(before, after), mcnemar(before, after)
    return Difference(
        arm=arms[0], over=arms[1], group=group, mean=found.estimate, low=found.low, high=found.high, pairs=found.n,
        better=change.better, worse=change.worse, chance=change.p,
    )  # fmt: skip


def _scores(rows: Sequence[Row], arm: str, group: str) -> dict[tuple[int, int, str], float]:
    """Return scores by seed, place and task: what two arms are paired by."""
    chosen = (row for row in rows if row.cell.arm == arm and group in ("", group_of(row)))
    return {(row.cell.seed, row.cell.place, row.experience.task.id): row.experience.score for row in chosen}
