"""Writing to the ledger: ops become rows, words, vectors, fields and journal, in one transaction."""

from __future__ import annotations

import itertools
import json
import sqlite3
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, TypeGuard

from agentevo.errors import Misuse
from agentevo.memory.change import (
    COMMUTING,
    MARKING,
    QUIET,
    applied,
    beside,
    blocked,
    credited,
    giving_way,
    says_anew,
    succeeding,
)
from agentevo.memory.doubt import Doubts, corrected
from agentevo.memory.entry import Entry, detail_of
from agentevo.memory.experiences import attempted
from agentevo.memory.marking import Marking
from agentevo.memory.posts import adapters_among, post_of, rivals
from agentevo.memory.table import Vector
from agentevo.memory.trust import BLOCKED, DOUBTED, PURGED
from agentevo.memory.twins import Twins
from agentevo.types import Item, Op, Transaction

if TYPE_CHECKING:
    from agentevo.memory.source import Stored

# As `Doubts` has it: a text that was edited into itself is none, nor is what was made of an item and says it better.
_CORRECTED = """SELECT 1 FROM ops JOIN transactions USING (txn) WHERE item = ? AND ns = ? AND seq > ? AND txn != ?
    AND (verb = 'purge' OR (verb = 'forget' AND json_extract(detail, '$.to') IS NOT NULL)
        OR (verb = 'edit' AND json_extract(detail, '$.changes.text') != json_extract(before, '$.text'))
        OR (verb = 'supersede' AND NOT EXISTS (
            SELECT 1 FROM derived JOIN items ON items.ns = derived.ns AND items.id = child
            WHERE derived.ns = transactions.ns AND parent = item AND supersedes = item)))"""

_AT_ONCE = 10_000
"""So many ops that only set marks are carried out together: what they are written into takes room in memory."""


class Writer(Entry):
    """Puts ops into one open transaction of the ledger: items and journal together."""

    def __init__(self, db: sqlite3.Connection, stored: Stored, vectors: Mapping[str, Vector]) -> None:
        super().__init__(db, stored, vectors)
        self.twins = Twins()
        self._own: set[str] = set()
        self._expected: Mapping[str, int] = {}
        self._new: set[str] = set()
        """The ids that its ops bring with them."""
        self._lost: set[str] = set()
        """The ids that its inserts came with and others had taken: what its ops say of them is said of other items."""
        self._moot: set[str] = set()
        """Why items would be doubted, had the corrections not been skipped that these reasons tell of."""
        self._true: set[str] = set()
        """Why items are doubted: what these reasons tell of was corrected."""
        self._risen: list[str] = []
        """Adapters that came into use, or may have."""
        self.doubts = Doubts(stored)

    def put(self, ops: Sequence[Op], expected: Mapping[str, int] | None = None) -> Transaction:
        """Apply the ops; those whose item changed since `expected` was read are skipped and reported.

        A transaction in which nothing changed is not kept, and has no id, unless a key or what was skipped tells of it.
        """
        self._expected, self._new = expected or {}, {op.item.id for op in ops if op.item}
        skipped = list(dict.fromkeys(self._skipped(ops, self._expected)))
        late = self.doubts.left()
        for op in late:
            self._put(op, None)
        late += self._put_aside()
        self._close(skipped)
        named = (name for op in (*ops, *late) for name in ((op.id, op.item.id) if self._is_in(op.item) else (op.id,)))
        missed = set(skipped)
        items = tuple(name for name in dict.fromkeys(self.twins.get(n, n) for n in named) if name not in missed)
        return self.transaction.model_copy(update={"items": items, "skipped": tuple(skipped)})

    def _put_aside(self) -> list[Op]:
        """Take adapters out of use in whose place others came, the latest of each post; return how that was done."""
        done: list[Op] = []
        for _, _, item in (one for name in reversed(self._risen) for one in self.read([name]).values()):
            ops = rivals(self.db, self.ns, item)
            for op in ops:
                self._put(op, None)
            done += ops
        return done

    def _is_in(self, item: Item | None) -> TypeGuard[Item]:
        """Say whether an item that was to be inserted was, or stands for itself here already."""
        return item is not None and (item.id in self._own or item.id in self.twins)

    def _skipped(self, ops: Sequence[Op], expected: Mapping[str, int]) -> Iterator[str]:
        """Carry the ops out in their order; yield the ids of those that were not."""
        for alike, run in itertools.groupby(ops, key=_how):
            if alike == "alone":
                for op in run:
                    if not self._put(op, expected.get(self.twins.get(op.id, op.id))):
                        yield self._passed_over(op)
                continue
            while part := list(itertools.islice(run, _AT_ONCE)):
                yield from self._mark(part, expected)

    def _passed_over(self, op: Op) -> str:
        """Return the id of an op that was not carried out; what it would have corrected gives no reason to doubt."""
        self._moot.update({corrected(self.twins.get(op.id, op.id))} - self._true)
        return op.id

    def _mark(self, ops: Sequence[Op], expected: Mapping[str, int]) -> list[str]:
        """Carry out ops that set no more than a status or a pin, together; return the ids of those that were not."""
        names = [self.twins.get(op.id, op.id) for op in ops]
        seq = self._latest() + 1
        missed: list[int] = []
        changed: list[int] = []
        for turn in _turns(names):
            not_done, done = self._mark_once(ops, names, turn, expected, seq)
            missed += not_done
            changed += done
        if ops[0].verb == "restore":  # which is carried out with no other
            again = sorted(missed)  # one by one, what is past its date gives way
            missed = [n for n in again if not self._put(ops[n], expected.get(names[n]))]
            self._risen += adapters_among(self.db, self.ns, [names[n] for n in sorted(changed)])
        for n in sorted(changed):
            self.verbs.add(ops[n].verb)
            if ops[n].to:
                self.doubts.suspect(names[n], [self.twins.get(other, other) for other in ops[n].to])
        return [ops[n].id for n in sorted(missed)]

    def _mark_once(
        self, ops: Sequence[Op], names: Sequence[str], turn: Sequence[int], expected: Mapping[str, int], seq: int
    ) -> tuple[Sequence[int], Sequence[int]]:
        """Carry out those ops whose turn it is, no two of one item, as a set.

        Their lines in the journal are numbered from `seq`, by their places among all. Returned are the places of those
        that were not carried out, and of those that changed something.
        """

        verbs = {ops[n].verb for n in turn}
        with Marking(self.db, self.ns) as marking:
            self._want(marking, ops, names, turn, expected)
            if "restore" not in verbs and not (self._moot or self._lost) and marking.settle(verbs) == len(turn):
                self._own.update(names[n] for n in turn)
                marking.carry_out(self.txn, seq)
                return [], turn
            lost = dict(marking.lost())
            lost |= {n: True for n in turn if ops[n].id in self._lost} if self._lost else {}
            for n, is_here in lost.items():
                self._must_have_been(names[n], ops[n], is_here=is_here)
                self._passed_over(ops[n])
            self._own.update(names[n] for n in turn if n not in lost)
            marking.leave_out(n for n in turn if n in lost or ops[n].reason in self._moot)
            said = marking.said()
            for n in said:
                self._passed_over(ops[n])
            marking.leave_out(said)
            marking.settle(verbs)
            marking.carry_out(self.txn, seq)
            return [*lost, *said], marking.changed()

    def _want(
        self,
        marking: Marking,
        ops: Sequence[Op],
        names: Sequence[str],
        turn: Sequence[int],
        expected: Mapping[str, int],
    ) -> None:
        """Tell what is to be marked; in a sweep most ops differ by their item only, and no tuple is made of each."""

        def newest(name: str) -> int | None:
            return None if name in self._own else expected.get(name)

        every = zip(ops, names, strict=True) if len(turn) == len(ops) else ()
        alike = {(op.verb, newest(name), op.reason, detail_of(op)) for op, name in every}
        if len(alike) == 1:
            marking.want_alike(names, *alike.pop())
        else:
            marking.want((n, ops[n].verb, names[n], newest(names[n]), ops[n].reason, detail_of(ops[n])) for n in turn)

    def _is_ours(self, name: str, version: int, expected: int | None) -> bool:
        """Say whether an item is as it was expected, or was changed by nobody but this transaction since."""
        ours = expected is None or version <= expected or name in self._own
        if ours:
            self._own.add(name)
        return ours

    def _must_have_been(self, name: str, op: Op, *, is_here: bool) -> None:
        """Raise Misuse where an item that a draft would change never was here, so that it was not purged either."""
        query = "SELECT 1 FROM ops JOIN transactions USING (txn) WHERE item = ? AND ns = ?"
        is_asked = not is_here and name in self._expected and name not in self._new
        if is_asked and not self.db.execute(query, (name, self.ns)).fetchone():
            raise Misuse(f"no item {op.id!r:.80} to {op.verb} in this draft")

    def _put(self, op: Op, expected: int | None) -> bool:
        if self._is_lost(op):
            return False
        op = self.twins.led(op) if self.twins else op
        if op.verb == "insert" and op.item:
            self._insert(op.item, op)
            return True
        name = self.twins.get(op.id, op.id)
        found = self.read([name]).get(name)
        if found is None or not (self._is_ours(name, found[1], expected) or op.verb in COMMUTING):
            self._must_have_been(name, op, is_here=found is not None)
            return False
        if op.reason in self._moot:
            return True
        row, _, before = found
        after, twin = self._after(before, op)
        if twin is not None:
            return False
        if after is not before or (op.verb == "link" and op.reason):  # why two are linked is told of those that were
            self._change(row, before, after, op)
            self._risen += [name] if post_of(after) not in (None, post_of(before)) else []
            if self.doubts.see(op, before, after):
                self._true.add(corrected(name))
                self._moot.discard(corrected(name))
        if op.verb == "supersede" and op.item:
            self._insert(succeeding(before, op.item), op)
            if before.pinned and op.item.id in self.twins:
                self._pin(self.twins[op.item.id], op.reason)
        return True

    def _after(self, before: Item, op: Op) -> tuple[Item, Item | None]:
        """Return the item as an op leaves it, and what says already what it says anew."""
        after = self._credited(before, op) if op.verb == "reinforce" and op.key else applied(before, op)
        return self._beside(after) if says_anew(before, after) else (after, None)

    def _pin(self, name: str, reason: str) -> None:
        """Pin what was here already and took a pinned item's place, also where others changed it meanwhile."""
        row, version, before = self.read([name])[name]
        if not before.pinned:
            self._is_ours(name, version, self._expected.get(name))  # else the pin is what a later op conflicts with
            op = Op(verb="pin", id=name, reason=reason)
            self._change(row, before, applied(before, op), op)

    def _is_lost(self, op: Op) -> bool:
        """Say whether an op brings an item whose id is taken, or is about one that it was to bring, and others have."""
        if op.item is not None and self.is_taken(op.item.id):
            if op.item.id not in self._own:
                self._lost.add(op.item.id)
            return True
        return op.id in self._lost

    def _insert(self, item: Item, op: Op) -> None:
        """Add an item, unless one that is not forgotten says the very same: then that one stands for it."""
        item, twin = self._beside(item)
        if twin is not None:
            self.twins.add(item.id, twin.id)
            return
        self._own.add(item.id)
        item, op = self._lowered(item, op) if self.twins else (item, op)
        item, op = self._doubted(item, op)
        self.add_row(item, self._journal(op, item.id, None))
        self._risen += [item.id] if post_of(item) else []

    def _beside(self, item: Item) -> tuple[Item, Item | None]:
        """Return an item as it may be written, and what stands for it; what is past its date gives way to it."""
        name = self.twin(item)
        if name is None:
            return item, None
        _, _, found = self.read([name])[name]
        item, twin = beside(item, found, self.transaction.at)
        for op in giving_way(found) if twin is None else ():
            self._put(op, None)
        return item, twin

    def _lowered(self, item: Item, op: Op) -> tuple[Item, Op]:
        """Trust what was derived from inserts that were not needed no more than what stands for them."""
        item, why = self.twins.lowered(item, lambda names: (found for *_, found in self.read(names).values()))
        return item, _because(op, why) if why else op

    def _doubted(self, item: Item, op: Op) -> tuple[Item, Op]:
        """Quarantine what was derived from something that was purged or corrected after it can have been read."""
        if item.kind == "adapter":
            return self._barred(item, op)
        read = ((name, self._expected[name]) for name in item.derived_from if name in self._expected)
        corrected = next(
            (n for n, at in read if self.db.execute(_CORRECTED, (n, self.ns, at, self.txn)).fetchone()), None
        )
        if corrected is None:
            return item, op
        why = f"derived from {corrected}, which was purged or corrected meanwhile"
        status = "quarantined" if item.status == "live" else item.status
        item = item.model_copy(update={"status": status, "metadata": {**item.metadata, DOUBTED: why}})
        return item, _because(op, why)

    def _barred(self, item: Item, op: Op) -> tuple[Item, Op]:
        """Keep an adapter from use that was trained on attempts whose experience a namespace has purged since.

        What another namespace purged is not what this one has in an experience of its own.
        """
        query = "SELECT ns FROM derived WHERE ns IN (SELECT ns FROM namespaces) AND parent = ? AND child = ?"
        names = item.derived_from if BLOCKED not in item.metadata else ()
        purged = [(name, ns) for name in names for (ns,) in self.db.execute(query, (name, PURGED))]
        elsewhere = {name for name, ns in purged if ns != self.ns}
        if all(ns != self.ns for _, ns in purged) and elsewhere == attempted(self.db, self.ns, elsewhere):
            return item, op
        why = "trained on what was purged meanwhile"
        return blocked(item, why), _because(op, why)

    def _change(self, row: int, before: Item, after: Item, op: Op) -> None:
        seq = self._journal(op, before.id, before)
        vector = self.vectors.get(op.id) if op.verb == "edit" else None  # by the name it was embedded under
        self.replace(row, before, after, seq if op.verb not in QUIET else None, vector)

    def _credited(self, before: Item, op: Op) -> Item:
        where = (self.ns, op.key, before.id)
        old = self.db.execute("SELECT changes FROM credits WHERE ns = ? AND key = ? AND item = ?", where).fetchone()
        self.db.execute("INSERT OR REPLACE INTO credits VALUES (?,?,?,?)", (*where, json.dumps(op.changes)))
        return credited(before, op, json.loads(old[0]) if old else None)


def _because(op: Op, why: str) -> Op:
    """Return an op whose reason says this, too."""
    return op.model_copy(update={"reason": "; ".join(part for part in (op.reason, why) if part)})


def _how(op: Op) -> str:
    """Say with which others an op may be carried out; what is restored must see what was forgotten before it."""
    return "alone" if op.verb not in MARKING else "restore" if op.verb == "restore" else "mark"


def _turns(names: Sequence[str]) -> Sequence[Sequence[int]]:
    """Return the places of names, in turns: in none does a name come twice, and each comes in its order."""
    if len(set(names)) == len(names):
        return [range(len(names))]
    turns: list[list[int]] = []
    came: Counter[str] = Counter()
    for place, name in enumerate(names):
        if came[name] == len(turns):
            turns.append([])
        turns[came[name]].append(place)
        came[name] += 1
    return turns
