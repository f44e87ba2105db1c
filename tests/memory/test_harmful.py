"""What harms is what does worse than the rest, not what was there when nothing worked."""

from __future__ import annotations

import pytest
from moments import memory, moment, ops

from agentevo.errors import Misuse
from agentevo.memory import Memory
from agentevo.memory.harmful import Harmful


def used(store: Memory, text: str, wins: float, losses: float) -> str:
    item = store.insert(text, kind="lesson")
    store.reinforce([item.id], wins=wins, losses=losses)
    return item.id


def forgotten(store: Memory, policy: Harmful | None = None) -> list[str]:
    return [op.id for op in ops(policy or Harmful(), moment(store))]


def test_what_does_clearly_worse_than_the_rest_is_forgotten() -> None:
    with memory() as store:
        for n in range(4):
            used(store, f"good {n}", 8, 2)
        bad = used(store, "bad", 1, 7)
        assert forgotten(store) == [bad]
        (op,) = ops(Harmful(), moment(store))
        assert op.reason == "harmful: 1 of 8 uses helped, where the others help in 80%"


def test_while_nothing_works_nothing_is_blamed() -> None:
    with memory() as store:
        for n in range(4):
            used(store, f"early {n}", 0, 9)
        assert forgotten(store) == []


def test_bad_luck_and_little_use_are_no_reason() -> None:
    with memory() as store:
        used(store, "good", 8, 2)
        used(store, "unlucky", 4, 2)
        used(store, "hardly used", 0, 4)
        assert forgotten(store) == []
        assert len(forgotten(store, Harmful(at_least=4))) == 1


def test_pinned_items_and_those_alone_stay() -> None:
    with memory() as store:
        alone = used(store, "bad", 0, 20)
        assert forgotten(store) == []
        used(store, "good", 20, 0)
        assert forgotten(store) == [alone]
        store.pin(alone)
        assert forgotten(store) == []


def test_options_that_cannot_be_are_refused() -> None:
    with pytest.raises(Misuse, match="at_least is 0"):
        Harmful(0)
    with pytest.raises(Misuse, match="chance is 1"):
        Harmful(chance=1)
