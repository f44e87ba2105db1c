"""A fact that updates an older one comes before it, and its score says why."""

from __future__ import annotations

import math

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


def test_what_was_said_within_the_same_ten_minutes_updates_nothing() -> None:
    assert recalled(9 / 1440)[0].item.text == OLD
    assert recalled(11 / 1440)[0].item.text == NEW


def test_the_newest_of_many_comes_first_also_where_it_is_like_the_one_before_alone() -> None:
    turns = [0.0, 0.7, 1.4, 2.1]  # radians: each is like the next, by a cosine of .76, and the first unlike the third
    with Memory.open(":memory:", embedder="hash", clock=lambda: NOW) as memory:
        for n, angle in enumerate(turns):
            vector = [math.cos(angle), math.sin(angle)]
            memory.insert([f"word{n}"], vectors=[vector], created_at=NOW - (40 - 10 * n) * DAY)
        hits = memory.recall("asked", 4, vector=[1.0, 0.0])
    assert [hit.item.text for hit in hits] == ["word3", "word2", "word1", "word0"]
    assert all(sum(hit.parts.values()) == pytest.approx(hit.score) for hit in hits)


def test_only_facts_are_updated_by_what_is_newer() -> None:
    assert recalled(1, kind="lesson")[0].item.text == OLD


def test_what_is_unlike_is_not_lifted() -> None:
    assert [hit.item.text for hit in recalled(1)][-1] == "The dentist is on Elm Street"
    assert recalled(1, Weights(newer=0.99))[0].item.text == OLD


def test_a_likeness_below_zero_is_refused() -> None:
    with pytest.raises(Misuse, match="newer is 0"):
        Weights(newer=0)
