"""One item, whole: its fields, what it is worth, how it was used, what happened to it, and its relatives."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from agentevo.cli.memory.shown import named, show_fields, shown_score, status_of, visible, when
from agentevo.cli.output import json_text, show

if TYPE_CHECKING:
    from agentevo.memory import Memory
    from agentevo.memory.history import Change, Lineage
    from agentevo.types import Item, Json


SEARCHED = 100
"""Among so many hits an item is looked for when it is shown with a question."""


@dataclass(frozen=True, slots=True)
class Use:
    """One time an item was used, whether that helped, and in which attempt, as far as that was told."""

    at: float
    wins: float
    losses: float
    attempt: str = ""

    @property
    def outcome(self) -> str:
        if self.wins == self.losses:
            return "used" if not self.wins else "helped and hurt alike"
        return "helped" if self.wins > self.losses else "hurt"


@dataclass(frozen=True, slots=True)
class Portrait:
    """All that is known of an item at a time."""

    item: Item
    parts: dict[str, float]
    retention: float
    uses: list[Use]
    history: list[Change]
    lineage: Lineage

    def as_json(self) -> dict[str, Json]:
        return {
            "item": self.item.model_dump(mode="json"),
            "parts": cast("Json", self.parts),
            "utility": self.item.utility,
            "retention": self.retention,
            "uses": [
                {
                    "at": use.at,
                    "outcome": use.outcome,
                    "wins": use.wins,
                    "losses": use.losses,
                    "attempt": use.attempt or None,
                }
                for use in self.uses
            ],
            "history": [change_as_json(change) for change in self.history],
            "lineage": lineage_as_json(self.lineage),
        }


def portrait(memory: Memory, item: Item, query: str | None = None) -> Portrait:
    """Gather what is known of an item now, and how it would score for a question."""
    from agentevo.memory import retention

    now = time.time()
    history = changes(memory, item.id)
    parts = _standing(item, now) if query is None else _scored(memory, item, query)
    return Portrait(item, parts, retention(item, now), uses(history), history, memory.lineage(item.id))


def _standing(item: Item, now: float) -> dict[str, float]:
    """Return what speaks for an item whatever the question, each from 0 to 1 and times its weight."""
    from agentevo.memory import Weights
    from agentevo.memory.rank import DAY_S

    weights = Weights()
    halvings = max(0.0, now - item.created_at) / DAY_S / weights.half_life_days
    return {
        "recency": weights.recency * 0.5**halvings,
        "importance": weights.importance * item.importance,
        "utility": weights.utility * item.utility,
    }


def _scored(memory: Memory, item: Item, query: str) -> dict[str, float]:
    """Return the parts of an item's score for a question; none where it is not among the first hits."""
    hits = memory.recall(query, SEARCHED, kind=item.kind)
    return next((hit.parts for hit in hits if hit.item.id == item.id), {})


def changes(memory: Memory, id: str) -> list[Change]:
    """Return what happened to an item, oldest first."""
    return cast("list[Change]", memory.history(id))


def uses(history: Sequence[Change]) -> list[Use]:
    """Return when an item was used and how that went; of what was said of one attempt twice, the latter counts."""
    latest = {change.key or str(n): change for n, change in enumerate(history) if change.verb == "reinforce"}
    attempts: dict[str, list[Change]] = {}
    for key, change in latest.items():
        if not change.counts:
            continue  # an undo took it back
        attempts.setdefault(key.removeprefix("use:"), []).append(change)  # a use and its credit are one attempt's
    return [
        Use(
            min(change.counts.get("at", change.at) for change in told),
            sum(change.counts.get("wins", 0.0) for change in told),
            sum(change.counts.get("losses", 0.0) for change in told),
            name if told[0].key else "",
        )
        for name, told in attempts.items()
    ]


def _after(history: Sequence[Change], item: Item | None) -> list[Item | None]:
    """Return what the item was after each change: what it was before the next one."""
    return [*(change.before for change in history[1:]), *([item] if history else [])]


def change_as_json(change: Change) -> dict[str, Json]:
    """Return a change as data."""
    return {
        "at": change.at, "actor": change.actor, "verb": change.verb, "reason": change.reason,
        "transaction": change.transaction, "to": [*change.to],
        "before": None if change.before is None else change.before.model_dump(mode="json"),
    }  # fmt: skip


def lineage_as_json(lineage: Lineage) -> dict[str, Json]:
    """Return a lineage as data."""
    return {
        "parents": [item.model_dump(mode="json") for item in lineage.parents],
        "origins": [*lineage.origins],
        "children": [item.model_dump(mode="json") for item in lineage.children],
    }


# --- as text


def show_portrait(seen: Portrait) -> None:
    """Write a portrait for people."""
    item = seen.item
    show(f"{item.kind} {visible(item.id)}, {status_of(item)}")
    show("")
    show(visible(item.text))
    show("")
    show_fields(_fields(seen))
    if seen.uses:
        show("\nuse")
        for use in seen.uses:
            show(f"  {when(use.at)}  {_outcome(use)}")
    show("\nhistory")
    show_changes(seen.history, item)
    show_lineage(seen.lineage)


def _outcome(use: Use) -> str:
    """Return how a use went, with the shares where it went both ways, and the attempt."""
    shares = f" ({use.wins:g} helped, {use.losses:g} hurt)" if use.wins and use.losses else ""
    return use.outcome + shares + (f", in {visible(use.attempt)}" if use.attempt else "")


def _fields(seen: Portrait) -> list[tuple[str, str]]:
    item = seen.item
    fields = [
        ("key", visible(item.key_text or "")),
        ("namespace", visible(item.namespace)),
        ("source", f"{visible(item.source)}, trust {item.trust:.2f}"),
        ("created", when(item.created_at)),
        ("expires", "" if item.expires_at is None else when(item.expires_at)),
        ("metadata", json_text(cast("Json", item.metadata), indent=None) if item.metadata else ""),
        ("links", visible(" ".join(item.links))),
        ("supersedes", visible(item.supersedes or "")),
        ("used", _used(seen)),
        ("utility", f"{item.utility:.2f} ({item.wins:g} helped, {item.losses:g} hurt)"),
        ("retention", f"{seen.retention:.2f} (strength {item.strength:g})"),
        ("score parts", added_up(seen.parts) or f"not among the first {SEARCHED} hits"),
    ]
    return [(name, value) for name, value in fields if value]


def _used(seen: Portrait) -> str:
    """Return how often and when last: what was credited was used, also where nobody counted it as a use."""
    times = max(seen.item.uses, len(seen.uses))
    moments = [use.at for use in seen.uses] + [at for at in [seen.item.last_used_at] if at is not None]
    return f"{times} times, last {when(max(moments, default=None))}" if times else "never"


def added_up(parts: Mapping[str, float]) -> str:
    """Return the parts of a score as a sum."""
    return " + ".join(f"{name} {shown_score(value)}" for name, value in parts.items())


def show_changes(history: Sequence[Change], item: Item | None) -> None:
    """Write what happened to an item, a line a change, with what an edit changed."""
    for change, later in zip(history, _after(history, item), strict=True):
        reason = f": {visible(change.reason)}" if change.reason else ""
        to = f" to {', '.join(map(visible, change.to))}" if change.verb == "link" else ""
        show(f"  {when(change.at)}  {change.verb}{to} by {visible(change.actor)}{reason}")
        if change.verb == "edit" and change.before is not None and later is not None:
            for line in differences(change.before, later):
                show(f"      {line}")


def differences(before: Item, after: Item) -> list[str]:
    """Return the fields in which an item changed, with what they were and what they became."""
    was, became = before.model_dump(mode="json"), after.model_dump(mode="json")
    return [
        f"{name}: {json_text(was[name], indent=None)} -> {json_text(became[name], indent=None)}"
        for name in type(before).model_fields
        if was[name] != became[name]
    ]


def show_lineage(lineage: Lineage) -> None:
    """Write what an item came from, and what came from it."""
    came_from = [*map(named, lineage.parents), *(f"{visible(name)}  (no item)" for name in lineage.origins)]
    for title, lines in (("came from", came_from), ("led to", [named(child) for child in lineage.children])):
        if lines:
            show(f"\n{title}")
            for line in lines:
                show(f"  {line}")
