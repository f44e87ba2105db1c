"""The hidden rules of a world: which key fits what, which tool prepares what, and what its words do."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from agentevo.environments.text.world.words import CHARM, COLOURS, OPEN, PREPARE, TOOLS
from agentevo.environments.tool.house.convention import CONSONANTS, ENDINGS, Dice

VOWELS = "aeiou"


@dataclass(frozen=True, slots=True)
class Rules:
    """What nobody can know of a world before somebody has tried."""

    keys: Mapping[str, str]
    """The colour of the key that opens what is of a material."""
    tools: Mapping[str, str]
    """The tool that prepares a food."""
    words: Mapping[str, str]
    """The word that makes a thing what is wished."""
    charmed_first: frozenset[str]
    """The foods that take a word only before they are prepared; the others only after."""

    @classmethod
    def of(cls, number: int) -> Rules:
        """Make up the rules of the world of a number."""
        dice = Dice(f"world/{number}")
        letters = [letter.lower() for letter in dice.shuffled(CONSONANTS)]
        words = [_word(first, dice) for first in letters[: len(CHARM.kinds)]]
        return cls(
            keys=dict(zip(OPEN.kinds, dice.shuffled(COLOURS), strict=True)),
            tools=dict(zip(PREPARE.kinds, dice.shuffled(TOOLS), strict=True)),
            words=dict(zip(CHARM.kinds, words, strict=True)),
            charmed_first=frozenset(dice.shuffled(PREPARE.kinds)[: len(PREPARE.kinds) // 2]),
        )

    def effect(self, word: str) -> str:
        """Return what a word makes of a thing; nothing where it is no word of this world."""
        return next((effect for effect, known in self.words.items() if known == word), "")


def _word(first: str, dice: Dice) -> str:
    return first + dice.one(VOWELS) + dice.one(ENDINGS).lower() + dice.one(VOWELS)
