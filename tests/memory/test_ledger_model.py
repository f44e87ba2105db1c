"""The ledger against a plain model of what it should hold, under random verbs in random order."""

from __future__ import annotations

import os
from dataclasses import dataclass, field, replace

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, initialize, invariant, multiple, rule
from word_vectors import export_lines, open_memory

from agentevo.errors import Misuse
from agentevo.memory import Draft, Memory
from agentevo.types import Item, Json, Status

TEXTS = st.sampled_from([f"{word} {n}" for word in ("owner", "limit", "refund") for n in range(4)])
SOAK = bool(os.environ.get("AGENTEVO_SOAK"))


@dataclass(frozen=True)
class Known:
    """What the model knows of an item."""

    text: str
    status: Status = "live"
    pinned: bool = False
    metadata: tuple[tuple[str, Json], ...] = ()
    links: tuple[str, ...] = ()
    wins: float = 0.0
    uses: int = 0
    supersedes: str | None = None
    held: bool = field(default=False, compare=False)
    """Of a forgotten item: that it was quarantined when it was forgotten."""

    def gone(self) -> Known:
        """Return it as it is once it is forgotten."""
        return replace(
            self, status="forgotten", held=self.held if self.status == "forgotten" else self.status == "quarantined"
        )

    def back(self) -> Known:
        """Return it as it is once it is restored."""
        return replace(self, status="quarantined" if self.held else "live") if self.status == "forgotten" else self


def known(item: Item) -> Known:
    """Return what the model should know of an item."""
    metadata = tuple(sorted(item.metadata.items()))
    links = tuple(sorted(item.links))
    return Known(item.text, item.status, item.pinned, metadata, links, item.wins, item.uses, item.supersedes)


@dataclass
class World:
    """The model: items, what reinforcements added under which key, and what can be undone."""

    items: dict[str, Known] = field(default_factory=dict)
    credits: dict[tuple[str, str], float] = field(default_factory=dict)
    undoable: list[tuple[dict[str, Known | None], dict[str, Known]]] = field(default_factory=list)
    undone: set[int] = field(default_factory=set)

    def twin(self, text: str, other_than: str = "") -> str | None:
        """Return the item that says this and is not forgotten."""
        for name, item in self.items.items():
            if item.text == text and item.status != "forgotten" and name != other_than:
                return name
        return None

    def change(self, **changes: Known) -> None:
        """Change items, as a transaction that can be undone."""
        before = {name: self.items.get(name) for name in changes}
        self.items.update(changes)
        self.undoable.append((before, changes))

    def copy(self) -> World:
        return World(dict(self.items), dict(self.credits), list(self.undoable), set(self.undone))


class LedgerMachine(RuleBasedStateMachine):
    """Random verbs on a memory and on the model; after each both hold the same."""

    ids = Bundle("ids")

    @initialize()
    def begin(self) -> None:
        self.memory = open_memory(":memory:", clock=lambda: 0.0)
        self.world = World()
        self.draft: Draft | None = None
        self.drafted: World | None = None

    def teardown(self) -> None:
        if hasattr(self, "memory"):
            assert self.memory.verify().problems == ()
            self._survives_a_journey()
            self.memory.close()

    def _survives_a_journey(self) -> None:
        told = export_lines(self.memory)
        with open_memory(":memory:") as other:
            other.import_(told)
            assert export_lines(other) == told
            assert other.verify().problems == ()

    # --- writing

    @rule(target=ids, text=TEXTS, n=st.integers(0, 2))
    def insert(self, text: str, n: int) -> str:
        item = self.memory.insert(text, metadata={"n": n})
        twin, way = self.twin(text)
        if twin is not None:
            assert item.id == twin
        else:
            new = replace(Known(text, metadata=(("n", n),)), links=tuple(sorted(item.links)))
            self.world.change(**way, **{item.id: new})
        return item.id

    def twin(self, text: str, other_than: str = "") -> tuple[str | None, dict[str, Known]]:
        """Return the item that stands for one that says this, or else the one that gives way to it, forgotten."""
        twin = self.world.twin(text, other_than)
        item = self.world.items[twin] if twin is not None else None
        if twin is None or item is None or item.status != "quarantined" or item.pinned:
            return twin, {}
        return None, {twin: item.gone()}

    def act(self, verb: str, id: str, allowed: bool, after: Known | None) -> None:
        """Do what a verb should do; where it should refuse, see it refuse."""
        before = self.world.items.get(id)
        if before is None or not allowed:
            with pytest.raises(Misuse):
                getattr(self.memory, verb)(id)
        else:
            getattr(self.memory, verb)(id)
            assert after is not None
            self.world.change(**({id: after} if after != before else {}))

    @rule(id=ids)
    def forget(self, id: str) -> None:
        item = self.world.items.get(id)
        self.act("forget", id, item is not None and not item.pinned, item and item.gone())

    @rule(id=ids)
    def restore(self, id: str) -> None:
        item = self.world.items.get(id)
        said_elsewhere = item is not None and item.status == "forgotten" and self.world.twin(item.text) is not None
        self.act("restore", id, not said_elsewhere, item and item.back())

    @rule(id=ids, verb=st.sampled_from(["pin", "unpin"]))
    def pin(self, id: str, verb: str) -> None:
        item = self.world.items.get(id)
        self.act(verb, id, True, item and replace(item, pinned=verb == "pin"))

    @rule(id=ids, verb=st.sampled_from(["quarantine", "release"]))
    def quarantine(self, id: str, verb: str) -> None:
        item = self.world.items.get(id)
        statuses: tuple[Status, Status] = ("live", "quarantined") if verb == "quarantine" else ("quarantined", "live")
        self.act(
            verb, id, True, item and replace(item, status=statuses[1] if item.status == statuses[0] else item.status)
        )

    @rule(id=ids, text=TEXTS)
    def edit(self, id: str, text: str) -> None:
        item = self.world.items.get(id)
        if item is None:
            return
        if item.status != "forgotten" and text != item.text and self.world.twin(text, id):
            with pytest.raises(Misuse, match="already"):
                self.memory.edit(id, text)
        else:
            self.memory.edit(id, text)
            self.world.change(**({} if item.text == text else {id: replace(item, text=text)}))

    @rule(target=ids, id=ids, text=TEXTS)
    def supersede(self, id: str, text: str) -> str:
        item = self.world.items.get(id)
        if item is None:
            return id
        if item.status != "forgotten" and text == item.text:
            with pytest.raises(Misuse, match="already"):
                self.memory.supersede(id, text)
            return id
        twin, way = self.twin(text, id)
        new = self.memory.supersede(id, text)
        changes = {**way, id: item.gone()}
        if twin is None:
            changes[new.id] = Known(text, pinned=item.pinned, metadata=item.metadata, supersedes=id)
        else:
            assert new.id == twin
            if item.pinned and not self.world.items[twin].pinned:
                changes[twin] = replace(self.world.items[twin], pinned=True)
        self.world.change(**changes)
        return new.id

    @rule(id=ids, to=ids)
    def link(self, id: str, to: str) -> None:
        if id in self.world.items and to in self.world.items:
            self.memory.link(id, to)
            item = self.world.items[id]
            self.world.items[id] = replace(item, links=tuple(sorted({*item.links, to})))

    @rule(id=ids, wins=st.sampled_from([0.0, 1.0, 0.25]), key=st.sampled_from(["a", "b", None]))
    def reinforce(self, id: str, wins: float, key: str | None) -> None:
        if id not in self.world.items:
            return
        self.memory.reinforce(id, wins=wins, key=key)
        self._credit(self.world, id, wins, key)

    def _credit(self, world: World, id: str, wins: float, key: str | None) -> None:
        item = world.items[id]
        earlier = world.credits.get((key, id)) if key else None
        if key:
            world.credits[key, id] = wins
        world.items[id] = replace(item, wins=item.wins - (earlier or 0.0) + wins, uses=item.uses + (earlier is None))

    @rule(id=consumes(ids))
    def purge(self, id: str) -> None:
        if id not in self.world.items or self.draft is not None:
            return
        text, items = self.world.items[id].text, self.world.items
        gone = {id, *(name for name, item in items.items() if (item.text, item.status) == (text, "forgotten"))}
        assert set(self.memory.purge(id).items) == gone
        self.world.items = {name: item for name, item in items.items() if name not in gone}
        self.world.credits = {pair: wins for pair, wins in self.world.credits.items() if pair[1] not in gone}
        for name in gone:
            for before, after in self.world.undoable:
                before.pop(name, None)
                after.pop(name, None)

    @rule()
    def undo(self) -> None:
        left = [n for n in range(len(self.world.undoable)) if n not in self.world.undone and self._leaves(n)]
        if not left:
            with pytest.raises(Misuse, match="nothing to undo"):
                self.memory.undo()
            return
        items, wanted = self.world.items, self._wanted(left[-1])
        after = World({**items, **wanted})
        if any(self._says_anew(name, wanted[name]) and after.twin(wanted[name].text, name) for name in wanted):
            with pytest.raises(Misuse, match="meanwhile"):
                self.memory.undo()
            return
        self.memory.undo()
        items.update(wanted)
        self.world.undone.update(range(left[-1], len(self.world.undoable)))

    def _wanted(self, n: int) -> dict[str, Known]:
        """Return what items should be once a transaction is taken back."""
        items, (before, _) = self.world.items, self.world.undoable[n]
        return {
            name: replace(items[name].gone(), pinned=False) if old is None
            else replace(
                items[name].gone() if old.status == "forgotten" else items[name],
                text=old.text, status=old.status, pinned=old.pinned, metadata=old.metadata,
            )
            for name, old in before.items()
        }  # fmt: skip

    def _leaves(self, n: int) -> bool:
        """Say whether a transaction left something that can be taken back."""
        return any(self.world.items[name] != item for name, item in self._wanted(n).items())

    def _says_anew(self, name: str, item: Known) -> bool:
        old = self.world.items[name]
        return item.status != "forgotten" and (old.status == "forgotten" or old.text != item.text)

    # --- drafts

    @rule()
    def begin_draft(self) -> None:
        if self.draft is None:
            self.draft, self.drafted = self.memory.draft(), World()

    @rule(target=ids, text=TEXTS)
    def insert_in_draft(self, text: str) -> object:
        if self.draft is None or self.drafted is None:
            return multiple()
        self.draft.insert(f"drafted {text}")
        self.drafted.items.setdefault(f"drafted {text}", Known(f"drafted {text}"))
        return multiple()

    @rule(key=st.sampled_from([None, "k"]))
    def commit(self, key: str | None) -> None:
        if self.draft is None or self.drafted is None:
            return
        committed_before = any(getattr(entry, "key", None) == "k" for entry in self.memory.history())
        done = self.draft.commit(key=key)
        assert done.skipped == ()
        if key is None or not committed_before:
            new = [name for name in done.items if name not in self.world.items]
            changes = {name: known(self._must(name)) for name in new}
            assert {item.text for item in changes.values()} <= set(self.drafted.items)
            assert {self.world.items[n].text for n in done.items if n in self.world.items} <= set(self.drafted.items)
            self.world.change(**changes)
        self.draft = self.drafted = None

    @rule()
    def reject(self) -> None:
        self.draft = self.drafted = None

    def _must(self, id: str) -> Item:
        item = self.memory.get(id)
        assert item is not None
        return item

    # --- always

    @invariant()
    def both_hold_the_same(self) -> None:
        if hasattr(self, "memory"):
            assert {item.id: known(item) for item in self.memory.list(status=None)} == self.world.items

    @invariant()
    def nothing_is_said_twice(self) -> None:
        said = (
            [item.text for item in self.world.items.values() if item.status != "forgotten"]
            if hasattr(self, "world")
            else []
        )
        assert len(said) == len(set(said))

    @invariant()
    def what_is_live_is_found_by_its_own_words(self) -> None:
        if hasattr(self, "memory"):
            for item in self.memory.list(limit=2):
                for mode in ("vector", "bm25"):
                    assert item.id in {hit.item.id for hit in self.memory.recall(item.text, 20, mode=mode)}


LedgerMachine.TestCase.settings = settings(
    max_examples=300 if SOAK else 25,
    stateful_step_count=60 if SOAK else 35,
    suppress_health_check=list(HealthCheck),
)
TestLedger = LedgerMachine.TestCase


def test_two_actors_undo_each_their_own() -> None:
    with open_memory(":memory:") as memory:
        mine = memory.insert("mine")
        theirs = _as_actor(memory, "agent")
        item = theirs.insert("theirs")
        memory.undo()
        assert (memory.get(mine.id).status, memory.get(item.id).status) == ("forgotten", "live")  # type: ignore[union-attr]
        theirs.pin(mine.id)
        with pytest.raises(Misuse, match="nothing to undo"):
            memory.undo()


def _as_actor(memory: Memory, actor: str) -> Memory:
    """Return another handle of the same store, for another actor."""
    return Memory(memory._store, memory.namespace, actor, memory._clock)
