"""What each op does to an item: a pure function, shared by the ledger and by drafts."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import cast

from pydantic import ValidationError

from agentevo.errors import Misuse
from agentevo.memory.rows import made, marked
from agentevo.memory.trust import ACCEPTED, BLOCKED, DOUBTED, GATE, SHA256
from agentevo.types import Item, Json, Op, Status, Verb, why_invalid

COMMUTING: frozenset[Verb] = frozenset({"insert", "link", "reinforce"})
"""Ops whose order does not matter: two writers may do them to one item at once."""

QUIET: frozenset[Verb] = frozenset({"reinforce", "link"})
"""Ops that change no content: `undo` passes over a transaction that holds nothing else."""

MARKING: frozenset[Verb] = frozenset({"forget", "restore", "quarantine", "pin", "unpin"})
"""Ops that set a status or a pin and no more."""

EDITABLE = frozenset(
    {"text", "key_text", "metadata", "kind", "source", "trust", "importance", "expires_at", "strength", "last_used_at"}
)
COUNTED: Mapping[str, float] = {"wins": 1e100, "losses": 1e100, "uses": 1e9, "strength": 1e100, "at": math.inf}
"""What a reinforcement adds, and how much of it at most: no sum of these is beyond counting."""

_STATUS: Mapping[Verb, tuple[tuple[Status, ...], Status]] = {
    "forget": (("live", "quarantined"), "forgotten"),
    "restore": (("forgotten",), "live"),
    "quarantine": (("live",), "quarantined"),
    "release": (("quarantined",), "live"),
}
_PINS: Mapping[Verb, bool] = {"pin": True, "unpin": False}


_FORGETS = Op(verb="forget", id="")
_TOLD = {"verb", "id", "reason"}


def forgetting(id: str, reason: str) -> Op:
    """Return the op that forgets an item; not validated, because a sweep makes tens of thousands of them."""
    return made(Op, {**_FORGETS.__dict__, "id": id, "reason": reason}, _TOLD)


def credited(item: Item, op: Op, earlier: Mapping[str, float] | None) -> Item:
    """Return the item reinforced under a key: what the same key added earlier is taken back with that."""
    return _reinforced(item, op.changes, earlier or {})


def says_anew(before: Item, after: Item) -> bool:
    """Whether an item now says something that it did not say before, so that another may say the same already."""
    said_before = before.status != "forgotten" and (before.kind, before.text) == (after.kind, after.text)
    return after.status != "forgotten" and not said_before


def beside(item: Item, twin: Item, now: float) -> tuple[Item, Item | None]:
    """Return an item as it may stand beside one that says the very same, and that one, where it stands for the item.

    What is past its date gives way (`giving_way`) to what is not, which is pinned as it was. Adapters stay.
    """
    may = item.id != twin.id and item.status != "forgotten" and not is_past(item, now)
    if not (may and twin.status == "live" and is_past(twin, now) and twin.kind != "adapter"):
        return item, twin
    return (marked(item, pinned=True) if twin.pinned else item), None


def giving_way(past: Item) -> list[Op]:
    """Return the ops by which an item that is past its date gives way to what says the same anew."""
    verbs: list[Verb] = ["unpin", "forget"] if past.pinned else ["forget"]
    return [Op(verb=verb, id=past.id, reason="expired, and said anew") for verb in verbs]


def is_past(item: Item, now: float) -> bool:
    """Whether an item is past its date, so that recall passes over it."""
    return item.expires_at is not None and item.expires_at <= now


def marks(verb: Verb, status: Status, pinned: bool, *, doubted: bool = False) -> tuple[Status, bool]:
    """Return the status and the pin as an op leaves them that sets no more than these.

    What is pinned is not forgotten, and what is doubted returns into quarantine.
    """
    if verb in _PINS:
        return status, _PINS[verb]
    before, after = _STATUS[verb]
    if status not in before or (verb == "forget" and pinned):
        return status, pinned
    return "quarantined" if doubted and verb == "restore" else after, pinned


def succeeding(before: Item, after: Item) -> Item:
    """Return an item that is put in another's place: it is kept from forgetting as that one was.

    One in an adapter's place was trained on the same, where it does not say on what; it is blocked as that one is,
    or not in use as that one is not, and what a gate said holds of it, too.
    """
    after = after.model_copy(update={"supersedes": before.id, "pinned": after.pinned or before.pinned})
    if before.kind != "adapter":
        return after
    metadata = {**untold(before, after.metadata), **after.metadata}
    after = after.model_copy(update={"derived_from": after.derived_from or before.derived_from, "metadata": metadata})
    if BLOCKED in before.metadata:
        return blocked(after, before.metadata[BLOCKED])
    return after if before.status == "live" else marked(after, status=_unused(after))


def untold(adapter: Item, metadata: Mapping[str, Json]) -> dict[str, Json]:
    """Return what a gate said of an adapter, and the hash of its weights, where new metadata does not say otherwise."""
    told = (name for name in (ACCEPTED, GATE, SHA256) if name in adapter.metadata and name not in metadata)
    return {name: adapter.metadata[name] for name in told}


def blocked(adapter: Item, why: Json) -> Item:
    """Return an adapter as one that must not be put into use."""
    return adapter.model_copy(update={"status": _unused(adapter), "metadata": {**adapter.metadata, BLOCKED: why}})


def _unused(adapter: Item) -> Status:
    return "quarantined" if adapter.status == "live" else adapter.status


def applied(item: Item, op: Op) -> Item:
    """Return the item as the op leaves it; the very same object where the op changes nothing.

    An adapter that is blocked stays so.
    """
    after = _applied(item, op)
    if after is item or item.kind != "adapter" or BLOCKED not in item.metadata:
        return after
    after = blocked(after, after.metadata.get(BLOCKED) or item.metadata[BLOCKED])
    return item if after == item else after


def _applied(item: Item, op: Op) -> Item:
    if op.verb == "release" and item.status == "quarantined" and DOUBTED in item.metadata:
        trusted = {name: value for name, value in item.metadata.items() if name != DOUBTED}
        return item.model_copy(update={"status": "live", "metadata": trusted})
    if op.verb in _STATUS or op.verb in _PINS:
        status, pinned = marks(op.verb, item.status, item.pinned, doubted=DOUBTED in item.metadata)
        return item if (status, pinned) == (item.status, item.pinned) else marked(item, status=status, pinned=pinned)
    if op.verb == "supersede":
        return marked(item, status="forgotten")
    if op.verb == "link":
        links = tuple(dict.fromkeys((*item.links, *op.to)))
        return item if links == item.links else item.model_copy(update={"links": links})
    if op.verb == "reinforce":
        return _reinforced(item, op.changes, {})
    return _edited(item, op.changes)


def _edited(item: Item, changes: Mapping[str, Json]) -> Item:
    unknown = sorted(set(changes) - EDITABLE)
    if unknown:
        raise Misuse(f"an edit cannot change {unknown[0]!r}; it can change {', '.join(sorted(EDITABLE))}")
    source = changes.get("source", item.source)
    if isinstance(source, str) and not source.strip():
        raise Misuse(f"source is {source!r}; expected where the text is from, such as 'user', 'document' or 'web'")
    if all(getattr(item, name) == value for name, value in changes.items()):
        return item
    try:
        return item.but(**changes)
    except ValidationError as error:
        raise Misuse(f"item {item.id} cannot be edited so: {why_invalid(error)}") from error


def _reinforced(item: Item, changes: Mapping[str, Json], earlier: Mapping[str, float]) -> Item:
    unknown = sorted(set(changes) - COUNTED.keys())
    if unknown:
        raise Misuse(f"a reinforcement cannot add {unknown[0]!r}; it can add {', '.join(sorted(COUNTED))}")
    strange = [
        name for name, value in changes.items() if isinstance(value, bool) or not isinstance(value, (int, float))
    ]
    if strange:
        raise Misuse(f"a reinforcement adds numbers, and {strange[0]} is {changes[strange[0]]!r:.80}")
    counts = cast(Mapping[str, float], changes)
    for name, value in counts.items():
        if not abs(value) <= COUNTED[name]:
            raise Misuse(f"a reinforcement adds {COUNTED[name]:g} at most, and {name} is {value!r:.40}")
    at = counts.get("at")

    def added(name: str) -> float:
        return max(0.0, float(getattr(item, name)) - earlier.get(name, 0.0) + counts.get(name, 0.0))

    return item.model_copy(
        update={
            "wins": added("wins"),
            "losses": added("losses"),
            "uses": max(0, item.uses - int(earlier.get("uses", 0)) + int(counts.get("uses", 0))),
            "strength": added("strength"),
            "last_used_at": item.last_used_at if at is None else max(at, item.last_used_at or at),
        }
    )
