"""Items that answer a question equally well come newest first, those of one moment in the order of their insertion."""

from __future__ import annotations

import pytest
from moments import memory

from agentevo.memory.recall import Mode
from agentevo.memory.source import ORDERS
from agentevo.types import Op


@pytest.mark.parametrize("mode", ["vector", "bm25", "hybrid"])
@pytest.mark.parametrize("drafted", [0, 4, 8])
def test_of_equals_the_one_that_was_inserted_first_comes_first(mode: Mode, drafted: int) -> None:
    with memory() as store:
        vector = [1.0] + [0.0] * 383
        store.insert([f"{n}. x" for n in range(8 - drafted)], vectors=[vector] * (8 - drafted))
        draft = store.draft()
        draft.insert([f"{n}. x" for n in range(8 - drafted, 8)], vectors=[vector] * drafted)
        hits = draft.recall("x", k=8, mode=mode, vector=None if mode == "bm25" else vector)
    assert [hit.item.text for hit in hits] == [f"{n}. x" for n in range(8)]


@pytest.mark.parametrize("mode", ["vector", "bm25", "hybrid"])
@pytest.mark.parametrize("drafted", [0, 30, 60])
def test_of_equals_the_newest_are_found_however_many_are_asked_for(mode: Mode, drafted: int) -> None:
    """Whenever they were inserted: so the first of two hits is the one hit, in a draft and after its commit."""
    with memory() as store:
        vector = [1.0] + [0.0] * 383
        texts, made = [f"{n}. x" for n in range(60)], [float(37 * n % 61) for n in range(60)]
        left = 60 - drafted
        store.insert(texts[:left], vectors=[vector] * left, created_at=made[:left])
        draft = store.draft()
        draft.insert(texts[left:], vectors=[vector] * drafted, created_at=made[left:])
        asked = None if mode == "bm25" else vector
        newest = sorted(texts, key=lambda text: -made[texts.index(text)])
        read = {k: draft.recall("x", k, mode=mode, vector=asked) for k in (1, 2, 20, 59)}
        draft.commit()
        for k, hits in read.items():
            kept = store.recall("x", k, mode=mode, vector=asked)
            assert [h.item.text for h in hits] == [h.item.text for h in kept] == newest[:k]


def test_of_equals_that_do_not_all_pass_a_filter_the_newest_are_found() -> None:
    with memory() as store:
        vector, numbers = [1.0] + [0.0] * 383, range(90)
        texts = [f"{n}. x" for n in numbers]
        store.insert(texts, vectors=[vector] * 90, created_at=list(numbers), metadata=[{"n": n} for n in numbers])
        for hits in (
            store.recall("x", 3, mode="vector", where={"n": {"$lt": 50}}, vector=vector),
            store.recall("x", 3, mode="bm25", where={"n": {"$lt": 50}}),
        ):
            assert [hit.item.metadata["n"] for hit in hits] == [49, 48, 47]


def test_what_repeats_several_is_linked_to_the_newest_of_them() -> None:
    with memory() as store:
        vector = [1.0] + [0.0] * 383
        store.insert(["old", "new", "older"], vectors=[vector] * 3, created_at=[2.0, 3.0, 1.0])
        item = store.insert("again", vectors=vector)
        assert item.links == (store.list(limit=2)[1].id,)


@pytest.mark.parametrize("order", list(ORDERS))
@pytest.mark.parametrize("limit", [None, 1, 3])
def test_a_list_of_a_draft_is_in_the_order_that_its_commit_leaves(order: str, limit: int | None) -> None:
    """All that a turn inserts is of one time: of what a draft lists as its latest note, the last one is meant."""
    with memory() as store:
        old = store.insert(["one", "two", "three"], created_at=7.0)
        store.reinforce(old[2].id, strength=0)
        draft = store.draft()
        inner = draft.draft()
        draft.insert(["four", "five"], created_at=7.0)
        inner.insert(["six", "seven"], created_at=7.0)
        inner.apply([Op(verb="link", id=old[0].id, to=(old[1].id,))])
        draft.apply([Op(verb="link", id=draft.list(order="oldest")[3].id, to=(old[1].id,))])
        read = [item.text for item in inner.list(order=order, limit=limit)]
        inner.commit()
        draft.commit()
        assert read == [item.text for item in store.list(order=order, limit=limit)]


def test_what_was_used_at_the_beginning_of_time_was_used_in_a_draft_too() -> None:
    with memory() as store:
        never, used = store.insert(["never", "at zero"])
        store.apply([Op(verb="edit", id=used.id, changes={"last_used_at": 0.0})])
        draft = store.draft()
        draft.pin([never.id, used.id])
        assert [item.text for item in draft.list(order="used")] == ["at zero", "never"]


@pytest.mark.parametrize("k", [1, 5, 20, 39])
def test_of_equals_that_have_no_room_together_those_that_were_inserted_first_are_found(k: int) -> None:
    with memory() as store:
        vector, other = [1.0] + [0.0] * 383, [0.6, 0.8] + [0.0] * 382
        store.insert([f"{n}. x" for n in range(40)], vectors=[other] * 38 + [vector] * 2)
        found = [hit.item.text for hit in store.recall("x", k=k, mode="vector", vector=vector)]
        draft = store.draft()
        draft.pin(store.list()[0].id)
        drafted = [hit.item.text for hit in draft.recall("x", k=k, mode="vector", vector=vector)]
    assert found == drafted == [f"{n}. x" for n in [38, 39, *range(38)][:k]]
