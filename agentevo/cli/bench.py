"""`agentevo bench`: compare arms on a suite, look at what came out, and check it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import aclosing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeAlias, get_args

import typer

from agentevo.cli.comparing import show_across, show_comparison, show_recheck, show_suites
from agentevo.cli.memory.shown import one_line
from agentevo.cli.output import number, progress, show_json, tell
from agentevo.cli.watching import watched
from agentevo.cli.weights_loop import NAME, loop_of, run_loop
from agentevo.errors import Misuse

if TYPE_CHECKING:
    from agentevo.benchmarks.matrix import Plan, Row

JsonOption: TypeAlias = Annotated[bool, typer.Option("--json", help="Print it as JSON.")]
RunArgument: TypeAlias = Annotated[str, typer.Argument(help="The run's name, or its folder.")]

app = typer.Typer(help="Compare an agent with memory, without, and with cheap rules, on a suite of tasks.")


TAKEN_BY_LOOP = ("suite", "model", "tasks", "test", "embedder", "name", "as_json")
"""The parameters that the suite weights-loop takes; it says itself which arms there are, and what is done with them."""
PROTOCOLS_OF = {"test": ("epochs",), "epochs": ("epochs", "trials")}
"""The parameters that mean something in some protocols alone, and which these are."""


@app.command("run")
def run(
    context: typer.Context,
    suite: Annotated[str, typer.Argument(help="What to work on: house, house:level=2, house@1/test, or weights-loop.")],
    arms: Annotated[
        str, typer.Option(help="none, null, copy, rule, memory, or any recipe's name, parted by commas.")
    ] = "none,copy,rule,memory",
    seeds: Annotated[int, typer.Option(min=1, help="How often, each time in another order.")] = 1,
    model: Annotated[str | None, typer.Option("--model", "-m", help="local/NAME or any litellm model name.")] = None,
    recipe: Annotated[str, typer.Option(help="The recipe that the arm `memory` is.")] = "evo",
    protocol: Annotated[
        str,
        typer.Option(help="stream: learn after each task. epochs: learn, then test. trials: try again what failed."),
    ] = "stream",
    tasks: Annotated[
        int | None, typer.Option(min=1, help="How many tasks are practised: 60, or 80 (weights-loop).")
    ] = None,
    test: Annotated[
        int | None, typer.Option(min=1, help="How many are tested on: 60 (epochs), or 40 (weights-loop).")
    ] = None,
    epochs: Annotated[int, typer.Option(min=1, help="How often tasks are practised (epochs), or tried again.")] = 1,
    embedder: Annotated[
        str | None, typer.Option(help="What recall compares texts with; hash needs no weights.")
    ] = None,
    max_cost: Annotated[float | None, typer.Option(min=0, help="Spend at most this many dollars.")] = None,
    concurrency: Annotated[int, typer.Option(min=1, help="Attempts under way at once.")] = 8,
    name: Annotated[str | None, typer.Option("--run", help="Name the run; the same name goes on where it was.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Run arms on a suite and compare them task by task; `weights-loop` trains what an agent experienced."""
    from agentevo.benchmarks.matrix import Plan
    from agentevo.benchmarks.suites import tuned
    from agentevo.models import Budget, as_model
    from agentevo.runs import folder_of
    from agentevo.settings import settings

    preset = settings()
    _must_count(context, suite, protocol)
    if suite == NAME:
        run_loop(loop_of(model or preset.model, name, tasks, test, embedder), as_json=as_json)
        return
    # The ignored argument is the protocol: any text can be typed, and Plan names those that there are.
    plan = Plan(
        suite, tuned(suite, recipe), as_model(model or preset.model), [part.strip() for part in arms.split(",")],
        seeds=seeds, protocol=protocol, tasks=tasks or 60, test=test or 60, epochs=epochs, embedder=embedder,  # type: ignore[arg-type]
        budget=Budget(max_cost_usd=preset.max_cost_usd if max_cost is None else max_cost), concurrency=concurrency,
    )  # fmt: skip
    folder = folder_of(name, "bench")
    _tell_fewer(plan, tasks, test)
    _compared(asyncio.run(_all(plan, folder, is_new=not folder.exists())), folder, as_json=as_json)


def _compared(rows: Sequence[Row], folder: Path, arm: str | None = None, *, as_json: bool) -> None:
    from agentevo.benchmarks.compare import compare

    _tell_failures(rows)
    found = compare(rows, arm)
    show_json(found.model_dump(mode="json")) if as_json else show_comparison(found, folder)


def _tell_fewer(plan: Plan, tasks: int | None, test: int | None) -> None:
    """Say where there are fewer tasks than were asked for."""
    if tasks is not None and (there := len(plan.drawn(0))) < tasks:
        tell(f"{plan.suite} has {number(there)} tasks to practise on, not {number(tasks)}: all of them are taken")
    if test is not None and (there := len(plan.tested(0))) < test:
        tell(f"{plan.suite} has {number(there)} tasks to test on, not {number(test)}: all of them are taken")


def _must_count(context: typer.Context, suite: str, protocol: str) -> None:
    """Raise Misuse for an option that was given and would do nothing; of a protocol that is none, Plan says so."""
    from agentevo.benchmarks.matrix import Protocol

    given = {p.name: p.opts[0] for p in context.command.params if _is_given(context, p.name or "")}
    if suite == NAME:
        wrong = [option for name, option in given.items() if name not in TAKEN_BY_LOOP]
        why = f"{NAME} says itself what it compares, and how"
    elif protocol in get_args(Protocol):
        wrong = [option for name, option in given.items() if protocol not in PROTOCOLS_OF.get(name or "", (protocol,))]
        why = f"the protocol {protocol} has no use for it; see --protocol"
    else:
        return
    if wrong:
        raise Misuse(f"{wrong[0]} does nothing here: {why}; leave it out")


def _is_given(context: typer.Context, name: str) -> bool:
    source = context.get_parameter_source(name)
    return source is not None and source.name == "COMMANDLINE"


@app.command("report")
def report(
    run: RunArgument,
    arm: Annotated[str | None, typer.Option(help="Which arm is compared with the others; the last one.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Show what a run came to, as far as it has come."""
    folder = _there(run)
    _compared(_rows(folder), folder, arm, as_json=as_json)


@app.command("list")
def list_(as_json: JsonOption = False) -> None:
    """List the suites there are, what their cards say, and which options those need that need some."""
    show_suites(as_json=as_json)


@app.command("compare")
def compare_runs(
    before: RunArgument,
    after: RunArgument,
    arm: Annotated[str | None, typer.Option(help="Which arm; all that both runs have.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Compare two runs on one suite, arm by arm and task by task: what the second has over the first."""
    from agentevo.benchmarks.compare import across

    runs = [_there(before), _there(after)]
    first, second = (_rows(folder) for folder in runs)
    names = (runs[0].name, runs[1].name) if runs[0].name != runs[1].name else (before, after)
    found = across(first, second, names, arm)
    show_json(found.model_dump(mode="json")) if as_json else show_across(found)


@app.command("verify")
def verify(run: RunArgument, as_json: JsonOption = False) -> None:
    """Score a run's stored answers again; exit with 1 where one scores otherwise, or the environment is another."""
    from agentevo.benchmarks.recheck import recheck

    rows = _rows(_there(run))
    with progress(amount=number) as so_far:
        found = asyncio.run(recheck(rows, lambda done: so_far("answers checked", done, len(rows))))
    show_json({"ok": found.ok, **found.model_dump(mode="json")}) if as_json else show_recheck(found)
    if not found.ok:
        raise typer.Exit(1)


def _there(run: str) -> Path:
    """Return the folder of a run that is there: its own path, or where its name leads."""
    from agentevo.runs import folder_of

    return Path(run) if Path(run).is_dir() else folder_of(run)


def _rows(folder: Path) -> list[Row]:
    from agentevo.benchmarks.matrix import results

    rows = results(folder)
    if not rows:
        raise Misuse(f"{folder} has no results yet")
    return rows


async def _all(plan: Plan, folder: Path, *, is_new: bool) -> list[Row]:
    from agentevo.benchmarks.matrix import run
    from agentevo.cli.models import pull_progress
    from agentevo.models.requests import check_name

    rows: list[Row] = []
    total, cells = plan.rows(), len(plan.cells())
    if is_new:
        await check_name(plan.model)  # before a run is named that would never be
    planned = f"{cells} cell{'s'[: cells > 1]}, {total} answers"
    tell(f"{plan.suite}: {planned}; go on after a stop with --run {folder.name}")

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
        failed = [attempt.stopped for attempt in attempts if attempt.has_failed]
        if failed:
            tell(f"arm {name}: in {len(failed)} of {len(attempts)} answers the model failed: {one_line(failed[-1])}")
