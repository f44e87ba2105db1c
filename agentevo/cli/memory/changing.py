"""`agentevo memory edit|pin|unpin|forget|restore|release|purge`: changing items that are there."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Callable, Collection, Iterator, Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from agentevo.cli.memory.given import date_given, kind_given, metadata_given, text_given
from agentevo.cli.memory.opening import (
    EmbedderOption,
    IdArgument,
    IdsArgument,
    JsonOption,
    NamespaceOption,
    PathOption,
    ReasonOption,
    all_resolved,
    from_stdin,
    opened,
    resolved,
)
from agentevo.cli.memory.shown import named, status_of, visible
from agentevo.cli.memory.whole import differences
from agentevo.cli.output import show, show_json, tell
from agentevo.errors import Misuse

if TYPE_CHECKING:
    from agentevo.memory import Memory
    from agentevo.memory.purge import Purged
    from agentevo.types import Item, Json


def edit(
    context: typer.Context,
    id: IdArgument,
    text: Annotated[str | None, typer.Argument(help="The new text; - reads it from stdin.")] = None,
    kind: Annotated[str | None, typer.Option(help="Its new kind.")] = None,
    source: Annotated[str | None, typer.Option(help="Where it is from.")] = None,
    trust: Annotated[float | None, typer.Option(min=0, max=1, help="How far it is trusted.")] = None,
    importance: Annotated[float | None, typer.Option(min=0, max=1, help="How much it matters.")] = None,
    expires: Annotated[str | None, typer.Option(metavar="DATE|never", help="From when on it is passed over.")] = None,
    metadata: Annotated[
        list[str] | None, typer.Option("--metadata", metavar="K=V", help="Metadata to set; V may be JSON.")
    ] = None,
    unset: Annotated[list[str] | None, typer.Option("--unset", metavar="K", help="Metadata to take out.")] = None,
    reason: ReasonOption = "",
    embedder: EmbedderOption = None,
    path: PathOption = None,
    namespace: NamespaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Change an item's text or fields; the history keeps what it was."""
    fields: dict[str, Json] = {"source": source, "trust": trust, "importance": importance}
    changes: dict[str, Json] = {name: value for name, value in fields.items() if value is not None}
    if kind is not None:
        changes["kind"] = kind_given(kind)
    if expires is not None:
        changes["expires_at"] = None if expires == "never" else date_given(expires)
    new = None if text is None else text_given(text).strip()
    if new == "":
        raise Misuse("the new text is empty; `agentevo memory forget` takes an item out of recall")
    with opened(context, path, namespace, embedder=embedder) as memory:
        before = resolved(memory, id)
        if metadata or unset:
            kept = {key: value for key, value in before.metadata.items() if key not in (unset or ())}
            changes["metadata"] = {**kept, **metadata_given(metadata)}
        live = [item.id for item in memory.derived(before.id) if item.status == "live"]
        after = memory.edit(before.id, new, reason=reason, **changes)
        now = [item for item in map(memory.get, live) if item is not None and item.status == "quarantined"]
    if as_json:
        show_json(after.model_dump(mode="json"))
        return
    show(named(after))
    for line in differences(before, after):
        show(f"  {line}")
    for item in now:
        show(f"quarantined  {named(item)}  (came from it)")


def _verb(name: str, summary: str) -> Callable[..., None]:
    """Return the command that does one thing to items, in one transaction, and shows what they are now."""

    def command(
        context: typer.Context,
        ids: IdsArgument,
        reason: ReasonOption = "",
        path: PathOption = None,
        namespace: NamespaceOption = None,
        as_json: JsonOption = False,
    ) -> None:
        with opened(context, path, namespace) as memory:
            names = [item.id for item in all_resolved(memory, ids)]
            getattr(memory, name)(names, reason=reason)
            now = [item for item in map(memory.get, names) if item is not None]
        if as_json:
            show_json([item.model_dump(mode="json") for item in now])
            return
        for item in now:
            show(f"{status_of(item)}  {named(item)}")

    command.__doc__ = summary
    return command


pin = _verb("pin", "Keep items from every kind of forgetting.")
unpin = _verb("unpin", "Let pinned items be forgotten again.")
forget = _verb("forget", "Take items out of recall; restore and undo bring them back.")
restore = _verb("restore", "Bring forgotten items back.")
release = _verb("release", "Let quarantined items be recalled; their trust stays what it was.")


# --- purge


def purge(
    context: typer.Context,
    ids: IdsArgument,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    reason: ReasonOption = "",
    path: PathOption = None,
    namespace: NamespaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Destroy items or experiences for good, with every trace of them; what came from them is quarantined."""
    with opened(context, path, namespace) as memory:
        doomed = _doomed(memory, ids)
        if not yes:
            _confirm(memory, doomed, "-" in ids)
        done = memory.purge(list(doomed), reason=reason)
        if as_json:
            show_json(dataclasses.asdict(done))
        else:
            _show_purged(memory, done)
    if done.pending:
        tell("another process has the memory open: the last traces go when it lets go and a purge runs again")


def _doomed(memory: Memory, ids: Sequence[str]) -> dict[str, str]:
    """Return what is to be purged, by id, on one line each; an experience is given by its whole id."""
    given = [name for one in ids for name in (from_stdin() if one == "-" else [one])]
    known = {name: experience for name, experience in memory.experiences() if name in given}
    items = all_resolved(memory, [name for name in given if name not in known]) if set(given) - set(known) else []
    said = {name: f"{visible(name)}  experience of task {visible(one.task.id)}" for name, one in known.items()}
    return said | {item.id: named(item) for item in items}


def _confirm(memory: Memory, doomed: dict[str, str], read_stdin: bool) -> None:
    if read_stdin or sys.stdin is None or not sys.stdin.isatty():
        raise Misuse("purge asks before it destroys, and there is no terminal to ask; add --yes")
    tell("\n".join(doomed.values()))
    same = _saying_the_same(memory, doomed)
    for item in same:
        tell(f"  {named(item)}  (forgotten, says the very same, will be destroyed with it)")
    for item in _descendants(memory, [*doomed, *(item.id for item in same)]):
        tell(f"  {named(item)}  ({_fate(item)})")
    if not typer.confirm("Destroy for good?", err=True):
        raise typer.Exit(1)


def _saying_the_same(memory: Memory, doomed: Collection[str]) -> list[Item]:
    """Return the other items, all of them forgotten, that go with what says the very same."""
    said = {item.text for item in map(memory.get, doomed) if item is not None}
    return [item for item in memory.list(status="forgotten") if item.text in said and item.id not in doomed]


def _fate(item: Item) -> str:
    """Return what a purge does to an item that came from what is purged."""
    from agentevo.memory.asking import is_record

    if is_record(item):
        return "records a failure of it, will be destroyed with it"
    if item.kind != "adapter":
        when = ", if it is restored" if item.status == "forgotten" else ""
        return f"came from it, will be quarantined{when}"
    return f"trained on it, will {'be taken out of use' if item.status == 'live' else 'never be promoted'}"


def _descendants(memory: Memory, ids: Sequence[str]) -> list[Item]:
    """Return the items that came from these, however far down."""
    found: dict[str, Item] = {}
    waiting = [name for name in ids if memory.get(name) is not None]
    while waiting:
        for child in memory.lineage(waiting.pop()).children:
            if child.id not in found and child.id not in ids:
                found[child.id] = child
                waiting.append(child.id)
    return list(found.values())


def _show_purged(memory: Memory, done: Purged) -> None:
    for name in done.items:
        show(f"purged  {visible(name)}")
    for item in filter(None, map(memory.get, done.derived)):
        when = "  (once it is restored)" if item.status == "forgotten" else ""
        show(f"quarantined  {named(item)}{when}")
    for told in _trained(memory, done.adapters):
        show(f"trained on it  {told}")
    for name in done.experiences:
        what = "experience that it was made from, or that used it"
        show(f"still there  {visible(name)}  {what}; purge that, too, if it says the same")
    for item in filter(None, map(memory.get, done.saying)):
        show(f"still there  {named(item)}  which may say the same; purge that, too, if it does")
    if done.retired:
        tell("taken out of use: what was trained on it; `agentevo models adapters list` shows what is there instead")


def _trained(memory: Memory, ids: Sequence[str]) -> Iterator[str]:
    """Yield each adapter on one line, with its namespace where that is another."""
    for name in memory.namespaces() if ids else ():
        with memory.within(name) as there:
            where = "" if name == memory.namespace else f"  (namespace {visible(name)})"
            yield from (f"{named(item)}{where}" for item in filter(None, map(there.get, ids)))
