"""A fact that updates an older one comes before it, and its score says why."""

from __future__ import annotations

import pytest

from agentevo.errors import Misuse
from agentevo.memory import Memory, Weights
from agentevo.types import Hit, Kind

DAY = 86_400.0
NOW = 1_000 * DAY
OLD, NEW = "I drive a red Honda Civic car", "I drive a green Honda Civic car now"
ASKED = "I drive a red Honda Civic car"  # in the very words of the older one


def recalled(gap_days: float, weights: Weights | None = None, kind: Kind = "fact") -> list[Hit]:
    with Memory.open(":memory:", embedder="hash", clock=lambda: NOW) as memory:
        memory.insert("The dentist is on Elm Street", created_at=NOW - 400 * DAY)
        memory.insert(OLD, kind=kind, created_at=NOW - (10 + gap_days) * DAY)
        memory.insert(NEW, kind=kind, created_at=NOW - 10 * DAY)
        return memory.recall(ASKED, 3, weights=weights or Weights())


def test_the_newer_of_two_that_say_nearly_the_same_comes_first() -> None:
    first, second, _ = recalled(1)
    assert (first.item.text, second.item.text) == (NEW, OLD)
    assert first.parts["newer"] > 0
    assert sum(first.parts.values()) == pytest.approx(first.score)
    assert "newer" not in second.parts


def test_it_can_be_turned_off() -> None:
    assert recalled(1, Weights(newer=1))[0].item.text == OLD


def test_what_was_said_within_the_same_half_day_updates_nothing() -> None:
    assert recalled(0.25)[0].item.text == OLD


def test_only_facts_are_updated_by_what_is_newer() -> None:
    assert recalled(1, kind="lesson")[0].item.text == OLD


def test_what_is_unlike_is_not_lifted() -> None:
    assert [hit.item.text for hit in recalled(1)][-1] == "The dentist is on Elm Street"
    assert recalled(1, Weights(newer=0.99))[0].item.text == OLD


def test_a_likeness_below_zero_is_refused() -> None:
    with pytest.raises(Misuse, match="newer is 0"):
        Weights(newer=0)
