"""The verbs that a memory and a draft share, and that change something: each makes ops."""

from __future__ import annotations

import contextlib
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Unpack, overload

from pydantic import ValidationError

from agentevo.blocking import threaded
from agentevo.errors import Misuse
from agentevo.memory.admit import admitted, gives_way, inserting, link_near, near_linked, screened
from agentevo.memory.arguments import checked
from agentevo.memory.change import applied, beside, says_anew
from agentevo.memory.doubt import corrected, descendants, questioned
from agentevo.memory.exact import Vector
from agentevo.memory.fields import Fields, Ids, Items, VectorLike, must_be_fields
from agentevo.memory.overlay import as_vector
from agentevo.memory.reads import Reads
from agentevo.memory.rows import marked
from agentevo.memory.trust import BLOCKED, DOUBTED, trust_of
from agentevo.types import Item, Json, Op, Transaction, Verb, why_invalid


class Verbs(Reads):
    """What can be said to a memory or to a draft of it."""

    @abstractmethod
    def _write(self, ops: Sequence[Op], vectors: Mapping[str, Vector], reason: str) -> Transaction: ...

    # --- writing

    @overload
    def insert(self, text: str, **fields: Unpack[Fields]) -> Item: ...  # type: ignore[overload-overlap] # a str is a sequence

    @overload
    def insert(self, text: Sequence[str], **fields: Unpack[Fields]) -> Items: ...

    @checked
    def insert(self, text: str | Sequence[str], **fields: Unpack[Fields]) -> Item | Items:
        """Remember a text, or several: one item each, in order; `Fields` says what can be told with it.

        A text that is here already (same kind, not forgotten) gives the item that says it; one that is past its date
        gives way, and one that is held in quarantine, if who says it now is trusted as much. A text much like another
        is linked to it.
        """
        must_be_fields(fields)
        texts = [text] if isinstance(text, str) else list(text)
        given, reason = fields.pop("vectors", None), fields.pop("reason", "")
        if isinstance(text, str) and given is not None:
            given = [given]
        items = admitted(texts, fields, self.namespace, self._now(), self.get)
        inserted = self._insert(items, given, reason)
        return inserted[0] if isinstance(text, str) else inserted

    def _insert(self, new: Items, given: Sequence[VectorLike] | None, reason: str) -> Items:
        if given is not None and len(given) != len(new):
            raise Misuse(f"{len(new)} texts came with {len(given)} vectors; expected one vector a text")
        known, fresh, vectors = self._looked_up(new, given)
        if fresh:
            held = {twin.id for item in fresh if (twin := known[(item.kind, item.text)]).id != item.id}
            ops = [Op(verb="forget", id=name, reason="said anew") for name in held]
            done = self._write([*ops, *(inserting(item, reason) for item in fresh)], vectors, reason)
            written = (name for name in done.items if name not in held)
            for item, kept in zip(fresh, written, strict=False):
                is_told = kept == item.id and not item.derived_from and item.kind != "adapter"  # else it may be held
                known[(item.kind, item.text)] = item if is_told else self._must(kept)
        return [known[(item.kind, item.text)] for item in new]

    def _looked_up(
        self, new: Items, given: Sequence[VectorLike] | None
    ) -> tuple[dict[tuple[str, str], Item], Items, dict[str, Vector]]:
        """Return what is known of each text, which items are to be written, linked to their like, and their vectors."""
        no_model = given is not None  # while one is asked, nobody's reading is to be left open
        with self._source.reading() if no_model else contextlib.nullcontext():
            known: dict[tuple[str, str], Item] = {}
            fresh: dict[int, Item] = {}
            for n, item in enumerate(new):
                said = (item.kind, item.text)
                if said not in known:
                    item, twin = self._beside(item)
                    known[said] = twin or item
                    fresh |= {n: item} if twin is None or gives_way(twin, item) else {}
            vectors = self._vectors_of([*fresh.values()], None if given is None else [given[n] for n in fresh])
            items = link_near(self._source, [*fresh.values()], vectors, self._now())
        return known, items, {item.id: vector for item, vector in zip(items, vectors, strict=True)}

    def _vectors_of(self, items: Items, given: Sequence[VectorLike] | None) -> list[Vector]:
        if given is None:
            return self._embedded([item.key_text or item.text for item in items]) if items else []
        dimensions = self._dimensions()
        vectors = [as_vector(v, dimensions, f"vector {n}") for n, v in enumerate(given)]
        if len({len(vector) for vector in vectors}) > 1:
            raise Misuse(f"the vectors have different lengths: {sorted({len(vector) for vector in vectors})}")
        return vectors

    @checked
    def apply(self, ops: Sequence[Op], *, reason: str = "") -> Transaction:
        """Carry out ops that a policy made."""
        ops = screened(ops, self.get)
        vectors = self._said_anew(ops)
        return self._write(near_linked(self._source, ops, vectors, self._now()), vectors, reason)

    def _said_anew(self, ops: Sequence[Op]) -> dict[str, Vector]:
        """Embed what these ops say anew; an item that is edited is taken as the ops before left it."""
        known: dict[str, Item] = {}
        for item in (op.item for op in ops if op.item):
            known.setdefault(item.id, item)  # of two of one id the first is inserted
        said = {name: item.key_text or item.text for name, item in known.items()}
        for op in ops:
            if op.verb == "edit" and ("text" in op.changes or "key_text" in op.changes):
                before = known.get(op.id) or self._must(op.id)
                item = applied(before, op)
                twin = self._twin_of(item) if says_anew(before, item) else None
                if twin is not None and all(other.id != twin.id for other in ops):
                    continue  # it will be skipped: none of these ops takes the other away
                known[op.id] = item
                said[op.id] = item.key_text or item.text
        return dict(zip(said, self._embedded(list(said.values())), strict=True)) if said else {}

    @checked
    def forget(self, ids: Ids, *, reason: str = "") -> Item:
        """Take items out of recall; `restore` and `undo` bring them back. Pinned items stay: unpin them first."""
        for name in _listed(ids):
            if self._must(name).pinned:
                raise Misuse(f"item {name} is pinned and is not forgotten; unpin it first")
        return self._do("forget", ids, reason)

    @checked
    def restore(self, ids: Ids, *, reason: str = "") -> Item:
        """Bring forgotten items back, into quarantine what was there; refuse where another says the same by now."""
        gone = [item for item in map(self._must, dict.fromkeys(_listed(ids))) if item.status == "forgotten"]
        back: dict[tuple[str, str], str] = {}
        for item in gone:
            self._refuse_twin(marked(item, status="live"))
            first = back.setdefault((item.kind, item.text), item.id)
            if first != item.id:
                raise Misuse(f"items {first} and {item.id} say the very same; restore one of them")
        return self._do("restore", ids, reason, held=[item.id for item in gone if self._source.was_held(item.id)])

    @checked
    def pin(self, ids: Ids, *, reason: str = "") -> Item:
        """Keep items from every kind of forgetting."""
        return self._do("pin", ids, reason)

    @checked
    def unpin(self, ids: Ids, *, reason: str = "") -> Item:
        """Let pinned items be forgotten again."""
        return self._do("unpin", ids, reason)

    @checked
    def quarantine(self, ids: Ids, *, reason: str = "") -> Item:
        """Keep items out of recall until somebody releases them."""
        return self._do("quarantine", ids, reason)

    @checked
    def release(self, ids: Ids, *, reason: str = "") -> Item:
        """Let quarantined items be recalled; their trust stays what it was. Adapters are promoted instead."""
        for item in map(self._must, _listed(ids)):
            if item.kind == "adapter" and BLOCKED not in item.metadata:
                raise Misuse(
                    f"item {item.id} is an adapter, which `agentevo models adapters promote` puts into use, in place of"
                    " the one that is"
                )
        return self._do("release", ids, reason)

    @checked
    def link(self, id: str, to: Ids, *, reason: str = "") -> Item:
        """Link an item to others."""
        if not _listed(to):
            raise Misuse("link needs at least one id to link to")
        for name in _listed(to):
            self._must(name)
        return self._do("link", id, reason, to=tuple(_listed(to)))

    @checked
    def edit(self, id: str, text: str | None = None, *, reason: str = "", **fields: Json) -> Item:
        """Change an item's text or fields; `history` keeps what it was.

        Where it says something else now, what was derived from it is quarantined until somebody releases it.
        """
        changes: dict[str, Json] = dict(fields)
        if text is not None:
            changes["text"] = text
        if not changes:
            raise Misuse("edit needs a new text or a field to change")
        old = self._must(id)
        try:
            new, op = old.but(**changes), Op(verb="edit", id=id, changes=changes, reason=reason)
        except ValidationError as error:
            raise Misuse(f"item {id} cannot be edited so: {why_invalid(error)}") from error
        ops = screened([op], self.get)
        vectors = self._said_anew(ops)
        with self._source.alone():  # else another may say just that, meanwhile
            if (new.kind, new.text) != (old.kind, old.text) and old.status != "forgotten":
                self._refuse_twin(new)
            self._write(ops, vectors, reason)
        return self._must(id)

    def _beside(self, item: Item) -> tuple[Item, Item | None]:
        """Return an item as it would be written, and what would stand for it."""
        twin = self._source.twin(item.kind, item.text)
        return (item, None) if twin is None else beside(item, twin, self._now())

    def _twin_of(self, item: Item) -> Item | None:
        """Return the other item that says just that, and does not give way to it."""
        _, twin = self._beside(item)
        return twin if twin is not None and twin.id != item.id else None

    def _refuse_twin(self, item: Item) -> None:
        twin = self._twin_of(item)
        if twin is not None:
            raise Misuse(f"item {twin.id} says just that already; forget it first, or leave {item.id} as it is")

    @checked
    def supersede(self, id: str, text: str, **fields: Unpack[Fields]) -> Item:
        """Put a new item in an item's place; the old one is forgotten, and `supersedes` leads to it.

        It is trusted no more than the old one, where neither a source nor a trust is given.
        Where an item says the new text already, that one is in its place, as it is but for the pin.
        What was derived from the old one is quarantined until somebody releases it.
        """
        must_be_fields(fields)
        old = self._must(id)
        reason = fields.pop("reason", "")
        metadata = {name: value for name, value in old.metadata.items() if name != DOUBTED}
        told: Fields = {"kind": old.kind, "source": old.source, "metadata": metadata}
        told.update(fields)
        if "source" not in fields and fields.get("trust") is None:
            told["trust"] = min(old.trust, trust_of(old.source))
        new = admitted([text], told, self.namespace, self._now(), self.get)[0]
        if old.status != "forgotten" and (new.kind, new.text) == (old.kind, old.text):
            raise Misuse(f"item {id} says just that already; edit changes what else is told of it")
        twin = self._twin_of(new)
        held = [Op(verb="forget", id=twin.id, reason="said anew")] if twin and gives_way(twin, new) else []
        ops = screened([*held, Op(verb="supersede", id=id, item=new, reason=reason)], self.get)
        vectors = self._said_anew(ops)
        with self._source.alone():  # what is doubted is as it is read here
            doubted = questioned(descendants(self._source, [id]), corrected(id))
            self._write([*ops, *doubted], vectors, reason)
            return self.get(new.id) or self._source.twin(new.kind, new.text) or self._must(id)

    @checked
    def reinforce(
        self, ids: Ids, *, wins: float = 0.0, losses: float = 0.0, strength: float = 1.0, key: str | None = None
    ) -> Transaction:
        """Count a use of items, and how it went; given twice under one key, the second replaces the first."""
        changes: dict[str, Json] = {"uses": 1, "strength": strength, "at": self._now()}
        changes |= {name: value for name, value in (("wins", wins), ("losses", losses)) if value}
        for name in _listed(ids):
            self._must(name)
        return self.apply([Op(verb="reinforce", id=name, changes=changes, key=key) for name in _listed(ids)])

    def _do(self, verb: Verb, ids: Ids, reason: str, to: tuple[str, ...] = (), held: Ids = ()) -> Item:
        names = _listed(ids)
        if not names:
            raise Misuse(f"{verb} needs at least one id")
        for name in names:
            self._must(name)
        ops = screened([Op(verb=verb, id=name, to=to, reason=reason) for name in names], self.get)
        self._write([*ops, *(Op(verb="quarantine", id=name, reason="as it was before") for name in held)], {}, reason)
        return self._must(names[-1])

    ainsert = threaded(insert)
    aapply = threaded(apply)
    aforget = threaded(forget)
    arestore = threaded(restore)
    apin = threaded(pin)
    aunpin = threaded(unpin)
    aquarantine = threaded(quarantine)
    arelease = threaded(release)
    alink = threaded(link)
    aedit = threaded(edit)
    asupersede = threaded(supersede)
    areinforce = threaded(reinforce)


def _listed(ids: Ids) -> Sequence[str]:
    return [ids] if isinstance(ids, str) else ids
