"""`agentevo models adapters`: the adapters that a memory holds, each command one on its items; and installing one."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from agentevo.cli.memory.opening import JsonOption, NamespaceOption, PathOption, ReasonOption, opened
from agentevo.cli.memory.shown import one_line, show_fields
from agentevo.cli.output import show, show_json, show_table

if TYPE_CHECKING:
    from agentevo.memory import Memory
    from agentevo.types import Item, Json

app = typer.Typer(help="List, show, promote and roll back the adapters that a memory holds; install others.")

NameArgument = Annotated[str, typer.Argument(help="The adapter's name, or its item's id.")]


@app.command("list")
def list_(
    context: typer.Context, path: PathOption = None, namespace: NamespaceOption = None, as_json: JsonOption = False
) -> None:
    """List the adapters, the newest first: live is in use, quarantined waits or was refused."""
    from agentevo.weights.adapters import adapters

    with opened(context, path, namespace) as memory:
        found = [_row(item) for item in adapters(memory)]
    if as_json:
        show_json([*found])
        return
    names = ("name", "status", "role", "base", "held_out", "id")
    show_table(names, [tuple(_cell(row[name]) for name in names) for row in found])


@app.command("show")
def show_adapter(
    context: typer.Context,
    name: NameArgument,
    path: PathOption = None,
    namespace: NamespaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show an adapter: its card, where it lies, what the gate said, what it was trained on, and its history."""
    from agentevo.memory.history import Change
    from agentevo.weights.adapters import find

    with opened(context, path, namespace) as memory:
        item = find(memory, name)
        changes = [change for change in memory.history(item.id) if isinstance(change, Change)]
    history: list[Json] = [{"at": c.at, "verb": c.verb, "actor": c.actor, "reason": c.reason} for c in changes]
    if as_json:
        show_json({**item.model_dump(mode="json"), "history": history})
        return
    show(item.text + "\n")
    about: dict[str, Json] = dict(_row(item))
    about |= {name: item.metadata[name] for name in ("path", "gate", "blocked") if name in item.metadata}
    show_fields([(field, _cell(value)) for field, value in about.items()])
    show_fields([("trained on", f"{len(item.derived_from)} attempts and items")])
    show("\nhistory")
    show_fields([(f"  {c.verb}", one_line(c.reason) or "-") for c in changes])


@app.command()
def install(
    folder: Annotated[Path, typer.Argument(help="What `agentevo train` made, here or on another machine.")],
    name: Annotated[str | None, typer.Option(help="What it is called; as its folder by default.")] = None,
    replace: Annotated[bool, typer.Option("--replace", help="In the place of one that has the name.")] = False,
) -> None:
    """Put a trained adapter beside its offline model, for local/MODEL+NAME; no memory hears of it."""
    from agentevo.weights.gguf import install_adapter

    show(install_adapter(folder, name=name, replace=replace))


@app.command()
def promote(
    context: typer.Context,
    name: NameArgument,
    reason: ReasonOption = "",
    force: Annotated[bool, typer.Option("--force", help="Also where a gate did not let it in.")] = False,
    path: PathOption = None,
    namespace: NamespaceOption = None,
) -> None:
    """Put an adapter into use, in place of the one that is; `memory undo` takes that back."""
    from agentevo.weights import adapters

    with opened(context, path, namespace) as memory:
        item = adapters.find(memory, name, first="quarantined")
        asyncio.run(adapters.promote(memory, item.id, reason, force=force))
        _show_in_use(memory, item)


@app.command()
def rollback(
    context: typer.Context,
    name: NameArgument,
    reason: ReasonOption = "",
    path: PathOption = None,
    namespace: NamespaceOption = None,
) -> None:
    """Take an adapter out of use, and put back the one that it replaced, if there was one."""
    from agentevo.weights import adapters

    with opened(context, path, namespace) as memory:
        item = adapters.find(memory, name)
        asyncio.run(adapters.rollback(memory, item.id, reason))
        _show_in_use(memory, item)


def _show_in_use(memory: Memory, item: Item) -> None:
    """Say what answers now for the base and the role of an adapter."""
    from agentevo.weights import adapters

    base, role = str(item.metadata.get("base")), str(item.metadata.get("role"))
    now = asyncio.run(adapters.in_use(memory, base, role))
    place = base if role == adapters.POLICY else f"the {role} of {base}"
    show(f"{place} now answers {'with ' + adapters.name_of(now) if now else 'without an adapter'}")


def _row(item: Item) -> dict[str, Json]:
    from agentevo.weights.adapters import scores_of

    told = {name: item.metadata.get(name, "") for name in ("name", "role", "base")}
    held_out = scores_of(item).get("held_out")
    return {"id": item.id, **told, "status": item.status, "held_out": held_out, "created_at": item.created_at}


def _cell(value: Json) -> str:
    if value is None:
        return "-"
    return f"{value:.3f}" if isinstance(value, float) and abs(value) < 1000 else one_line(str(value))
