"""`agentevo bench run weights-loop`: from experience into weights, and what came of it, side by side."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Callable
from contextlib import aclosing
from dataclasses import replace
from typing import TYPE_CHECKING

from agentevo.cli.output import show, show_json, show_table, tell
from agentevo.cli.watching import watched

if TYPE_CHECKING:
    from agentevo.benchmarks.weights_loop import Figures, Gated, Gathered, Moment, WeightsLoop

NAME = "weights-loop"
TASKS, TESTED = 80, 40


def loop_of(model: str, run: str | None, tasks: int | None, test: int | None, embedder: str | None) -> WeightsLoop:
    """Return the run of a name, or a new one."""
    from agentevo.benchmarks.weights_loop import WeightsLoop
    from agentevo.models import as_model
    from agentevo.runs import folder_of

    return WeightsLoop(
        as_model(model), folder_of(run, NAME), tasks=tasks or TASKS, test=test or TESTED, embedder=embedder
    )


def run_loop(loop: WeightsLoop, *, as_json: bool) -> None:
    """Run it, or go on with it, and show what happens."""
    from agentevo.cli.models import pull_progress

    since = time.monotonic()
    with pull_progress():
        tell(f"{NAME} with {loop.model.name}: some ten minutes; go on after a stop with --run {loop.folder.name}")
        moments = asyncio.run(_played(replace(loop, report=_stages(since)), as_json=as_json))
    if as_json:
        show_json([{"what": type(moment).__name__.casefold(), **moment.model_dump(mode="json")} for moment in moments])


def _stages(since: float) -> Callable[[str], None]:
    """Return what tells each stage on a line of its own, on a terminal or not, and when it began."""
    return lambda stage: tell(f"{time.monotonic() - since:5.0f} s  {stage}")


async def _played(loop: WeightsLoop, *, as_json: bool) -> list[Moment]:
    moments: list[Moment] = []

    async def playing() -> None:
        async with aclosing(loop.play()) as played:
            async for moment in played:
                moments.append(moment)
                if not as_json:
                    _show(moment)

    await watched(playing())
    loop.report("done")
    return moments


def _show(moment: Moment) -> None:
    from agentevo.benchmarks.weights_loop import Figures, Gathered

    if isinstance(moment, Gathered):
        _gathered(moment)
    elif isinstance(moment, Figures):
        _figures(moment)
    else:
        _gated(moment)
    sys.stdout.flush()


def _gathered(found: Gathered) -> None:
    wrong = found.tasks - found.right
    show(f"gathered   {found.right} of {found.tasks} house commands right, answered with memory")
    show(f"           {found.right_again} of the {wrong} others right when they were tried again")
    show(f"exported   {found.rows} rows without what was recalled; left out: {found.left_out}")
    show(f"rehearsed  {found.rehearsed} answers of its own to ordinary requests are mixed in")


def _gated(found: Gated) -> None:
    said = "promoted" if found.accepted else "refused, kept beside"
    show(f"trained on {found.of} ({found.rows} rows): {said}")
    for part in found.reason.split("; "):
        show(f"  {part}")


def _figures(found: Figures) -> None:
    groups = list(found.groups)
    show(f"\nright on {found.tests} held-out commands")
    rows = [(name, f"{s:.3f}", *(f"{found.groups[g][name]:.3f}" for g in groups)) for name, s in found.scores.items()]
    show_table(("arm", "mean", *groups), rows)
    show(f"\nadapter - base, both without memory: {_interval(found.over_base)}")
    show("\nordinary requests, without memory")
    arms = found.ordinary
    show_table(
        ("arm", "no command", "mentions what it has to"),
        [(name, f"{arms[name]:.3f}", f"{found.facts[name]:.3f}") for name in arms],
    )
    show(f"\nadapter - base, of those that mention what they have to: {_interval(found.over_facts)}")


def _interval(bounds: tuple[float, float, float]) -> str:
    estimate, low, high = bounds
    verdict = "does not exclude 0" if low <= 0 <= high else "excludes 0"
    return f"{estimate:+.3f} (95% interval {low:+.3f} to {high:+.3f}, {verdict})"
