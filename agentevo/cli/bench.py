"""`agentevo bench`: compare arms on a suite, and look at what came out."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from contextlib import aclosing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from agentevo.cli.output import show, show_json, show_table, tell
from agentevo.errors import Misuse

if TYPE_CHECKING:
    from agentevo.benchmarks.compare import Arm, Comparison, Difference
    from agentevo.benchmarks.matrix import Plan, Row

app = typer.Typer(help="Compare an agent with memory, without, and with cheap rules, on a suite of tasks.")

EVERY_S = 10.0
BARS = " ▁▂▃▄▅▆▇█"


@app.command("run")
def run(
    suite: Annotated[str, typer.Argument(help="NAME[:OPTION=VALUE,...][@VERSION][/SPLIT], such as house:level=2@1.")],
    arms: Annotated[
        str, typer.Option(help="none, null, copy, rule, memory, or any recipe's name, parted by commas.")
    ] = "none,copy,rule,memory",
    seeds: Annotated[int, typer.Option(min=1, help="How often, each time in another order.")] = 1,
    model: Annotated[str | None, typer.Option("--model", "-m", help="local/NAME or any litellm model name.")] = None,
    recipe: Annotated[str, typer.Option(help="The recipe that the arm `memory` is.")] = "evo",
    protocol: Annotated[str, typer.Option(help="stream: learn after each task. epochs: learn, then test.")] = "stream",
    tasks: Annotated[int, typer.Option(min=1, help="How many tasks are practised.")] = 60,
    test: Annotated[int, typer.Option(min=1, help="How many are tested on (epochs).")] = 60,
    epochs: Annotated[int, typer.Option(min=1, help="How often the tasks are practised (epochs).")] = 1,
    embedder: Annotated[
        str | None, typer.Option(help="What recall compares texts with; hash needs no weights.")
    ] = None,
    max_cost: Annotated[float | None, typer.Option(min=0, help="Spend at most this many dollars.")] = None,
    concurrency: Annotated[int, typer.Option(min=1, help="Attempts under way at once.")] = 8,
    name: Annotated[str | None, typer.Option("--run", help="Name the run; the same name goes on where it was.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the comparison as JSON.")] = False,
) -> None:
    """Run arms on a suite and compare them task by task."""
    from agentevo.benchmarks.compare import compare
    from agentevo.benchmarks.matrix import Plan
    from agentevo.benchmarks.suites import tuned
    from agentevo.models import Budget, as_model
    from agentevo.settings import settings

    preset = settings()
    plan = Plan(
        suite, tuned(suite, recipe), as_model(model or preset.model), [part.strip() for part in arms.split(",")],
        seeds=seeds, protocol=protocol, tasks=tasks, test=test, epochs=epochs, embedder=embedder,  # type: ignore[arg-type]
        budget=Budget(max_cost_usd=preset.max_cost_usd if max_cost is None else max_cost), concurrency=concurrency,
    )  # fmt: skip
    folder = folder_of(name)
    tell(f"{suite}: {len(plan.cells())} cells, {plan.rows()} answers; go on after a stop with --run {folder.name}")
    rows = asyncio.run(_all(plan, folder))
    found = compare(rows)
    show_json(found.model_dump(mode="json")) if as_json else show_comparison(found, folder)


@app.command("report")
def report(
    run: Annotated[str, typer.Argument(help="The run's name, or its folder.")],
    arm: Annotated[str | None, typer.Option(help="Which arm is compared with the others; the last one.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the comparison as JSON.")] = False,
) -> None:
    """Show what a run came to, as far as it has come."""
    from agentevo.benchmarks.compare import compare
    from agentevo.benchmarks.matrix import results

    folder = Path(run) if Path(run).is_dir() else folder_of(run)
    rows = results(folder)
    if not rows:
        raise Misuse(f"{folder} has no results yet")
    found = compare(rows, arm)
    show_json(found.model_dump(mode="json")) if as_json else show_comparison(found, folder)


@app.command("list")
def list_(as_json: Annotated[bool, typer.Option("--json", help="Print it as JSON.")] = False) -> None:
    """List the suites there are."""
    from agentevo.benchmarks.suites import suites

    found = suites()
    if as_json:
        show_json([card.model_dump(mode="json") for card in found])
        return
    rows = [(f"{c.name}@{c.version}", ", ".join(f"{k} {n}" for k, n in c.splits.items()), c.description) for c in found]
    show_table(("suite", "splits", "what it is"), rows)


def folder_of(name: str | None) -> Path:
    """Return the folder of a run, by its name."""
    from agentevo.settings import home

    name = time.strftime("bench-%Y%m%d-%H%M%S") if name is None else name
    if not name or name != Path(name).name or name == "..":
        raise Misuse(f"a run is named like a folder, without separators; got {name!r}")
    return home() / "runs" / name


async def _all(plan: Plan, folder: Path) -> list[Row]:
    from agentevo.benchmarks.matrix import run

    rows, total, said = [], plan.rows(), time.monotonic()
    async with aclosing(run(plan, folder)) as found:
        async for row in found:
            rows.append(row)
            if time.monotonic() - said > EVERY_S:
                said = time.monotonic()
                tell(f"{len(rows)} of {total} answers, now arm {row.cell.arm}, seed {row.cell.seed}")
    return rows


# --- showing it


def show_comparison(found: Comparison, folder: Path) -> None:
    """Print a comparison as people read it."""
    show(f"{found.suite}, {found.protocol}, {found.seeds} seeds, {found.model}, recipe {found.recipe}")
    show("")
    groups = sorted({group for arm in found.arms for group in arm.groups})
    columns = ("arm", "mean", *groups, "curve", "", "tokens", "cost")
    show_table(columns, [_row(arm, groups) for arm in found.arms])
    show("")
    for difference in found.differences:
        show(_said(difference))
    show("")
    show(f"Rows: {folder / 'results.jsonl'}; each arm's memory: {folder / 'cells'}/ARM-SEED/memory")


def _row(arm: Arm, groups: Sequence[str]) -> tuple[str, ...]:
    return (
        arm.name, f"{arm.mean:.3f}", *(f"{arm.groups[g]:.3f}" if g in arm.groups else "" for g in groups),
        spark(arm.curve), " ".join(f"{value:.2f}" for value in arm.curve), f"{arm.usage.tokens:,}",
        f"${arm.usage.cost_usd:.4f}",
    )  # fmt: skip


def spark(values: Sequence[float]) -> str:
    """Draw numbers from 0 to 1 as bars."""
    return "".join(BARS[round(min(max(value, 0.0), 1.0) * (len(BARS) - 1))] for value in values)


def _said(d: Difference) -> str:
    where = f" on {d.group}" if d.group else ""
    verdict = "" if d.low <= 0 <= d.high else " (excludes 0)"
    return (
        f"{d.arm} - {d.over}{where}: {d.mean:+.3f}, 95% interval {d.low:+.3f} to {d.high:+.3f}{verdict}; "
        f"{d.better} better, {d.worse} worse of {d.pairs}"
    )
