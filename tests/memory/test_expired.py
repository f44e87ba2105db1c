"""What is past its date: recall passes over it, and it gives way to whatever says the same anew."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from moments import DAY, NOW, attempt, experience, memory, moment, ops

from agentevo.errors import Misuse
from agentevo.memory import Draft, Insert, Memory, Reconcile, Reflect
from agentevo.models import ScriptedModel
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


# --- what policies make of it


def decided(store: Memory, decision: str, text: str = "") -> list[tuple[str, str, float | None]]:
    """Reconcile as a model would that decides so, and return what is there then."""
    reply = json.dumps({"decision": decision, "about": [1], "text": text})
    store.sweep([Reconcile(similar=0.3)], model=ScriptedModel([reply]))
    return [(item.text, item.status, item.expires_at) for item in store.list(status=None, order="oldest")]


@pytest.mark.parametrize("is_newer", [False, True])
def test_what_expired_is_not_reconciled(is_newer: bool) -> None:
    with memory() as store:
        store.insert("the room is Alpha", created_at=NOW - 2)
        store.insert("the room is Beta", created_at=NOW - 1 - 2 * (not is_newer), expires_at=NOW)
        store.sweep([Reconcile(similar=0.3)], model=ScriptedModel([]))
        with store.draft() as draft:
            draft.insert("the room is Gamma", expires_at=NOW)
            assert ops(Reconcile(similar=0.3), moment(draft, [])) == []


@pytest.mark.parametrize("decision", ["update", "merge"])
@pytest.mark.parametrize(
    ("dates", "ends"), [((DAY, 2 * DAY), NOW + 2 * DAY), ((2 * DAY, DAY), NOW + 2 * DAY), ((DAY, None), None)]
)
@pytest.mark.parametrize("text", ["codes A and B are valid", "code B is valid"])
def test_what_stands_for_others_expires_with_the_last_of_them(
    decision: str, dates: tuple[float, float | None], ends: float | None, text: str
) -> None:
    with memory() as store:
        for name, lives in zip("AB", dates, strict=True):
            item = store.insert(f"code {name} is valid", created_at=NOW - (name == "A"))
            store.edit(item.id, expires_at=None if lives is None else NOW + lives)
        live = [(said, expires) for said, status, expires in decided(store, decision, text) if status == "live"]
        assert live == [(text, ends)]


def test_a_merge_into_what_an_expired_item_says_is_written() -> None:
    with memory() as store:
        store.insert("the room is Alpha, Beta", created_at=NOW - 3, expires_at=NOW)
        store.insert(["the room is Alpha", "the room is Beta"], created_at=[NOW - 2, NOW - 1])
        kept = [(text, expires) for text, status, expires in decided(store, "merge", "the room is Alpha, Beta")
                if status == "live"]  # fmt: skip
        assert kept == [("the room is Alpha, Beta", None)]


def test_what_lasts_is_not_forgotten_because_another_says_it_for_a_while() -> None:
    with memory() as store:
        store.insert("the room is Alpha", created_at=NOW - 2, expires_at=NOW + DAY)
        store.insert("the room is Alpha now", created_at=NOW - 1)
        assert [status for _, status, _ in decided(store, "none")] == ["live", "live"]
        assert "expires sooner" in store.history(store.list()[0].id)[-1].reason


@pytest.mark.parametrize("recursive", [False, True])
def test_what_expired_is_not_reflected_on(recursive: bool) -> None:
    with memory() as store:
        store.insert(["Anna a one", "Anna b two", "Anna c three"], expires_at=NOW)
        assert ops(Reflect("all", recursive=recursive), moment(store, [])) == []


def test_a_summary_that_expired_is_not_gone_on_with() -> None:
    with memory() as store:
        store.insert(["one", "two", "three"])
        policy = Reflect("all", recursive=True)
        store.apply(ops(policy, moment(store, ['{"summary": "one to three"}'])))
        store.edit(store.list(kind="lesson")[0].id, expires_at=NOW)
        store.insert(["four", "five", "six"])
        (op,) = ops(policy, moment(store, ['{"summary": "four to six"}']))
        assert op.verb == "insert"
