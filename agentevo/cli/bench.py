"""`agentevo bench`: compare arms on a suite, and look at what came out."""

from __future__ import annotations

import asyncio
import shutil
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import aclosing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from agentevo.cli.memory.shown import is_unicode, one_line
from agentevo.cli.output import number, progress, show, show_json, show_table, tell
from agentevo.cli.watching import has_failed, watched
from agentevo.errors import Misuse, RunError

if TYPE_CHECKING:
    from agentevo.benchmarks.compare import Arm, Comparison, Difference
    from agentevo.benchmarks.matrix import Plan, Row
    from agentevo.types import Card, Json

app = typer.Typer(help="Compare an agent with memory, without, and with cheap rules, on a suite of tasks.")

BARS = " ▁▂▃▄▅▆▇█"


@app.command("run")
def run(
    suite: Annotated[str, typer.Argument(help="What to work on, such as house, house:level=2 or house@1/test.")],
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
    with _alone(folder):
        rows = asyncio.run(_all(plan, folder))
    _tell_failures(rows)
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
    _tell_failures(rows)
    found = compare(rows, arm)
    show_json(found.model_dump(mode="json")) if as_json else show_comparison(found, folder)


@app.command("list")
def list_(as_json: Annotated[bool, typer.Option("--json", help="Print it as JSON.")] = False) -> None:
    """List the suites there are, and which options those need that need some."""
    show_suites(as_json=as_json)


def show_suites(*, as_json: bool) -> None:
    """Print the environments, also those that need an option before they can say more."""
    cards, needing = _suites()
    if as_json:
        said: list[Json] = [card.model_dump(mode="json") for card in cards]
        said += [{"name": name, "needs": why} for name, why in needing]
        show_json(said)
        return
    rows = [(f"{c.name}@{c.version}", ", ".join(f"{k} {n}" for k, n in c.splits.items()), c.description) for c in cards]
    show_table(("suite", "splits", "what it is"), [*rows, *((name, "", why) for name, why in needing)])


def _suites() -> tuple[list[Card], list[tuple[str, str]]]:
    """Return the cards of the environments that need only their name, and what the others need."""
    from agentevo.environments.load import ENVIRONMENTS, load

    cards, needing = [], []
    for name in sorted(ENVIRONMENTS):
        try:
            cards.append(load(name)[0].card)
        except Misuse as error:
            needing.append((name, str(error)))
    return cards, needing


def folder_of(name: str | None, kind: str = "bench") -> Path:
    """Return the folder of a run, by its name; a run without one is called after its kind and the time."""
    from agentevo.settings import home

    name = time.strftime(f"{kind}-%Y%m%d-%H%M%S") if name is None else name
    if not name or name != Path(name).name or name == "..":
        raise Misuse(f"a run is named like a folder, without separators; got {name!r}")
    return home() / "runs" / name


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Hold a run's folder; raise RunError where another process does."""
    from filelock import FileLock, Timeout

    lock = FileLock(folder / "lock", timeout=0)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except Timeout as error:
        raise RunError(f"the run in {folder} is under way in another process; wait for it, or name another") from error
    try:
        yield
    finally:
        lock.release()


async def _all(plan: Plan, folder: Path) -> list[Row]:
    from agentevo.benchmarks.matrix import run
    from agentevo.cli.models import pull_progress

    rows: list[Row] = []
    total = plan.rows()

    async def running() -> None:
        async with aclosing(run(plan, folder)) as found:
            async for row in found:
                rows.append(row)
                so_far("answers", len(rows), total)

    with pull_progress(), progress(amount=number) as so_far:
        await watched(running())
    return rows


def _tell_failures(rows: Sequence[Row]) -> None:
    """Say of each arm how often its model failed: an answer that was never given scores nothing."""
    for name in dict.fromkeys(row.cell.arm for row in rows):
        attempts = [a for row in rows if row.cell.arm == name for a in row.experience.attempts]
        failed = [attempt.stopped for attempt in attempts if has_failed(attempt)]
        if failed:
            tell(f"arm {name}: in {len(failed)} of {len(attempts)} answers the model failed: {one_line(failed[-1])}")


# --- showing it


def show_comparison(found: Comparison, folder: Path) -> None:
    """Print a comparison as people read it."""
    show(f"{found.suite}, {found.protocol}, {found.seeds} seeds, {found.model}, recipe {found.recipe}")
    show("")
    groups = sorted({group for arm in found.arms for group in arm.groups})
    groups = groups if len(groups) > 1 else []  # a single one says the mean again
    columns = ("arm", "mean", *groups, "tokens", "cost", "curve", "")
    _show_fitted(columns, [_row(arm, groups) for arm in found.arms])
    show("")
    for difference in found.differences:
        show(_said(difference))
    show("")
    show(f"Rows: {folder / 'results.jsonl'}; each arm's memory: {folder / 'cells'}/ARM-SEED/memory")


def _row(arm: Arm, groups: Sequence[str]) -> tuple[str, ...]:
    return (
        arm.name, f"{arm.mean:.3f}", *(f"{arm.groups[g]:.3f}" if g in arm.groups else "" for g in groups),
        f"{arm.usage.tokens:,}", f"${arm.usage.cost_usd:.4f}", spark(arm.curve),
        " ".join(f"{value:.2f}" for value in arm.curve),
    )  # fmt: skip


def _show_fitted(columns: Sequence[str], rows: Sequence[tuple[str, ...]]) -> None:
    """Print a table; its last column, the numbers of the curve, is left out on a terminal too narrow for it."""
    width = sum(max(map(len, column)) + 2 for column in zip(columns, *rows, strict=True)) - 2
    if sys.stdout.isatty() and width > shutil.get_terminal_size().columns:
        columns, rows = columns[:-1], [row[:-1] for row in rows]
    show_table(columns, rows)


def spark(values: Sequence[float]) -> str:
    """Draw numbers from 0 to 1 as bars, or as digits from 0 to 9 where there are no bars."""
    steps = BARS if is_unicode() else "0123456789"
    return "".join(steps[round(min(max(value, 0.0), 1.0) * (len(steps) - 1))] for value in values)


def _said(d: Difference) -> str:
    where = f" on {d.group}" if d.group else ""
    verdict = "" if d.low <= 0 <= d.high else " (excludes 0)"
    return (
        f"{d.arm} - {d.over}{where}: {d.mean:+.3f}, 95% interval {d.low:+.3f} to {d.high:+.3f}{verdict}; "
        f"{d.better} better, {d.worse} worse of {d.pairs}"
    )
