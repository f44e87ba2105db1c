"""How a shop works: codes, carriers, shelves and a limit that were made up, so that nobody can know them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from agentevo.environments.tool.house.convention import Dice

REASONS = ("damaged", "late", "lost", "duplicate", "wrong size", "wrong colour")
REGIONS = ("north", "south", "east", "west", "islands")
KINDS = ("tools", "toys", "books", "garden", "kitchen")
CARRIERS = ("Kestrel", "Heron", "Osprey", "Plover", "Wren")
_LETTERS = "BDFGHKLMNPRSTVWXZ"


@dataclass(frozen=True, slots=True)
class Convention:
    """The way of one shop."""

    codes: Mapping[str, str]
    """For each reason."""
    carriers: Mapping[str, str]
    """For each region."""
    shelves: Mapping[str, str]
    """For each kind of product."""
    limit: int
    """Refunds above so many dollars must be approved before."""

    @classmethod
    def of(cls, number: int) -> Convention:
        """Make up the convention of a number."""
        dice = Dice(f"shop/{number}")
        letters, numbers = dice.shuffled(_LETTERS), dice.shuffled(range(10, 100))
        codes = [f"{letter}{n}" for letter, n in zip(letters, numbers, strict=False)]
        return cls(
            codes=dict(zip(REASONS, codes, strict=False)),
            carriers=dict(zip(REGIONS, dice.shuffled(CARRIERS), strict=True)),
            shelves=dict(zip(KINDS, codes[len(REASONS) :], strict=False)),
            limit=dice.one((40, 60, 80)),
        )
