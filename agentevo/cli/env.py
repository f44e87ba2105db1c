"""`agentevo env`: the environments there are, what one says of itself, and whether it keeps the contract."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from agentevo.cli.comparing import show_suites
from agentevo.cli.memory.shown import one_line, show_fields
from agentevo.cli.output import show, show_json, tell

if TYPE_CHECKING:
    from agentevo.protocols import Environment
    from agentevo.types import Card

app = typer.Typer(help="List the environments, show one, and check that one keeps the contract.")

SHOWN = 3
"""So many tasks of each split are shown."""
SuiteArgument = Annotated[str, typer.Argument(help="Its name, and options, such as house or house:level=2.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]


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
    tasks: Annotated[int, typer.Option(min=1, help="How many tasks of each split are tried.")] = 8,
    episodes: Annotated[int, typer.Option(min=2, help="How many episodes run at once.")] = 32,
    as_json: JsonOption = False,
) -> None:
    """Check the contract clause by clause; exit with 1, naming the clause, at the first that is broken."""
    from agentevo.environments import BrokenContract, check_environment
    from agentevo.environments.load import load

    environment, _ = load(suite)
    try:
        held = check_environment(environment, again=lambda: load(suite)[0], tasks=tasks, episodes=episodes)
    except BrokenContract as error:
        if as_json:
            show_json({"suite": suite, "ok": False, "broken": error.clause, "why": str(error)})
        tell(f"error: {one_line(str(error))}")
        raise typer.Exit(1) from error
    if as_json:
        show_json({"suite": suite, "ok": True, "clauses": list(held)})
        return
    for clause in held:
        show(f"ok    {clause}")


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
