"""`agentevo memory list|search|show|working|stats`: what is in a memory."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, cast, get_args

import typer

from agentevo.cli.memory.given import (
    KindOption,
    WhereOption,
    hint_at_own_fields,
    kinds_given,
    text_given,
    where_given,
)
from agentevo.cli.memory.opening import (
    EmbedderOption,
    IdArgument,
    JsonOption,
    NamespaceOption,
    PathOption,
    opened,
    resolved,
)
from agentevo.cli.memory.shown import (
    histogram,
    named,
    one_line,
    show_fields,
    show_histogram,
    show_rows,
    shown_score,
    status_of,
    visible,
    when,
)
from agentevo.cli.memory.whole import added_up, portrait, show_portrait
from agentevo.cli.output import show, show_json, size, tell
from agentevo.errors import Misuse, UnknownName

if TYPE_CHECKING:
    from agentevo.memory import Memory
    from agentevo.memory.recall import Mode
    from agentevo.types import Hit, Item, Json, Status

TABLE_LIMIT = 50

LimitOption = Annotated[
    int | None, typer.Option("--limit", min=0, help=f"At most this many; by default {TABLE_LIMIT}, as JSON all.")
]


def list_(
    context: typer.Context,
    where: WhereOption = None,
    kind: KindOption = None,
    status: Annotated[str, typer.Option(help="live, quarantined, forgotten or all.")] = "live",
    order: Annotated[str, typer.Option(help="newest, oldest, used, uses, utility, importance or strength.")] = "newest",
    limit: LimitOption = None,
    path: PathOption = None,
    namespace: NamespaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """List items, the newest live ones first."""
    statuses = _statuses(status)
    with opened(context, path, namespace) as memory:
        most = TABLE_LIMIT if limit is None and not as_json else limit
        items = memory.list(
            where=where_given(where), kind=kinds_given(kind), status=statuses, order=order,
            limit=None if most is None else most + 1,
        )  # fmt: skip
        _show_items(items, most, order, as_json, hint_at_own_fields(where))


def working(
    context: typer.Context,
    limit: LimitOption = None,
    path: PathOption = None,
    namespace: NamespaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """List the notes that stand in every prompt, the newest first."""
    with opened(context, path, namespace) as memory:
        most = TABLE_LIMIT if limit is None and not as_json else limit
        items = memory.list(kind="note", limit=None if most is None else most + 1)
        _show_items(items, most, "newest", as_json)


def _statuses(given: str) -> Status | None:
    from agentevo.types import Status

    if given == "all":
        return None
    if given not in get_args(Status):
        raise UnknownName("status", given, [*get_args(Status), "all"])
    return cast("Status", given)


def _show_items(items: Sequence[Item], most: int | None, order: str, as_json: bool, hint: str = "") -> None:
    shown = items[:most]
    if as_json:
        show_json([_as_json(item) for item in shown])
        return
    if not items:
        tell(f"no items{hint}")
        return
    if shown:
        _show_table(shown, order)
    if len(items) > len(shown):
        tell(f"the first {len(shown)} are shown; --limit shows more")


def _show_table(items: Sequence[Item], order: str) -> None:
    heading = _HEADINGS.get(order, "CREATED")
    rows = [
        (visible(item.id), item.kind, status_of(item), _sorted_by(order, item), one_line(item.text)) for item in items
    ]
    show_rows(("ID", "KIND", "STATUS", heading, "TEXT"), rows)


def _as_json(item: Item) -> dict[str, Json]:
    return {**item.model_dump(mode="json"), "utility": item.utility}


_HEADINGS = {
    "used": "LAST USED", "uses": "USES", "utility": "UTILITY", "importance": "IMPORTANCE", "strength": "STRENGTH",
}  # fmt: skip


def _sorted_by(order: str, item: Item) -> str:
    """Return what the list is sorted by, as a cell."""
    match order:
        case "used":
            return when(item.last_used_at, day_only=True)
        case "uses":
            return str(item.uses)
        case "utility":
            return f"{item.utility:.2f} ({item.wins:g}:{item.losses:g})"
        case "importance":
            return f"{item.importance:.2f}"
        case "strength":
            return f"{item.strength:g}"
        case _:
            return when(item.created_at, day_only=True)


def search(
    context: typer.Context,
    query: Annotated[str, typer.Argument(help="The question; - reads it from stdin.")],
    k: Annotated[int, typer.Option("-k", min=1, help="How many.")] = 5,
    mode: Annotated[str, typer.Option(help="hybrid, vector, or bm25, which needs no embedder.")] = "hybrid",
    where: WhereOption = None,
    kind: KindOption = None,
    explain: Annotated[bool, typer.Option("--explain", help="Show the parts that each score is made of.")] = False,
    embedder: EmbedderOption = None,
    path: PathOption = None,
    namespace: NamespaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Find the items that answer a question best; nothing is counted as used."""
    asked = text_given(query)
    if not asked.strip():
        raise Misuse("the question is empty; `agentevo memory list` shows what is there")
    with opened(context, path, namespace, embedder=embedder) as memory:
        chosen = cast("Mode", mode)
        hits = memory.recall(asked, k, where=where_given(where), kind=kinds_given(kind), mode=chosen)
        if as_json:
            show_json([hit.model_dump(mode="json") for hit in hits])
        elif hits:
            _show_hits(hits, explain)
        else:
            tell(f"nothing was found{hint_at_own_fields(where)}")


def _show_hits(hits: Sequence[Hit], explain: bool) -> None:
    if not explain:
        rows = [(visible(h.item.id), shown_score(h.score), h.item.kind, one_line(h.item.text)) for h in hits]
        show_rows(("ID", "SCORE", "KIND", "TEXT"), rows)
        return
    for hit in hits:
        show(f"{shown_score(hit.score)}  {named(hit.item)}")
        show(f"       {added_up(hit.parts)}")


def show_item(
    context: typer.Context,
    id: IdArgument,
    query: Annotated[str | None, typer.Option("--query", help="Show the parts of its score for this question.")] = None,
    embedder: EmbedderOption = None,
    path: PathOption = None,
    namespace: NamespaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show an item whole: its worth, its use, its history, what it came from and what came from it."""
    with opened(context, path, namespace, embedder=embedder) as memory:
        seen = portrait(memory, resolved(memory, id), query)
        if as_json:
            show_json(seen.as_json())
        else:
            show_portrait(seen)


def stats(
    context: typer.Context,
    path: PathOption = None,
    namespace: NamespaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Count what is there, and draw how retention and utility are spread."""
    with opened(context, path, namespace) as memory:
        counted = dataclasses.asdict(memory.stats())
        retentions, utilities = _spread(memory)
    if as_json:
        drawn: dict[str, Json] = {"retention": [*histogram(retentions)], "utility": [*histogram(utilities)]}
        show_json({**counted, "histograms": drawn})
        return
    show_fields([(name.replace("_", " "), _counted(name, value)) for name, value in counted.items()])
    if retentions:
        show("")
        show_histogram("retention: how much is left of each live item, 0 forgotten, 1 fresh", retentions)
        show_histogram("utility: how often each live item helps, 0.5 where nothing is known", utilities)


def _spread(memory: Memory) -> tuple[list[float], list[float]]:
    """Return the retention and the utility of every live item."""
    import time

    from agentevo.blocking import wait
    from agentevo.memory import retention
    from agentevo.memory.vitals import vitals

    now, found = time.time(), wait(vitals(memory))
    return [retention(one, now) for one in found], [one.utility for one in found]


def _counted(name: str, value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{visible(str(key))} {count}" for key, count in value.items()) or "none"
    if name == "size_bytes" and isinstance(value, int):
        return size(value)
    return visible(str(value)) if value not in (None, "") else "none yet"
