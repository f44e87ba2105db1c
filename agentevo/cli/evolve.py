"""`agentevo evolve`: an agent practises on a suite, and its memory keeps what held-out tasks have nothing against."""

from __future__ import annotations

import asyncio
import itertools
import sys
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from agentevo.cli.memory.opening import PATH_HELP, NamespaceOption, opened
from agentevo.cli.output import number, progress, show, show_json, tell
from agentevo.cli.watching import training_shown, watched
from agentevo.errors import BudgetExceeded, Misuse, RunError

if TYPE_CHECKING:
    from agentevo.agent import Agent
    from agentevo.models import Budget
    from agentevo.protocols import Environment
    from agentevo.record import Record
    from agentevo.types import Experience, Json, Report, Usage

BUDGET = "budget"
"""The alarm of a run that its budget ended."""


def evolve(
    context: typer.Context,
    suite: Annotated[str, typer.Argument(help="What to practise on, such as house or house:level=2.")],
    recipe: Annotated[str, typer.Option(help="How to practise and learn; see agentevo recipes list.")] = "evo",
    model: Annotated[str | None, typer.Option("--model", "-m", help="local/NAME or any litellm model name.")] = None,
    memory: Annotated[Path | None, typer.Option(help=PATH_HELP + " It is made where there is none.")] = None,
    namespace: NamespaceOption = None,
    cycles: Annotated[int, typer.Option(min=1, help="How many turns of the cycle.")] = 1,
    seed: Annotated[int, typer.Option(help="What is drawn by chance; the same seed draws the same.")] = 0,
    name: Annotated[str | None, typer.Option("--run", help="Name the run; the same name goes on where it was.")] = None,
    max_cost: Annotated[float | None, typer.Option(min=0, help="Spend at most this many dollars.")] = None,
    concurrency: Annotated[int, typer.Option(min=1, help="Attempts under way at once.")] = 8,
    as_json: Annotated[bool, typer.Option("--json", help="Print an array of reports, at the end.")] = False,
) -> None:
    """Turn the cycle on a suite: practise, learn, test on held-out tasks, and keep what is not worse."""
    from agentevo.agent import Agent
    from agentevo.benchmarks.suites import tuned
    from agentevo.models import Budget, as_model
    from agentevo.models.usage import Meter
    from agentevo.record import Record
    from agentevo.runs import about, beginning, folder_of
    from agentevo.settings import settings

    preset = settings()
    environment, chosen = _practised(suite), tuned(suite, recipe)
    acting, folder = as_model(model or preset.model), folder_of(name, "evolve")
    budget = Budget(max_cost_usd=preset.max_cost_usd if max_cost is None else max_cost)
    if not folder.exists():  # what is finished is read for free
        Meter("evolve", budget).check()  # where nothing can be spent, nothing is made
    planned = f"{suite}: {cycles} turn{'s'[: cycles > 1]} with {acting.name}"
    begun: list[Record] = []  # from then on the run knows this memory, and goes on with no other
    stays = partial(_is_kept, begun, folder)
    with opened(context, memory, namespace, create=True, actor="agent", stays=stays) as kept:
        agent = Agent(acting, memory=kept, recipe=chosen, environment=environment, seed=seed)

        async def evolved() -> list[Report]:
            async with beginning(folder, acting):
                with Record.open(folder, about=about(agent.state()), concurrency=concurrency) as record:
                    begun.append(record)
                    tell(f"{planned}; go on after a stop with --run {folder.name}")
                    return await _turned(agent, record, cycles, budget, is_shown=not as_json)

        reports = asyncio.run(evolved())
        live = kept.stats().live
    if as_json:
        show_json([_summary(turn, report) for turn, report in enumerate(reports, 1)])
    tell(f"{number(live)} items live in {kept.path}; agentevo memory --path {kept.path} history shows what changed")
    _check(reports[-1])


def _is_kept(begun: Sequence[Record], folder: Path) -> bool:
    return bool(begun) and folder.exists()


def _practised(suite: str) -> Environment:
    """Return a suite's environment; raise Misuse where the suite names one split, since a turn needs several."""
    from agentevo.environments.load import load

    environment, split = load(suite)
    if suite.endswith(f"/{split}"):
        raise Misuse(f"evolve practises on one split and tests on another; write {suite.removesuffix(f'/{split}')!r}")
    if "train" not in environment.splits():
        raise Misuse(f"{suite!r} has no split 'train' to practise on; it has {', '.join(environment.splits())}")
    return environment


async def _turned(agent: Agent, record: Record, cycles: int, budget: Budget, *, is_shown: bool) -> list[Report]:
    from agentevo.cycle import evolve as turns

    reports: list[Report] = []
    async with aclosing(turns(agent.state(), record, cycles, budget)) as found:
        while (report := await _next(found, len(reports) + 1)) is not None:
            reports.append(report)
            if is_shown:
                _show(len(reports), report)
    return reports


async def _next(found: AsyncGenerator[Report, None], turn: int) -> Report | None:
    """Return the next report, showing meanwhile how many attempts have ended; None where there is none."""
    from agentevo.cli.models import pull_progress
    from agentevo.events import listening

    counted = itertools.count(1)

    async def one() -> Report | None:
        return await anext(found, None)

    with pull_progress(), progress(amount=number) as so_far, listening(training_shown(so_far), pieces=False):
        # A model that answered in an earlier turn is there: what fails now, the report can tell.
        return await watched(one(), lambda: so_far(f"turn {turn}, attempts", next(counted), 0), has_answered=turn > 1)


def _check(last: Report) -> None:
    """Raise where the last turn did not end as it should."""
    from agentevo.alarms import PARTLY

    if BUDGET in last.alarms:
        raise BudgetExceeded(last.reason)
    if "model" in last.alarms:
        raise RunError(last.reason)
    partly = [alarm for alarm in last.alarms if alarm.startswith(PARTLY)]
    for alarm in partly:
        tell(alarm)
    if len(partly) < len(last.alarms):
        raise RunError("; ".join(alarm for alarm in last.alarms if alarm not in partly))


# --- showing it


def _show(turn: int, report: Report) -> None:
    """Print what a turn came to."""
    if BUDGET in report.alarms:
        show(f"turn {turn}: not finished, the budget is used up")
    else:
        show(f"turn {turn}: {'accepted' if report.accepted else 'rejected'}")
        show(f"  practised  {_tasks(report.practised)}")
        show(f"  held out   {report.reason or _tasks(report.experiences)}")
    show(f"  cost       {_cost(report.cost)}")
    sys.stdout.flush()


def _tasks(experiences: Sequence[Experience]) -> str:
    if not experiences:
        return "no tasks"
    mean = sum(experience.score for experience in experiences) / len(experiences)
    return f"{number(len(experiences))} tasks, mean score {mean:.3f}"


def _cost(usage: Usage) -> str:
    spent = f"{number(usage.calls)} calls, {number(usage.tokens)} tokens, ${usage.cost_usd:.4f}"
    return f"{spent}, {usage.seconds:.0f} s of calls"


def _summary(turn: int, report: Report) -> Json:
    """Return a report as JSON, its experiences counted only."""
    said: dict[str, Json] = report.model_dump(mode="json", exclude={"experiences", "practised"})
    counts = {"experiences": len(report.experiences), "practised": len(report.practised)}
    return {"turn": turn, "score": report.score, **said, **counts}
