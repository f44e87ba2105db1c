"""How a house writes its commands: codes, order and marks that were made up, so that nobody can know them."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from agentevo.environments.tool.house.words import INTENTS, VALUES, Intent

T = TypeVar("T")

CONSONANTS = "BDFGHJKLMNPQRSTVWXZ"
ENDINGS = "BLNRVZ"
SEPARATORS = ("|", "=", "/", ">", "~", "::", "->", "+")
SIGILS = "@#!%&+=^~*$?:;_"
QUOTES = (("'", "'"), ('"', '"'), ("<", ">"), ("[", "]"), ("{", "}"))
QUOTED = ("topic", "purpose", "document", "goods", "event", "music", "device")


class Dice:
    """Draws that are the same on every machine: of the standard generator only `random` is promised to stay."""

    def __init__(self, seed: str) -> None:
        self._random = random.Random(seed).random

    def one(self, values: Sequence[T]) -> T:
        return values[int(self._random() * len(values))]

    def shuffled(self, values: Sequence[T]) -> list[T]:
        return [value for _, _, value in sorted((self._random(), n, value) for n, value in enumerate(values))]


@dataclass(frozen=True, slots=True)
class Convention:
    """The way of one house: a code and an order of slots for each intent, and marks between the slots."""

    level: int
    codes: Mapping[str, str]
    orders: Mapping[str, tuple[str, ...]]
    separator: str
    sigils: Mapping[str, str]
    quotes: tuple[str, str]
    day_letters: int
    rooms: Mapping[str, str]

    @classmethod
    def of(cls, number: int, level: int) -> Convention:
        """Make up the convention of a number; the levels of one number share codes and orders."""
        dice = Dice(f"house/{number}")
        letters = dice.shuffled(CONSONANTS)
        slots = dict.fromkeys(slot for intent in INTENTS for slot in intent.slots)
        numbers = dice.shuffled(range(10, 100))
        return cls(
            codes={i.name: first + _tail(dice) for i, first in zip(INTENTS, letters, strict=False)},
            orders={i.name: tuple(dice.shuffled(i.slots)) for i in INTENTS},
            separator=SEPARATORS[number % len(SEPARATORS)],
            sigils=dict(zip(slots, dice.shuffled(SIGILS), strict=True)),
            quotes=dice.one(QUOTES),
            day_letters=dice.one((2, 3)),
            rooms={room: f"{dice.one(CONSONANTS)}{n}" for room, n in zip(VALUES["room"], numbers, strict=False)},
            level=level,
        )

    def command(self, intent: Intent, slots: Mapping[str, str]) -> str:
        """Write what is asked for as this house does."""
        order = self.orders[intent.name]
        if self.level == 1:
            return f"{self.codes[intent.name]} " + f" {self.separator} ".join(slots[name] for name in order)
        return self.codes[intent.name] + "".join(self.sigils[name] + self._glued(name, slots[name]) for name in order)

    def _glued(self, slot: str, value: str) -> str:
        """Write a value between sigils: abbreviated, quoted and, from level 3 on, in the house's own units."""
        converted = CONVERSIONS[slot](value) if self.level == 3 and slot in CONVERSIONS else value
        if slot == "room" and self.level == 3:
            converted = self.rooms[value]
        if slot == "when":
            day, hour = converted.split()
            converted = day[: self.day_letters] + hour
        return converted.join(self.quotes) if slot in QUOTED else converted.replace(" ", "")


def _tail(dice: Dice) -> str:
    return dice.one("AEIOU") + dice.one(ENDINGS)


def _clock(when: str) -> str:
    """Friday 3pm -> Friday 15:00."""
    day, hour = when.split()
    return f"{day} {int(hour[:-2]) % 12 + 12 * hour.endswith('pm')}:00"


def _times(factor: int) -> Callable[[str], str]:
    return lambda value: str(int(value.split()[0]) * factor)


CONVERSIONS: Mapping[str, Callable[[str], str]] = {
    "when": _clock,
    "amount": _times(100),  # dollars to cents
    "minutes": _times(60),  # to seconds
    "value": lambda value: f"{int(value.split()[0]) / 100:.2f}",  # percent to a share
}
