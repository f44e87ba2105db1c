"""Adapters as items of the ledger: trained is quarantined, promoted is live, and undo takes a promotion back.

An item says which adapter it is in its metadata: `name`, the file beside the `base` that it is for, and its `role`:
"policy" answers, any other is used where it is named. Of each base and role one adapter is live at most: the ledger
sees to that, however one becomes live.
"""

from __future__ import annotations

import asyncio
import logging
import shlex
from collections.abc import Sequence
from dataclasses import replace

from agentevo.errors import Misuse, UnknownName, WeightsError
from agentevo.memory import Memory
from agentevo.memory.history import Change
from agentevo.memory.posts import replaced_by
from agentevo.memory.trust import ACCEPTED, BLOCKED, GATE
from agentevo.models.installed import LOCAL
from agentevo.protocols import Adaptable, Draft, State
from agentevo.protocols import Memory as Reads
from agentevo.types import Item, Json, Op, Report, Status, Transaction
from agentevo.weights.in_place import out_of_place

LOG = logging.getLogger(__name__)

POLICY = "policy"
PLUS = "+"


def base_of(model: str) -> str:
    """Return the name of a model without its adapter."""
    return model.partition(PLUS)[0]


async def adapted(state: State) -> State:
    """Return the state with its model as memory would have it: with the adapter that is live for it, if there is one.

    A model that was named with an adapter, or takes none, stays as it is. Raise WeightsError where the adapter's file
    is missing or is not the one that came into use: nothing answers with other weights than those.
    """
    model = state.model
    is_remote = "/" in model.name and not model.name.startswith(LOCAL)  # a provider's: memory need not be asked
    if is_remote or PLUS in model.name or not isinstance(model, Adaptable):
        return state
    live = await in_use(state.memory, model.name)
    if live is None:
        return state
    if why := await asyncio.to_thread(out_of_place, live):
        raise WeightsError(
            f"{model.name} is to answer with adapter {name_of(live)!r} of its memory, but {why}; or take it out of use"
            f" with `agentevo models adapters rollback {live.id}{_options(state.memory)}`"
        )
    return replace(state, model=model.adapted(name_of(live)))


def _options(memory: Reads) -> str:
    """Return the options by which a command finds a memory."""
    path, name = getattr(memory, "path", None), memory.namespace
    told = {"--path": str(path or ""), "--namespace": name if name != "default" else ""}
    return "".join(f" {option} {shlex.quote(value)}" for option, value in told.items() if value)


async def in_use(memory: Reads, base: str, role: str = POLICY) -> Item | None:
    """Return the live adapter of a base for a role, the newest if there are several."""
    found = await memory.alist(kind="adapter", where={"base": base, "role": role}, limit=1)
    return found[0] if found else None


def name_of(item: Item) -> str:
    """Return what the runtime knows an adapter by."""
    return str(item.metadata.get("name", ""))


def scores_of(item: Item) -> dict[str, Json]:
    """Return the figures that were written down about an adapter."""
    scores = item.metadata.get("scores")
    return scores if isinstance(scores, dict) else {}


# --- in a turn of the cycle


async def try_on(draft: Draft) -> None:
    """Make live, in a draft, the adapters that were trained in it: of those for one base and role the last."""
    last = {_post(item): item for item in trained(draft.ops)}
    for item in last.values():
        if item.status == "quarantined" and BLOCKED not in item.metadata:
            await draft.aapply(await promoting(draft, item))


async def weigh(draft: Draft, report: Report) -> None:
    """Write beside the adapters of a draft how it did with them on held-out tasks."""
    await draft.aapply([_weighed(item, report) for item in trained(draft.ops)])


async def keep_beside(memory: Reads, ops: Sequence[Op], report: Report, key: str) -> None:
    """Keep the adapters of a draft that was turned down: in the ledger, quarantined, with the reason; not in use."""
    made = trained(ops)
    if not made:
        return
    beside = memory.draft()
    await beside.aapply(
        [Op(verb="insert", id=item.id, item=item, reason=f"not used: {report.reason}") for item in made]
    )
    await beside.aapply([_weighed(item, report) for item in made])
    await beside.acommit(key=f"{key}/beside", reason=f"kept beside, not used: {report.reason}")


def trained(ops: Sequence[Op]) -> list[Item]:
    """Return the adapters that ops bring, as they are before anything is made live."""
    return [op.item for op in ops if op.verb == "insert" and op.item is not None and op.item.kind == "adapter"]


def _weighed(item: Item, report: Report) -> Op:
    scores: Json = {**scores_of(item), "held_out": report.score}
    said: dict[str, Json] = {"scores": scores, GATE: report.reason, ACCEPTED: report.accepted}
    return Op(verb="edit", id=item.id, changes={"metadata": {**item.metadata, **said}})


# --- by hand


async def promoting(memory: Reads, item: Item, reason: str = "promoted") -> list[Op]:
    """Return the ops that make an adapter the live one of its base and role; raise Misuse where it must not be."""
    if item.kind != "adapter":
        raise Misuse(f"item {item.id} is a {item.kind}; only an adapter is promoted")
    if why := item.metadata.get(BLOCKED):
        raise Misuse(f"adapter {name_of(item)!r} is not promoted: {why}; train another without that")
    where: dict[str, Json] = {name: item.metadata[name] for name in ("base", "role") if name in item.metadata}
    others = [other for other in await memory.alist(kind="adapter", where=where) if other.id != item.id]
    ops = [Op(verb="quarantine", id=other.id, reason=replaced_by(item)) for other in others]
    if item.status == "live":
        return ops
    return [*ops, Op(verb="restore" if item.status == "forgotten" else "release", id=item.id, reason=reason)]


def must_be_unheld(memory: Memory, base: str, name: str) -> None:
    """Raise Misuse where an adapter of a memory, in any of its namespaces, may answer with the file of this name."""
    for namespace in memory.namespaces():
        with memory.within(namespace) as there:
            held = there.list(kind="adapter", where={"base": base, "name": name}, status=["live", "quarantined"])
        for item in held:
            if BLOCKED not in item.metadata:
                raise Misuse(
                    f"{base}{PLUS}{name} is adapter {item.id} of this memory ({item.status}, namespace {namespace!r}),"
                    " whose file is not replaced under it; choose another name, or forget that one first with"
                    f" `agentevo memory forget {item.id}{_options(there)}`"
                )


def adapters(memory: Memory) -> list[Item]:
    """Return all adapters of a memory, the newest first: live, quarantined and forgotten ones."""
    return memory.list(kind="adapter", status=None)


def find(memory: Memory, name: str, *, first: Status = "live") -> Item:
    """Return the adapter of an id or a name; raise UnknownName, which lists those there are.

    Of several of a name it is the newest of those whose status comes `first`, or else of those that are live, wait, are
    blocked, or are forgotten; raise Misuse where these are of several bases or roles.
    """
    there = adapters(memory)
    alike = [item for item in there if item.id == name] or [item for item in there if name_of(item) == name]
    if not alike:
        raise UnknownName("adapter", name, sorted({name_of(item) for item in there}))
    order = (first, "live", "quarantined", BLOCKED, "forgotten")
    foremost = min(order.index(_standing(item)) for item in alike)
    alike = [item for item in alike if order.index(_standing(item)) == foremost]
    if len({_post(item) for item in alike}) > 1:
        listed = ", ".join(f"{item.id} ({' as '.join(_post(item))})" for item in alike)
        raise Misuse(f"adapter {name!r} is one of several that are {order[foremost]}; give an id: {listed}")
    return alike[0]


def _standing(item: Item) -> str:
    return BLOCKED if item.status == "quarantined" and BLOCKED in item.metadata else item.status


def _post(item: Item) -> tuple[str, str]:
    """Return the base and the role that an adapter is for."""
    return str(item.metadata.get("base")), str(item.metadata.get("role"))


async def promote(memory: Memory, name: str, reason: str = "", *, force: bool = False) -> Transaction:
    """Make an adapter the live one of its base and role, in one transaction that `undo` takes back.

    Of several of a name it is the newest that waits. Raise Misuse where it must not be or its file is not in its place,
    and, unless by force, where a gate did not let it in.
    """
    item = find(memory, name, first="quarantined")
    if item.metadata.get(ACCEPTED) is False and item.status != "live" and not force:
        why = item.metadata.get(GATE)
        raise Misuse(
            f"adapter {name_of(item)!r} is not promoted, as the gate did not let it in: {why}; "
            "to use it all the same give --force, in Python force=True"
        )
    if item.metadata.get("role") == POLICY and (why := out_of_place(item)):
        raise Misuse(f"adapter {name_of(item)!r} is not promoted: {why}")
    ops = await promoting(memory, item, reason or "promoted by hand")
    if not ops:
        raise Misuse(f"adapter {name_of(item)!r} is live already")
    return await memory.aapply(ops, reason=reason or f"promote adapter {name_of(item)}")


async def rollback(memory: Memory, name: str, reason: str = "") -> Transaction:
    """Take a live adapter out of use, and make live again what its promotion replaced."""
    item = find(memory, name)
    if item.status != "live":
        raise Misuse(f"adapter {name_of(item)!r} is {item.status}, not live; there is nothing to roll back")
    said = reason or f"roll back adapter {name_of(item)}"
    ops = [Op(verb="quarantine", id=item.id, reason=said)]
    ops += [Op(verb="release", id=other.id, reason=said) for other in await _replaced(memory, item)]
    return await memory.aapply(ops, reason=said)


async def _replaced(memory: Memory, item: Item) -> list[Item]:
    """Return what was put aside by the last transaction that made an adapter live in place of others.

    A rollback that brought it back put nothing aside.
    """
    said = replaced_by(item)
    others = [other for other in adapters(memory) if other.status == "quarantined" and BLOCKED not in other.metadata]
    aside = {other.id: {c.transaction for c in _changes(memory, other) if c.reason == said} for other in others}
    for change in reversed(_changes(memory, item)):
        if replaced := [other for other in others if change.transaction in aside[other.id]]:
            return replaced
    return []


def _changes(memory: Memory, item: Item) -> list[Change]:
    return [change for change in memory.history(item.id) if isinstance(change, Change)]
