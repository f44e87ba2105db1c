"""Items that answer a question equally well come in the order in which they were inserted, so that equal runs agree."""

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
