"""What a draft reads: its own changes laid over the memory it began from."""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agentevo.errors import Misuse
from agentevo.memory.change import COMMUTING, applied, beside, credited, giving_way, says_anew, succeeding
from agentevo.memory.doubt import Doubts
from agentevo.memory.exact import Scored, Vector, likenesses
from agentevo.memory.narrow import Filter
from agentevo.memory.rank import Candidate, place
from agentevo.memory.source import SORTS, Found, Frequencies, Source, Stored
from agentevo.memory.twins import Twins
from agentevo.memory.where import Node, fits
from agentevo.memory.words import Stemmer, body
from agentevo.types import Item, Op, Status

_K1, _B = 1.2, 0.75  # as in the full-text table


class Overlay:
    """A source over another source. Its items are few, so they are searched one by one; new ones have negative rows."""

    def __init__(self, base: Source, ns: int, stemmer: Stemmer, now: Callable[[], float]) -> None:
        self._base, self._ns, self._stemmer, self._now = base, ns, stemmer, now
        self._items: dict[int, Item] = {}
        self._rows: dict[str, int] = {}
        self._vectors: dict[int, Vector] = {}
        self._stems: dict[int, Counter[str]] = {}
        self._changes: Counter[str] = Counter()
        self._credits: dict[tuple[str, str], Mapping[str, Any]] = {}
        self._saying: dict[tuple[str, str], set[int]] = {}
        self._twins: Twins = Twins(base._twins if isinstance(base, Overlay) else None)
        self.corrected: list[str] = []
        """What was taken back here, in its order."""
        self._children: dict[str, list[str]] = {}
        """Of what is new here and derived from something: what it is derived from, and its id."""
        self._held: dict[str, bool] = {}
        self.doubts = Doubts(self)
        self._numbers: Iterator[int] = base._numbers if isinstance(base, Overlay) else itertools.count(-1, -1)
        self.began = base.latest() if isinstance(base, Stored) else None
        """The number of the ledger's latest change when the draft began; None in a draft of a draft."""
        self.expected: dict[str, int] = {}
        """The version each changed item had when the draft began."""

    # --- changing

    def put(self, ops: Sequence[Op], vectors: Mapping[str, Vector]) -> Iterator[Item]:
        """Apply ops, all or none; yield each item as its op leaves it. An insert may lead to a twin that was here."""
        below = self._base.found([op.id for op in ops if op.verb != "insert" and op.id not in self._rows])
        taken = self._base.rows([op.item.id for op in ops if op.item])
        self._must_fit(ops, below, taken)
        for op in ops:
            yield self._put(op, vectors, below)

    def _must_fit(self, ops: Sequence[Op], below: Mapping[str, Found], taken: Container[str]) -> None:
        """Raise Misuse where one of the ops could not be carried out after those before it."""
        left: dict[str, Item] = {}
        for op in ops:
            if op.verb != "insert":
                name = self._twins.get(op.id, op.id)
                before = left.get(name) or self._must(name, op, below).item
                left[name] = applied(before, op)
            if op.item:
                here = left.get(op.item.id)
                if here is None and (op.item.id in taken or op.item.id in self._rows):
                    here = self._must(op.item.id, op, below).item
                _refuse_id(op.item, here)
                left[op.item.id] = op.item

    def _must(self, name: str, op: Op, below: Mapping[str, Found]) -> Found:
        found = self._found(name, below)
        if found is None:
            raise Misuse(f"no item {op.id!r} to {op.verb} in this draft")
        return found

    def _put(self, op: Op, vectors: Mapping[str, Vector], below: Mapping[str, Found]) -> Item:
        op = self._twins.led(op) if self._twins else op
        if op.verb == "insert" and op.item:
            return self._insert(op.item, vectors)
        found = self._must(self._twins.get(op.id, op.id), op, below)
        row, before = found.row, found.item
        if op.verb not in COMMUTING:
            if self._rows.get(before.id, 0) >= 0:
                # An item that changed after the beginning is one the draft's reader may have read as it was before:
                # it is expected to be older than it is, so that this change to it is skipped.
                version = found.version
                self.expected.setdefault(before.id, version if self.began is None else min(version, self.began))
            self._changes[before.id] += 1
        after = self._credited(before, op) if op.verb == "reinforce" and op.key else applied(before, op)
        if says_anew(before, after):
            after, twin = self._beside(after)
            after = after if twin is None or twin.id == after.id else before
        if after.status == "forgotten" != before.status:
            self._held[before.id] = before.status == "quarantined"
        self._keep(after, row, vectors.get(op.id) if op.verb == "edit" and after is not before else None)
        if self.doubts.see(op, before, after, op.to):
            self.corrected.append(before.id)
        if op.verb == "supersede" and op.item:
            new = self._insert(succeeding(before, op.item), vectors)
            return self._put(Op(verb="pin", id=new.id), {}, {}) if before.pinned and not new.pinned else new
        return after

    def embed_anew(self, vectors: Mapping[str, Vector]) -> None:
        """Take these vectors for what is new here, and those that are below by now for all else."""
        own = {self._rows[name]: vector for name, vector in vectors.items() if name in self._rows}
        self._vectors = {**self._base.vectors([row for row in self._vectors if row >= 0]), **own}

    def led(self, ops: Sequence[Op]) -> Sequence[Op]:
        """Return ops that name the items that stand for inserts that were not needed."""
        if not self._twins:
            return ops
        return [self._twins.led(op).model_copy(update={"id": self._twins.get(op.id, op.id)}) for op in ops]

    def yet_unchanged(self, ops: Sequence[Op]) -> set[str]:
        """Return the items below that these ops are the draft's first to change, which need not be there."""
        new = {op.item.id for op in ops if op.item} | {name for name, row in self._rows.items() if row < 0}
        return {name for op in ops if (name := self._twins.get(op.id, op.id)) not in new} - self.expected.keys()

    def _insert(self, item: Item, vectors: Mapping[str, Vector]) -> Item:
        item, twin = self._beside(item)
        if twin is not None:
            self._twins.add(item.id, twin.id)
            return twin
        if self._twins:
            item, _ = self._twins.lowered(item, lambda names: (one.item for one in self.found(names).values()))
        self._keep(item, next(self._numbers), vectors.get(item.id))
        for parent in dict.fromkeys(item.derived_from):
            self._children.setdefault(parent, []).append(item.id)
        return item

    def _beside(self, item: Item) -> tuple[Item, Item | None]:
        """Return an item as it may stand here, and what stands for it; what is past its date gives way to it."""
        found = self.twin(item.kind, item.text)
        if found is None:
            return item, None
        item, twin = beside(item, found, self._now())
        for op in giving_way(found) if twin is None else ():
            self._put(op, {}, {})
        return item, twin

    def _credited(self, before: Item, op: Op) -> Item:
        assert op.key is not None
        after = credited(before, op, self.credit(op.key, before.id))
        self._credits[op.key, before.id] = op.changes
        return after

    def _keep(self, item: Item, row: int, vector: Vector | None) -> None:
        old = self._items.get(row)
        if vector is not None:
            self._vectors[row] = vector
        if old is not None and (old.key_text or old.text) != (item.key_text or item.text):
            self._stems.pop(row, None)
        if row < 0 or item.status == "live":  # what is forgotten by the thousand need not be searchable
            self._make_searchable(item, row)
        if old is not None:
            self._saying[old.kind, old.text].discard(row)
        self._saying.setdefault((item.kind, item.text), set()).add(row)
        self._items[row], self._rows[item.id] = item, row

    def _make_searchable(self, item: Item, row: int) -> None:
        if row not in self._stems:
            self._stems[row] = self._stemmer.counts([body(self._ns, item.key_text or item.text)])[0]
        if row not in self._vectors:
            self._vectors.update(self._base.vectors([row]))

    # --- reading

    def reading(self) -> AbstractContextManager[object]:
        return self._base.reading()

    def alone(self) -> AbstractContextManager[object]:
        return nullcontext()  # nobody else writes into a draft

    def near(self, vector: Vector, k: int, only: Filter) -> Scored:
        below = [pair for pair in self._base.near(vector, k + len(self._items), only) if pair[0] not in self._items]
        own = {row: self._vectors[row] for row in self._passing(only) if row in self._vectors}
        return self._best([*below, *likenesses(own, vector).items()], k)

    def said(self, asked: Sequence[str], k: int, only: Filter) -> Scored:
        below = [pair for pair in self._base.said(asked, k + len(self._items), only) if pair[0] not in self._items]
        own = self._bm25(asked, self._passing(only))
        return self._best([*below, *own], k)

    def _best(self, pairs: Scored, k: int) -> Scored:
        """Return the k best, best first: of equals first the newer, then the one that a commit leaves first."""
        alike = Counter(score for _, score in pairs)
        tied = self.candidates([row for row, score in pairs if alike[score] > 1])
        created = {one.row: one.created_at for one in tied}
        return sorted(pairs, key=lambda pair: (-pair[1], -created.get(pair[0], 0.0), place(pair[0])))[:k]

    def _passing(self, only: Filter) -> list[int]:
        return [row for row, item in self._items.items() if _passes(item, only)]

    def _bm25(self, asked: Sequence[str], rows: Sequence[int]) -> Scored:
        """Score the draft's own texts by the statistics that the committed texts have, so that both compare."""
        if not asked or not rows:
            return []
        stems = list(self._stemmer.counts([" ".join(f"{self._ns}q{word}" for word in asked)])[0])
        known = self.frequencies(stems)
        mean = known.words / known.texts if known.words else 1.0  # a text of signs alone has no words
        scored = []
        for row in rows:
            counts = self._stems[row]
            length = 1 - _B + _B * counts.total() / mean
            score = sum(_idf(known, stem) * _saturated(counts[stem], length) for stem in stems if counts[stem])
            if score:
                scored.append((row, score))
        return scored

    def frequencies(self, stems: Sequence[str]) -> Frequencies:
        """Return the base's statistics with the draft's own texts counted in."""
        below = self._base.frequencies(stems)
        new = [counts for row, counts in self._stems.items() if row < 0]
        known = {stem: below.texts_with.get(stem, 0) + sum(1 for c in new if c[stem]) for stem in stems}
        return Frequencies(known, below.texts + len(new), below.words + sum(c.total() for c in new))

    def vectors(self, wanted: Sequence[int]) -> dict[int, Vector]:
        found = self._base.vectors([row for row in wanted if row not in self._vectors])
        return found | {row: self._vectors[row] for row in wanted if row in self._vectors}

    def items(self, wanted: Sequence[int]) -> dict[int, Item]:
        found = self._base.items([row for row in wanted if row not in self._items])
        return found | {row: self._items[row] for row in wanted if row in self._items}

    def candidates(self, wanted: Sequence[int]) -> list[Candidate]:
        own = [(row, self._items[row]) for row in wanted if row in self._items]
        found = self._base.candidates([row for row in wanted if row not in self._items])
        return [*found, *(Candidate(row, *(getattr(item, n) for n in Candidate._fields[1:])) for row, item in own)]

    def rows(self, ids: Sequence[str]) -> dict[str, int]:
        found = self._base.rows([name for name in ids if name not in self._rows])
        return found | {name: self._rows[name] for name in ids if name in self._rows}

    def find(self, id: str) -> tuple[Item, int] | None:
        one = self.found([id]).get(id)
        return None if one is None else (one.item, one.version)

    def found(self, ids: Sequence[str]) -> dict[str, Found]:
        names = {name: self._twins.get(name, name) for name in ids}
        below = self._base.found([name for name in names.values() if name not in self._rows])
        each = ((name, self._found(kept, below)) for name, kept in names.items())
        return {name: one for name, one in each if one is not None}

    def _found(self, name: str, below: Mapping[str, Found]) -> Found | None:
        if name not in self._rows:
            return below.get(name) or self._base.found([name]).get(name)
        row = self._rows[name]
        return Found(row, self._version(name), self._items[row])

    def _version(self, id: str) -> int:
        """Return a number that moves whenever the item changes, here or, before its first change here, below."""
        if id in self.expected:
            return self.expected[id] + (self._changes[id] << 48)
        found = self._base.find(id)
        return (found[1] if found else 0) + (self._changes[id] << 48)

    def twin(self, kind: str, text: str) -> Item | None:
        for row in self._saying.get((kind, text), ()):
            if self._items[row].status != "forgotten":
                return self._items[row]
        found = self._base.twin(kind, text)
        return found if found is not None and found.id not in self._rows else None

    def children(self, id: str) -> list[str]:
        return [*self._base.children(id), *self._children.get(id, ())]

    def was_purged(self, attempt: str) -> bool:
        return self._base.was_purged(attempt)

    def was_held(self, id: str) -> bool:
        return self._held[id] if id in self._held else self._base.was_held(id)

    def credit(self, key: str, id: str) -> Mapping[str, float] | None:
        return self._credits.get((key, id)) or self._base.credit(key, id)

    def nearest_each(self, vectors: Sequence[Vector], at_least: float, only: Filter) -> list[tuple[int, float] | None]:
        nearest = (next(iter(self.near(vector, 1, only)), None) for vector in vectors)
        return [one if one is not None and one[1] >= at_least else None for one in nearest]

    def listed(
        self, kinds: Sequence[str], statuses: Sequence[Status], node: Node | None, order: str, limit: int | None
    ) -> list[Item]:
        room = None if limit is None else limit + len(self._items)
        below = [x for x in self._base.listed(kinds, statuses, node, order, room) if x.id not in self._rows]
        own = [x for x in self._items.values() if x.kind in kinds and x.status in statuses and fits(node, x)]
        return self._sorted(below, own, order)[:limit]

    def _sorted(self, below: list[Item], own: list[Item], order: str) -> list[Item]:
        """Return items in order; of equals each stands where it will once it is committed, which its row tells."""
        key = SORTS[order]
        tied = {key(item) for item in own}
        rows = self._rows | self._base.rows([item.id for item in below if key(item) in tied])
        onward = -1 if order == "newest" else 1

        def at(item: Item) -> tuple[float, int]:
            row = rows.get(item.id, 0)  # what is tied with none of these comes in its order already
            return key(item), onward * place(row)

        return sorted([*below, *own], key=at)


def _refuse_id(item: Item, here: Item | None) -> None:
    """Raise Misuse where what is here under an item's id says something else."""
    if here is not None and (here.status == "forgotten" or (here.kind, here.text) != (item.kind, item.text)):
        raise Misuse(f"there is an item {item.id!r:.80} already; edit that one, or insert under another id")


def _passes(item: Item, only: Filter) -> bool:
    fresh = item.expires_at is None or item.expires_at > only.now
    return item.status == "live" and item.kind in only.kinds and fresh and fits(only.node, item)


def _idf(known: Frequencies, stem: str) -> float:
    texts_with = known.texts_with.get(stem, 0)
    value = math.log((known.texts - texts_with + 0.5) / (texts_with + 0.5)) if known.texts > texts_with else 0.0
    return max(value, 1e-6)


def _saturated(count: int, length: float) -> float:
    return count * (_K1 + 1) / (count + _K1 * length)


def as_vector(values: Sequence[float] | NDArray[Any], dimensions: int | None, what: str) -> Vector:
    """Return values as a unit vector; raise Misuse where they are none of the right length."""
    try:
        vector = np.asarray(values, dtype=np.float32)
    except (TypeError, ValueError) as error:
        raise Misuse(f"{what} is no vector of numbers: {error!s:.200}") from error
    if vector.ndim != 1 or (dimensions is not None and len(vector) != dimensions):
        raise Misuse(f"{what} has shape {vector.shape}; this memory holds vectors of {dimensions} dimensions")
    length = float(np.linalg.norm(vector))
    if not math.isfinite(length) or length == 0.0:
        raise Misuse(f"{what} has length {length}; expected finite numbers that are not all zero")
    return vector / np.float32(length)
