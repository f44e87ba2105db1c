"""`agentevo recipes`: the methods there are, and what each is made of."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated

import typer

from agentevo.cli.memory.shown import show_fields
from agentevo.cli.output import show, show_json, show_table

if TYPE_CHECKING:
    from agentevo.protocols import Recipe
    from agentevo.types import Json

app = typer.Typer(help="List the recipes, and show what one is made of.")

SLOTS = ("objective", "tasks", "act", "practice", "judge", "refine", "update", "gate")
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@app.command("list")
def list_(as_json: JsonOption = False) -> None:
    """List the recipes: a name, the folder it is in, and what it does."""
    from agentevo.recipes import maker, names

    rows = [(name, _folder(maker(name)), _says(maker(name))[0]) for name in names()]
    if as_json:
        show_json([{"name": name, "folder": folder, "description": says} for name, folder, says in rows])
    else:
        show_table(("name", "folder", "what it does"), rows)


@app.command("show")
def show_recipe(
    name: Annotated[str, typer.Argument(help="The name of a recipe, such as evo.")], as_json: JsonOption = False
) -> None:
    """Show a recipe: what it does, its slots one by one, and its options with their defaults."""
    from agentevo.recipes import load, maker

    make = maker(name)
    slots, options, says = _slots(load(name)), _options(make), _says(make)
    if as_json:
        said: dict[str, Json] = {"name": name, "folder": _folder(make), "doc": "\n".join(says)}
        said["slots"] = {slot: [*parts] for slot, parts in slots.items()}
        show_json({**said, "options": {**options}})
        return
    show("\n".join(says) + "\n")
    show_fields([(slot, part) for slot, parts in slots.items() for part in parts or ["-"]])
    show("\noptions, with their defaults")
    show_fields([(f"  {option}", str(default)) for option, default in options.items()])


def _folder(make: Callable[..., Recipe]) -> str:
    return make.__module__.split(".")[-2]


def _says(make: Callable[..., Recipe]) -> list[str]:
    return (inspect.getdoc(make) or "").splitlines() or [""]


def _slots(recipe: Recipe) -> dict[str, list[str]]:
    """Return what stands in each slot, strategy by strategy; nothing where the slot is left open."""
    from agentevo.described import describe

    filled = {slot: getattr(recipe, slot) for slot in SLOTS}
    strategies = {slot: value if isinstance(value, tuple) else (value,) for slot, value in filled.items()}
    return {slot: [describe(one) for one in parts if one is not None] for slot, parts in strategies.items()}


def _options(make: Callable[..., Recipe]) -> dict[str, str]:
    return {name: repr(option.default) for name, option in inspect.signature(make).parameters.items()}
