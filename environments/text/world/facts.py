"""What is to be in a place in the end, how much of it is, and what can never be any more."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from agentevo.environments.text.world.place import SPOILED, Place
from agentevo.environments.text.world.words import CHARM

EFFECTS = frozenset(CHARM.kinds)


@dataclass(frozen=True, slots=True)
class Fact:
    """Something that is to be: a mark of a thing, or where it is."""

    thing: str
    mark: str = ""
    where: str = ""

    def holds(self, place: Place) -> bool:
        thing = place.things[self.thing]
        if SPOILED in thing.marks:
            return False
        return self.mark in thing.marks if self.mark else thing.where == self.where

    def is_lost(self, place: Place) -> bool:
        """Say whether this can never come true: the thing is spoiled, or took another word."""
        marks = place.things[self.thing].marks
        is_other = self.mark in EFFECTS and bool(marks & (EFFECTS - {self.mark}))
        return SPOILED in marks or is_other


def score(place: Place, facts: Sequence[Fact]) -> float:
    """Return the share of the facts that hold."""
    return sum(fact.holds(place) for fact in facts) / len(facts)


def is_lost(place: Place, facts: Sequence[Fact]) -> bool:
    """Say whether not all can come true any more; every door of a place is needed."""
    doors = (thing for thing in place.things.values() if thing.sort == "door")
    return any(SPOILED in door.marks for door in doors) or any(fact.is_lost(place) for fact in facts)
