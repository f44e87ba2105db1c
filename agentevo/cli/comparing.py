"""Showing benchmarks: suites, arms and their curves, differences with their intervals, and what a recheck found."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from agentevo.cli.memory.shown import is_unicode, one_line
from agentevo.cli.output import number, show, show_json, show_table

if TYPE_CHECKING:
    from agentevo.benchmarks.compare import Across, Arm, Comparison, Difference
    from agentevo.benchmarks.recheck import Changed, Recheck
    from agentevo.types import Card

BARS = " ▁▂▃▄▅▆▇█"
MOST_CHANGED = 20
"""So many rows that changed are shown one by one."""


def show_suites(*, as_json: bool) -> None:
    """Print the suites, also those that need an option before they can say more."""
    from agentevo.benchmarks.suites import suites

    found = suites()
    if as_json:
        show_json([s.card.model_dump(mode="json") if s.card else {"name": s.name, "needs": s.needs} for s in found])
        return
    columns = ("suite", "splits", "null", "gold", "licence", "what it is")
    show_table(columns, [_facts(s.card) if s.card else (s.name, "", "", "", "", s.needs) for s in found])


def _facts(card: Card) -> tuple[str, ...]:
    splits = ", ".join(f"{split} {count}" for split, count in card.splits.items())
    scores = ("" if score is None else f"{score:g}" for score in (card.null_score, card.gold_score))
    return (f"{card.name}@{card.version}", splits, *scores, card.licence, one_line(card.description))


def show_comparison(found: Comparison, folder: Path) -> None:
    """Print a comparison as people read it."""
    seeds = "1 seed" if found.seeds == 1 else f"{number(found.seeds)} seeds"
    show(f"{found.suite}, {found.protocol}, {seeds}, {found.model}, recipe {found.recipe}")
    show("")
    groups = sorted({group for arm in found.arms for group in arm.groups})
    groups = groups if len(groups) > 1 else []  # a single one says the mean again
    columns = ("arm", "mean", *groups, "tokens to answer", "to learn", "cost to answer", "to learn", "curve", "")
    _show_fitted(columns, [_row(arm, groups) for arm in found.arms])
    show("")
    for difference in found.differences:
        show(_said(difference))
    show("")
    show(f"Rows: {folder / 'results.jsonl'}; each arm's memory: {folder / 'cells'}/ARM-SEED/memory")


def _row(arm: Arm, groups: Sequence[str]) -> tuple[str, ...]:
    return (
        arm.name, f"{arm.mean:.3f}", *(f"{arm.groups[g]:.3f}" if g in arm.groups else "" for g in groups),
        number(arm.answering.tokens), number(arm.learning.tokens),
        f"${arm.answering.cost_usd:.4f}", f"${arm.learning.cost_usd:.4f}",
        spark(arm.curve), " ".join(f"{value:.2f}" for value in arm.curve),
    )  # fmt: skip


def _show_fitted(columns: Sequence[str], rows: Sequence[tuple[str, ...]]) -> None:
    """Print a table; a terminal too narrow for it is not shown the curve's numbers, or else not what it cost either."""
    every = range(len(columns))
    for shown in (every, every[:-1], (*every[:-6], every[-2])):
        table = [tuple(row[n] for n in shown) for row in (columns, *rows)]
        width = sum(max(map(len, column)) + 2 for column in zip(*table, strict=True)) - 2
        if not sys.stdout.isatty() or width <= shutil.get_terminal_size().columns:
            break
    show_table(table[0], table[1:])


def spark(values: Sequence[float]) -> str:
    """Draw numbers from 0 to 1 as bars, or as digits from 0 to 9 where there are no bars."""
    steps = BARS if is_unicode() else "0123456789"
    return "".join(steps[round(min(max(value, 0.0), 1.0) * (len(steps) - 1))] for value in values)


def show_across(found: Across) -> None:
    """Print what one run has over another."""
    show(f"{found.suite}, {found.protocol}")
    for difference in found.differences:
        show(_said(difference))


def _said(d: Difference) -> str:
    where = f" on {d.group}" if d.group else ""
    verdict = "" if d.low <= 0 <= d.high else " (excludes 0)"
    return (
        f"{d.arm} - {d.over}{where}: {d.mean:+.3f}, 95% interval {d.low:+.3f} to {d.high:+.3f}{verdict}; "
        f"{d.better} better, {d.worse} worse of {d.pairs}"
    )


def show_recheck(found: Recheck) -> None:
    """Print what came of checking results again."""
    for other in found.others:
        show(f"another environment: {other}")
    for changed in found.changed[:MOST_CHANGED]:
        show(_changed(changed))
    if len(found.changed) > MOST_CHANGED:
        show(f"... and {len(found.changed) - MOST_CHANGED} more")
    without = f", {found.rows - found.checked} have no attempt" if found.checked < found.rows else ""
    same = found.checked - len(found.changed)
    show(f"{number(same)} of {number(found.checked)} answers score as they did{without}")


def _changed(changed: Changed) -> str:
    now = "cannot be scored" if changed.now is None else f"{changed.now:g}"
    why = f" ({one_line(changed.why)})" if changed.why else ""
    where = f"{changed.arm}-{changed.seed}, epoch {changed.epoch}, place {changed.place}"
    return f"changed: {where}, task {changed.task}: was {changed.then:g}, now {now}{why}"
