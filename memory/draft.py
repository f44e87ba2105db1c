"""A draft: memory as it would be. It reads like a memory, gathers changes, and nobody sees them before the commit."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

from agentevo.blocking import threaded
from agentevo.errors import Misuse
from agentevo.memory.admit import screened
from agentevo.memory.arguments import checked
from agentevo.memory.change import COMMUTING
from agentevo.memory.doubt import corrected, descendants, questioned
from agentevo.memory.exact import Vector
from agentevo.memory.history import UNDO, Change
from agentevo.memory.overlay import Overlay
from agentevo.memory.source import Source
from agentevo.memory.trust import DOUBTED
from agentevo.memory.verbs import Verbs
from agentevo.memory.words import Stemmer
from agentevo.shared_thread import SharedThread
from agentevo.types import Item, Op, Transaction


class Below(Protocol):
    """What a draft is laid over: a memory, or another draft."""

    @property
    def namespace(self) -> str: ...

    @property
    def path(self) -> Path | None: ...

    @property
    def _source(self) -> Source: ...

    def _embedded(self, texts: Sequence[str]) -> list[Vector]: ...

    def _dimensions(self) -> int | None: ...

    def _embedder(self) -> object: ...

    def _made_by(self) -> tuple[object, ...]: ...

    def _now(self) -> float: ...

    def _ns(self) -> int: ...

    def _stemmer(self) -> Stemmer: ...

    def _shared_thread(self) -> SharedThread | None: ...

    def _committed(
        self,
        ops: Sequence[Op],
        vectors: Mapping[str, Vector],
        expected: Mapping[str, int],
        key: str | None,
        reason: str,
        within: Sequence[Transaction] = (),
    ) -> Transaction: ...

    def _committed_under(self, key: str) -> Transaction | None: ...

    def history(self, id: str) -> list[Change] | list[Transaction]: ...


class Draft(Verbs):
    """Changes over a memory or another draft. Leaving its `with` block without a commit throws it away."""

    def __init__(self, below: Below) -> None:
        self._below = below
        self._overlay = Overlay(below._source, below._ns(), below._stemmer(), below._now)
        self._ops: list[Op] = []
        self._vectors: dict[str, Vector] = {}
        self._known, self._by = below._embedder(), below._made_by()
        """What embeds below, and what made the vectors below, as far as this draft has heard."""
        self._seen = len(below._overlay.corrected) if isinstance(below, Draft) else 0
        """How much the draft below had taken back when this one began."""
        self._keys: dict[str, Transaction] = {}
        self._origins: dict[str, int] = {}
        """What its items are derived from, with the number of the change after which that may not have been read."""
        self._open = True

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self._open = False

    @property
    def namespace(self) -> str:
        return self._below.namespace

    @property
    def path(self) -> Path | None:
        """The folder of the memory below; None for one in this process alone."""
        return self._below.path

    @property
    def ops(self) -> tuple[Op, ...]:
        """The changes gathered so far."""
        return tuple(self._ops)

    @property
    def _source(self) -> Source:
        if self._known is not self._below._embedder():
            self._embed_anew()
        return self._overlay

    def _embedded(self, texts: Sequence[str]) -> list[Vector]:
        return self._below._embedded(texts)

    def _dimensions(self) -> int | None:
        below = self._below._dimensions()
        return below or next((len(vector) for vector in self._vectors.values()), None)

    def _embedder(self) -> object:
        return self._below._embedder()

    def _made_by(self) -> tuple[object, ...]:
        return self._below._made_by()

    def _embed_anew(self) -> None:
        """Embed what this draft says once more, where all that is below it has other vectors by now."""
        self._known, by = self._below._embedder(), self._below._made_by()
        is_other = any(None not in (one, other) and one != other for one, other in zip(self._by, by, strict=True))
        self._by = by
        if is_other and self._vectors:
            said = {op.item.id: op.item for op in self._ops if op.item}
            said |= {name: found.item for name, found in self._overlay.found(list(self._vectors)).items()}
            texts = {name: said[name].key_text or said[name].text for name in self._vectors}
            self._vectors = dict(zip(texts, self._embedded(list(texts.values())), strict=True))
            self._overlay.embed_anew(self._vectors)

    def _now(self) -> float:
        return self._below._now()

    def _ns(self) -> int:
        return self._below._ns()

    def _stemmer(self) -> Stemmer:
        return self._below._stemmer()

    def _shared_thread(self) -> SharedThread | None:
        return self._below._shared_thread()

    def _write(self, ops: Sequence[Op], vectors: Mapping[str, Vector], reason: str) -> Transaction:
        if not self._open:
            raise Misuse("this draft is closed; begin another with memory.draft()")
        items: dict[str, None] = {}
        for op, item in self._put(ops, vectors):
            self._ops.append(op)
            items[item.id] = None
        self._vectors.update(vectors)
        self._origins = self._with_origins(ops)
        return Transaction(
            id="", namespace=self.namespace, actor="draft", reason=reason, at=self._now(), items=tuple(items)
        )

    def _put(self, ops: Sequence[Op], vectors: Mapping[str, Vector]) -> Iterator[tuple[Op, Item]]:
        """Lay ops over what is below, and those that doubt what was derived from what they correct."""
        yield from zip(ops, self._overlay.put(ops, vectors), strict=True)
        late = self._overlay.doubts.left()
        yield from zip(late, self._overlay.put(late, {}), strict=True)

    def _with_origins(self, ops: Sequence[Op]) -> dict[str, int]:
        """Return the origins with those of what these ops insert; a draft of a draft leaves that to the outer one."""
        began = self._overlay.began
        new = () if began is None else (name for op in ops if op.item for name in op.item.derived_from)
        return dict.fromkeys(new, began or 0) | self._origins

    def draft(self) -> Draft:
        """Begin a draft over this one."""
        return Draft(self)

    @checked
    def history(self, id: str) -> list[Change] | list[Transaction]:
        """Return what happened to an item below, oldest first; nothing where it is new here."""
        return self._below.history(id) if self._below._source.find(id) else []

    @checked
    def commit(self, *, key: str | None = None, reason: str = "") -> Transaction:
        """Write the changes below in one transaction and close the draft.

        A change to an item that changed since the draft began is skipped and reported. A key commits once: under a
        key that was committed before nothing is written, and the transaction of then is returned.
        """
        if not self._open:
            raise Misuse("this draft is closed already; a draft commits once")
        if key is not None and key.startswith(UNDO):
            raise Misuse(f"the key is {key!r:.80}; keys that begin with {UNDO!r} are those of undo: choose another key")
        if key in self._keys:
            raise Misuse(f"{key!r:.80} is the key of what was committed into this draft: choose another for the whole")
        self._settle()
        within, expected = tuple(self._keys.values()), self._origins | self._overlay.expected
        done = self._below._committed(self._ops, self._vectors, expected, key, reason, within)
        self._open = False
        return done

    def _settle(self) -> None:
        """Make the changes fit what happened below since this draft began, as far as that is this draft's to do."""
        self._embed_anew()
        if isinstance(self._below, Draft):
            new = {op.item.id for op in self._ops if op.item}
            for name in self._below._overlay.corrected[self._seen :]:
                mine = [item for item in descendants(self._overlay, [name]) if item.id in new]
                doubts = questioned([item for item in mine if DOUBTED not in item.metadata], corrected(name))
                self._ops += [op for op, _ in zip(doubts, self._overlay.put(doubts, {}), strict=True)]

    @checked
    def foreseen(self, ops: Sequence[Op]) -> Sequence[Op]:
        """Return ops as they would be carried out here; raise Misuse where an item is not here that one is about."""
        ops = screened(ops, self.get)
        here = self._source.rows([op.id for op in ops]).keys() | {op.item.id for op in ops if op.item}
        for op in ops:
            if op.id not in here and op.verb != "insert":
                self._must(op.id)
        return self._overlay.led(ops)

    @checked
    def commit_with(self, ops: Sequence[Op], *, reason: str = "") -> Transaction:
        """Commit with some last changes. The draft is not read again, so they go past it, which by thousands pays."""
        began = self._overlay.began
        if began is None:
            self.apply(ops)
            return self.commit(reason=reason)
        if not self._open:
            raise Misuse("this draft is closed already; a draft commits once")
        ops = screened(ops, self.get)
        self._settle()
        vectors = self._vectors | self._said_anew(ops)
        expected = dict.fromkeys(self._overlay.yet_unchanged(ops), began) | self._overlay.expected
        expected = self._with_origins(ops) | expected
        within = tuple(self._keys.values())
        done = self._below._committed([*self._ops, *ops], vectors, expected, None, reason, within)
        self._open = False
        return done

    def _committed(
        self,
        ops: Sequence[Op],
        vectors: Mapping[str, Vector],
        expected: Mapping[str, int],
        key: str | None,
        reason: str,
        within: Sequence[Transaction] = (),
    ) -> Transaction:
        """Take in the changes of a draft over this one, and the keys that were committed into it."""
        before = None if key is None else self._committed_under(key)
        if before is not None:
            return before
        skipped = {op.id for op in ops if op.verb not in COMMUTING and self._conflicts(op, expected)}
        moot = {corrected(name) for name in skipped}
        kept = [op for op in ops if op.verb in COMMUTING or not (op.id in skipped or op.reason in moot)]
        done = self._write(kept, vectors, reason)
        done = done.model_copy(update={"skipped": tuple(sorted(skipped)), "key": key})
        for keyed in (*within, done):
            if keyed.key is not None:
                self._keys[keyed.key] = keyed
        return done

    def _committed_under(self, key: str) -> Transaction | None:
        return self._keys.get(key) or self._below._committed_under(key)

    def _conflicts(self, op: Op, expected: Mapping[str, int]) -> bool:
        found = self._source.find(op.id) if op.id in expected else None
        return found is not None and found[1] != expected[op.id]

    ahistory = threaded(history)
    acommit = threaded(commit)
    aforeseen = threaded(foreseen)
    acommit_with = threaded(commit_with)
