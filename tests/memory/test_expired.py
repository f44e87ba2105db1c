"""What is past its date: recall passes over it, and it gives way to whatever says the same anew."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from moments import DAY, NOW, attempt, experience, memory, moment, ops

from agentevo.errors import Misuse
from agentevo.memory import Draft, Insert, Memory
from agentevo.types import Item, Op

SOUP = "the canteen serves soup"
CAKE = "the canteen serves cake"
Seen = list[tuple[str, str, bool, str | None]]


def seen(store: Memory | Draft) -> Seen:
    """Return all that can be told of items without their ids and dates."""
    return [(i.text, i.status, i.pinned, i.supersedes) for i in store.list(status=None, order="oldest")]


def found(store: Memory | Draft) -> list[str]:
    return sorted(hit.item.text for hit in store.recall("canteen", mode="bm25"))


def insert(store: Memory | Draft) -> Item:
    return store.insert([CAKE, SOUP])[1]


def supersede(store: Memory | Draft) -> Item:
    return store.supersede(store.insert(CAKE).id, SOUP)


def edit(store: Memory | Draft) -> Item:
    return store.edit(store.insert(CAKE).id, SOUP)


def restore(store: Memory | Draft) -> Item:
    item = store.insert(CAKE)
    store.forget(item.id)
    store.edit(item.id, SOUP)
    return store.restore(item.id)


def apply(store: Memory | Draft) -> Item:
    store.apply([Op(verb="insert", id="new", item=Item(id="new", text=SOUP, created_at=NOW))])
    item = store.get("new")
    assert item is not None
    return item


@pytest.mark.parametrize("said", [insert, supersede, edit, restore, apply])
@pytest.mark.parametrize("is_pinned", [False, True])
@pytest.mark.parametrize("drafts", [0, 1, 2])
def test_what_is_past_its_date_gives_way_to_what_says_the_same_anew(
    said: Callable[[Memory | Draft], Item], is_pinned: bool, drafts: int
) -> None:
    with memory() as store:
        old = store.insert(SOUP, expires_at=NOW)
        if is_pinned:
            store.pin(old.id)
        places: list[Memory | Draft] = [store]
        for _ in range(drafts):
            places.append(places[-1].draft())
        new = said(places[-1])
        assert (new.id != old.id, new.text, new.pinned) == (True, SOUP, is_pinned)
        read, recalled = seen(places[-1]), found(places[-1])
        for place in reversed(places[1:]):
            assert isinstance(place, Draft)
            assert place.commit().skipped == ()
        assert (seen(store), found(store)) == (read, recalled)
        assert SOUP in recalled
        kept = {item.id: (item.status, item.pinned) for item in store.list(status=None)}
        assert (kept[new.id], kept[old.id]) == (("live", is_pinned), ("forgotten", False))
        assert store.history(old.id)[-1].reason == "expired, and said anew"
        assert store.verify().ok


@pytest.mark.parametrize("is_pinned", [False, True])
def test_undo_brings_back_what_gave_way(is_pinned: bool) -> None:
    with memory() as store:
        old = store.insert(SOUP, expires_at=NOW)
        if is_pinned:
            store.pin(old.id)
        before = store.get(old.id)
        store.insert(SOUP)
        store.undo()
        assert (store.get(old.id), store.stats().live) == (before, 1)


def test_the_ledger_goes_by_the_time_of_the_commit() -> None:
    clock = [NOW]
    with Memory.open(":memory:", embedder="hash", clock=lambda: clock[0]) as store:
        old = store.insert(SOUP, expires_at=NOW + DAY)
        draft = store.draft()
        draft.apply([Op(verb="insert", id="new", item=Item(id="new", text=SOUP, created_at=NOW))])
        assert [item.id for item in draft.list()] == [old.id]
        clock[0] += DAY
        draft.commit()
        assert [item.id for item in store.list()] == ["new"]


def test_what_is_past_its_date_itself_takes_nobodys_place() -> None:
    with memory() as store:
        old = store.insert(SOUP, expires_at=NOW)
        assert store.insert(SOUP, expires_at=NOW).id == old.id
        other = store.insert(CAKE, expires_at=NOW)
        with pytest.raises(Misuse, match="says just that already"):
            store.edit(other.id, SOUP)


def test_what_is_held_does_not_come_free_by_its_date() -> None:
    with memory() as store:
        old = store.insert(SOUP, expires_at=NOW)
        store.quarantine(old.id)
        assert store.insert(SOUP, source="web").id == old.id


def test_an_experience_that_expired_is_inserted_again() -> None:
    clock = [NOW]
    seen_again = experience(attempt("a", score=1.0))
    with Memory.open(":memory:", embedder="hash", clock=lambda: clock[0]) as store:
        for _ in range(3):
            store.apply(ops(Insert(lives_s=DAY), moment(store, now=clock[0]), [seen_again]))
            assert len(store.recall("Anna", mode="bm25")) == 1
            clock[0] += DAY


def test_an_import_leaves_items_as_they_are(tmp_path: Path) -> None:
    with memory() as store, memory() as other:
        old = store.insert(SOUP, expires_at=NOW)
        other.insert([SOUP, CAKE])
        other.export(tmp_path / "export.jsonl")
        assert store.import_(tmp_path / "export.jsonl") == 1
        assert store.get(old.id) == old
        assert store.stats().live == 2
