"""`agentevo memory history|lineage|undo`: what happened, what came from what, and taking the latest change back."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Annotated, cast

import typer

from agentevo.cli.memory.looking import TABLE_LIMIT, LimitOption
from agentevo.cli.memory.opening import IdArgument, JsonOption, NamespaceOption, PathOption, opened, resolved
from agentevo.cli.memory.shown import named, one_line, show_rows, status_of, visible, when
from agentevo.cli.memory.whole import change_as_json, changes, lineage_as_json, show_changes, show_lineage
from agentevo.cli.output import show, show_json, tell
from agentevo.errors import Misuse

if TYPE_CHECKING:
    from agentevo.memory import Memory
    from agentevo.memory.history import Change
    from agentevo.types import Transaction


def history(
    context: typer.Context,
    id: Annotated[
        str | None, typer.Argument(metavar="[ID]", help="An item, or the beginning of its id; without one, all.")
    ] = None,
    limit: LimitOption = None,
    path: PathOption = None,
    namespace: NamespaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show what was changed, by whom and why: of one item the oldest first, else the newest first."""
    with opened(context, path, namespace) as memory:
        most = TABLE_LIMIT if limit is None and not as_json else limit
        if id is None:
            _show_transactions(memory, most, as_json)
            return
        found = _of_purged(memory, id.strip())
        item = None if found else resolved(memory, id)
        found = found if item is None else changes(memory, item.id)
        shown = found if most is None else found[max(0, len(found) - most) :]
        if as_json:
            show_json([change_as_json(change) for change in shown])
        else:
            show(f"{id.strip()}  (purged)" if item is None else named(item))
            show_changes(shown, item)


def _of_purged(memory: Memory, id: str) -> list[Change]:
    """Return what is left of the history of an item that was purged: who did what, and why."""
    if memory.get(id) is not None:
        return []
    with contextlib.suppress(Misuse):  # there never was one; it may be the beginning of an id
        return changes(memory, id)
    return []


def _show_transactions(memory: Memory, most: int | None, as_json: bool) -> None:
    found = cast("list[Transaction]", memory.history(limit=None if most is None else most + 1))
    shown = found[:most]
    if as_json:
        show_json([transaction.model_dump(mode="json") for transaction in shown])
        return
    if not found:
        tell("nothing was changed yet")
        return
    rows = [(visible(t.id), when(t.at), one_line(t.actor), _what(memory, t), one_line(t.reason)) for t in shown]
    if rows:
        show_rows(("CHANGE", "WHEN", "ACTOR", "WHAT", "REASON"), rows)
    if len(found) > len(shown):
        tell(f"the latest {len(shown)} are shown; --limit shows more")


def _what(memory: Memory, transaction: Transaction) -> str:
    """Return what a transaction did, by its first item, and to how many."""
    if not transaction.items:
        return ""
    done = [change.verb for change in changes(memory, transaction.items[0]) if change.transaction == transaction.id]
    return f"{' and '.join(dict.fromkeys(done)) or 'purge'} {len(transaction.items)}"


def lineage(
    context: typer.Context,
    id: IdArgument,
    path: PathOption = None,
    namespace: NamespaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show what an item came from, and what came from it."""
    with opened(context, path, namespace) as memory:
        item = resolved(memory, id)
        found = memory.lineage(item.id)
        if as_json:
            show_json({"item": item.model_dump(mode="json"), **lineage_as_json(found)})
            return
        show(named(item))
        show_lineage(found)
        if not (found.parents or found.origins or found.children):
            tell("it came from no other item, and none came from it")


def undo(
    context: typer.Context,
    actor: Annotated[str, typer.Option(help="Whose latest change is taken back.")] = "user",
    path: PathOption = None,
    namespace: NamespaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Take back the latest change to the contents of this namespace; counts and links alone are passed over."""
    with opened(context, path, namespace, actor=actor) as memory:
        done = memory.undo()
        if as_json:
            show_json(done.model_dump(mode="json"))
            return
        what = done.reason.removeprefix("undo: ")
        show(f"took back the latest change by {visible(actor)}" + (f" ({one_line(what)})" if what else "") + "; now:")
        for item in map(memory.get, done.items):
            if item is not None:
                show(f"  {status_of(item)}  {named(item)}")
