"""The journal read back: what happened to an item, what the memory was at a time, and how to take a change back."""

from __future__ import annotations

import json
import math
import sqlite3
from collections.abc import Collection, Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from agentevo.errors import Misuse
from agentevo.memory import images
from agentevo.memory.change import EDITABLE, QUIET, applied
from agentevo.memory.damage import read_back
from agentevo.memory.entry import find_transaction
from agentevo.memory.nearby import chunks, marks
from agentevo.memory.source import Found, Source, Stored
from agentevo.memory.table import Vector
from agentevo.memory.writer import Writer
from agentevo.types import Item, Json, Op, Status, Transaction, Verb

UNDO = "undo:"
"""The key of a transaction that takes another back begins with this."""


@dataclass(frozen=True, slots=True)
class Change:
    """One change to one item, and what the item was before it (None: it was not there)."""

    at: float
    actor: str
    verb: Verb | Literal["purge"]
    reason: str
    transaction: str
    before: Item | None
    key: str | None = None
    """Of a reinforcement, what it was given under: the attempt, for one."""
    counts: Mapping[str, float] = field(default_factory=dict)
    """Of a reinforcement, what it added."""
    to: tuple[str, ...] = ()
    """Of a link, what it leads to; of what was forgotten for others, those."""


@dataclass(frozen=True, slots=True)
class Lineage:
    """Where an item came from and what came from it. Origins are ids of attempts or experiences, not of items."""

    item: Item
    parents: tuple[Item, ...]
    origins: tuple[str, ...]
    children: tuple[Item, ...]


def changes(stored: Stored, id: str) -> list[Change]:
    """Return what happened to an item, oldest first."""
    query = """SELECT at, actor, verb, coalesce(nullif(ops.reason, ''), transactions.reason), transactions.id, before,
        detail FROM ops JOIN transactions USING (txn) WHERE item = ? AND ns = ? ORDER BY seq"""
    with stored.ledger.reading() as db:
        lines = db.execute(query, (id, stored.ns)).fetchall()
        now = stored.find(id)
    was = _was([(id, image) for *_, image, _ in lines], {id: now[0]} if now else {}, stored)
    told = (_told(verb, detail, stored) for _, _, verb, *_, detail in lines)
    return [
        Change(at, actor, verb, reason, txn, before, *more)
        for (at, actor, verb, reason, txn, *_), before, more in zip(lines, was, told, strict=True)
    ]


def _was(lines: Sequence[tuple[str, str | None]], now: Mapping[str, Item], stored: Stored) -> list[Item | None]:
    """Return what each line's item was before it, of items and images in the journal's order, to the latest line."""
    after: dict[str, Item | None] = {**now}
    found: list[Item | None] = []
    with read_back(stored.ledger.name):
        for name, image in reversed(lines):
            after[name] = images.was(image, after.get(name), stored.namespace)
            found.append(after[name])
    return found[::-1]


def _first(found: Iterable[tuple[str, Item | None]]) -> dict[str, Item | None]:
    """Return, of items and what they were, what each was first."""
    first: dict[str, Item | None] = {}
    for name, was in found:
        first.setdefault(name, was)
    return first


def _told(verb: Verb, detail: str, stored: Stored) -> tuple[str | None, dict[str, float], tuple[str, ...]]:
    with read_back(stored.ledger.name):
        said = json.loads(detail)
        counted = said if verb == "reinforce" else {}
        return counted.get("key"), counted.get("changes", {}), tuple(said.get("to", ()))


def transactions(stored: Stored, limit: int | None = None) -> list[Transaction]:
    """Return what was committed, newest first."""
    with stored.ledger.reading() as db:
        query = "SELECT txn FROM transactions WHERE ns = ? ORDER BY txn DESC LIMIT ?"
        txns = db.execute(query, (stored.ns, -1 if limit is None else limit)).fetchall()
        found = (find_transaction(db, stored.namespace, stored.ns, "txn", txn) for (txn,) in txns)
        return [transaction for transaction in found if transaction is not None]


def lineage(stored: Stored, item: Item) -> Lineage:
    """Return an item's parents and children."""
    parents = {name: stored.find(name) for name in item.derived_from}
    return Lineage(
        item,
        parents=tuple(found[0] for found in parents.values() if found),
        origins=tuple(name for name, found in parents.items() if not found),
        children=tuple(found[0] for found in map(stored.find, stored.children(item.id)) if found),
    )


def children(source: Source, id: str) -> list[Item]:
    """Return what was derived from this id itself."""
    with source.reading():
        return [found[0] for found in map(source.find, source.children(id)) if found]


def at(stored: Stored, time: float) -> list[Item]:
    """Return the items as they were at a time, all statuses, oldest first."""
    query = """SELECT item, before, at > ? FROM ops JOIN transactions USING (txn) WHERE ns = ? AND seq >= (
        SELECT min(seq) FROM ops JOIN transactions USING (txn) WHERE ns = ? AND at > ?) ORDER BY seq"""
    with stored.ledger.reading() as db:
        lines = db.execute(query, (time, stored.ns, stored.ns, time)).fetchall()
        now = stored.listed(_KINDS, _STATUSES, None, "oldest", None)
    was = _was([(name, image) for name, image, _ in lines], {item.id: item for item in now}, stored)
    first = _first((name, before) for (name, _, is_later), before in zip(lines, was, strict=True) if is_later)
    return [past for item in now if (past := first.get(item.id, item)) is not None]


_KINDS = ("fact", "experience", "lesson", "note", "code", "prompt", "adapter")
_STATUSES: tuple[Status, ...] = ("live", "quarantined", "forgotten")


# --- undo


@dataclass(frozen=True, slots=True)
class Undo:
    """How to take a transaction back: the ops that do it, and the versions they count on."""

    txn: int
    id: str
    reason: str
    ops: list[Op]
    expected: dict[str, int]
    touched: tuple[str, ...]
    """What the transaction changed: what is derived from it since then, and nothing of this, is doubted."""
    passed: tuple[int, ...] = ()
    """Later transactions that left nothing: marked as taken back too, so that no later undo revives them."""


def plan_undo(stored: Stored, actor: str) -> Undo:
    """Find this actor's latest transaction that left something to take back.

    Raises Misuse where there is none, or where a later one touched what it changed.
    """
    query = """SELECT txn, id, reason FROM transactions WHERE ns = ? AND actor = ? AND content AND undone_by IS NULL
        AND (key IS NULL OR key NOT GLOB 'undo:*') ORDER BY txn DESC"""
    passed: set[int] = set()
    with stored.ledger.reading() as db:
        for txn, name, reason in db.execute(query, (stored.ns, actor)):
            query = "SELECT item, before, verb, detail FROM ops WHERE txn = ? ORDER BY seq"
            lines = db.execute(query, (txn,)).fetchall()
            touched = list(dict.fromkeys(item for item, *_ in lines))
            found = stored.found(touched)  # what was purged since does not come back
            now = {item: one.item for item, one in found.items()}
            was = _was([(item, image) for item, image, *_ in lines], now, stored)
            first = _first(zip((item for item, *_ in lines), was, strict=True))
            first |= _less_edits(now, first, _edits(lines, was, stored))
            _refuse_if_touched(db, stored.ns, txn, name, list(found), passed)
            plan = _plan(txn, name, reason, first, found)
            if plan.ops:
                return replace(plan, passed=tuple(passed))
            passed.add(txn)
    raise Misuse(
        f"nothing to undo: {actor!r} has changed nothing in namespace {stored.namespace!r} that could be taken back"
    )


def _edits(
    lines: Sequence[tuple[str, str | None, str, str]], was: Sequence[Item | None], stored: Stored
) -> dict[str, list[tuple[Item, Item]]]:
    """Return, of items, what each edit among these lines found and what it left."""
    edits: dict[str, list[tuple[Item, Item]]] = {}
    with read_back(stored.ledger.name):
        for (item, _, verb, detail), before in zip(lines, was, strict=True):
            changes = json.loads(detail).get("changes") if verb == "edit" else None
            if changes and before is not None:
                after = applied(before, Op(verb="edit", id=item, changes=changes))
                edits.setdefault(item, []).append((before, after))
    return edits


def _less_edits(
    now: Mapping[str, Item], first: Mapping[str, Item | None], edits: Mapping[str, Sequence[tuple[Item, Item]]]
) -> dict[str, Item]:
    """Return what items were, with the counts of now less what the edits made of them: what uses added stays."""
    less: dict[str, Item] = {}
    for name, then in first.items():
        if then is None or name not in now:
            continue
        pairs = edits.get(name, ())
        strength = math.fsum((now[name].strength, *(s for a, b in pairs for s in (-b.strength, a.strength))))
        used = [(a.last_used_at, b.last_used_at) for a, b in pairs if a.last_used_at != b.last_used_at]
        at = used[0][0] if used and used[-1][1] == now[name].last_used_at else now[name].last_used_at
        less[name] = then.model_copy(update={"strength": strength if strength > 0 else 0.0, "last_used_at": at})
    return less


def _plan(txn: int, name: str, reason: str, first: dict[str, Item | None], found: Mapping[str, Found]) -> Undo:
    """Return how to give items their first images again, but for those that are as they were, or no more there."""
    said = f"undo: {reason or name}"
    ops: list[Op] = []
    expected: dict[str, int] = {}
    for item, before in reversed(first.items()):
        needed = _needed(found[item].item, before, said) if item in found else []
        if needed:
            expected[item] = found[item].version
            ops += needed
    return Undo(txn, name, said, ops, expected, tuple(first))


def _needed(now: Item, then: Item | None, reason: str) -> list[Op]:
    """Return those of the ops back that change something; none where all they do comes to nothing."""
    ops: list[Op] = []
    item = now
    for op in _back(now, then, reason):
        before, item = item, applied(item, op)
        ops += [op] if item is not before else []
    return ops if item != now else []


def take_back(stored: Stored, plan: Undo, vectors: Mapping[str, Vector], actor: str, at: float) -> Transaction:
    """Carry the plan out; raise Misuse where what it is about was undone or changed meanwhile."""
    with stored.ledger.writing() as db:
        writer = Writer(db, stored, vectors)
        if writer.begin(actor=actor, reason=plan.reason, key=f"{UNDO}{plan.id}", at=at) is None:
            raise Misuse(f"{plan.id} was undone by another process meanwhile")
        writer.doubts.settle(plan.touched)
        taken = (plan.txn, *plan.passed)
        done = writer.put([*plan.ops, *_uncounted(db, stored.ns, taken, plan.reason)], plan.expected)
        if done.skipped:
            name = done.skipped[0]
            raise Misuse(
                f"cannot undo {plan.id}: item {name} was changed meanwhile, or another says by now what it said"
            )
        undone = ((done.id, txn) for txn in taken)
        db.executemany("UPDATE transactions SET undone_by = ? WHERE txn = ?", undone)
    return done


def _uncounted(db: sqlite3.Connection, ns: int, txns: Collection[int], reason: str) -> Iterator[Op]:
    """Yield ops that take back what transactions counted; when an item was last used is not known any more."""
    query = f"SELECT item, detail FROM ops WHERE verb = 'reinforce' AND txn IN ({marks(list(txns))})"
    keyed: dict[tuple[str, str], None] = {}
    for item, detail in db.execute(query, tuple(txns)).fetchall():
        told = json.loads(detail)
        if "key" in told:
            keyed[item, told["key"]] = None
        elif less := {name: -value for name, value in told.get("changes", {}).items() if name != "at"}:
            yield Op(verb="reinforce", id=item, changes=less, reason=reason)
    for item, key in keyed:
        before = _told_before(db, ns, txns, item, key)
        if before is not None:
            yield Op(verb="reinforce", id=item, changes=before, key=key, reason=reason)


def _told_before(db: sqlite3.Connection, ns: int, txns: Collection[int], item: str, key: str) -> dict[str, Json] | None:
    """Return what was counted under a key before these transactions; None where it was told anew since."""
    query = """SELECT txn, detail FROM ops JOIN transactions USING (txn)
        WHERE item = ? AND ns = ? AND verb = 'reinforce' AND json_extract(detail, '$.key') = ?
        AND undone_by IS NULL AND (key IS NULL OR key NOT GLOB 'undo:*') ORDER BY seq DESC"""
    is_later = True
    for txn, detail in db.execute(query, (item, ns, key)):
        if txn in txns:
            is_later = False
        elif is_later:
            return None
        else:
            changes: dict[str, Json] = json.loads(detail).get("changes", {})
            return changes
    return {}


def _refuse_if_touched(
    db: sqlite3.Connection, ns: int, txn: int, name: str, items: Sequence[str], passed: Container[int]
) -> None:
    """Raise Misuse where a later transaction changed one of these items, unless that one was passed over."""
    for chunk in chunks(items):
        query = f"""SELECT item, transactions.id, txn FROM ops CROSS JOIN transactions USING (txn)
            WHERE ns = ? AND txn > ? AND undone_by IS NULL AND (key IS NULL OR key NOT GLOB 'undo:*')
            AND verb NOT IN ({marks(list(QUIET))}) AND item IN ({marks(chunk)})"""
        for item, later, number in db.execute(query, (ns, txn, *QUIET, *chunk)):
            if number not in passed:
                raise Misuse(f"cannot undo {name}: item {item} was changed again by transaction {later}")


def _back(now: Item, then: Item | None, reason: str) -> list[Op]:
    """Return the ops that make an item what it was; one that was not there is forgotten. Counts are `_uncounted`."""
    if then is None:
        return [Op(verb=verb, id=now.id, reason=reason) for verb in _GONE]
    verbs: list[Verb] = [*_status_verbs(now.status, then.status)]
    if verbs or now.pinned != then.pinned:  # what is pinned would not be forgotten
        verbs = ["unpin", *verbs, "pin" if then.pinned else "unpin"]
    ops = [Op(verb=verb, id=now.id, reason=reason) for verb in verbs]
    edited = {name: getattr(then, name) for name in sorted(EDITABLE) if getattr(then, name) != getattr(now, name)}
    if not edited:
        return ops
    edit = Op(verb="edit", id=now.id, changes=edited, reason=reason)
    # What is forgotten and doubted is restored into quarantine; what is live may not say what another says by now.
    return [edit, *ops] if now.status == "forgotten" else [*ops, edit]


_GONE: tuple[Verb, ...] = ("unpin", "forget")


def _status_verbs(now: Status, then: Status) -> list[Verb]:
    if now == then:
        return []
    if then == "forgotten":
        return ["forget"]
    if now == "forgotten":
        return ["restore"] if then == "live" else ["restore", "quarantine"]
    return ["release"] if then == "live" else ["quarantine"]
