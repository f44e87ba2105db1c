"""The tasks of a house: sentences drawn for each split, with the command that each of them asks for."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from agentevo.environments.tool.house.convention import Convention, Dice
from agentevo.environments.tool.house.words import INTENTS, VALUES, Intent
from agentevo.types import Task

SEEN, NEW = "seen phrasing", "new phrasing"
SHARES: Mapping[str, tuple[int, ...]] = {"train": (0, 1), "dev": (2,), "test": (3, 4)}
"""The digest of what is asked for, modulo 5, says which split may ask it: nothing is asked in two of them."""


@dataclass(frozen=True, slots=True)
class Request:
    """A task, and what only the environment knows of it."""

    task: Task
    command: str


def requests(number: int, level: int, split: str, count: int) -> Iterator[Request]:
    """Draw requests of a split, none twice; a smaller count gives the first of them, another level the same sentences.

    In the test split every other request of a round is phrased in a way that no other split knows.
    """
    convention, dice = Convention.of(number, level), Dice(f"house/{number}/{split}")
    taken: set[str] = set()
    for n, intent in enumerate(_intents(dice, count)):
        is_new = split == "test" and (n + n // len(INTENTS)) % 2 == 1
        slots = _slots(dice, intent, split, taken)
        task = Task(
            id=f"house-{number}-{level}-{split}-{n:03}",
            prompt=dice.one(intent.new if is_new else intent.seen).format_map(slots),
            data={"group": NEW if is_new else SEEN},
            provenance="house commands",
        )
        yield Request(task, convention.command(intent, slots))


def _intents(dice: Dice, count: int) -> Iterator[Intent]:
    """Yield shuffled rounds of all intents, so that each comes up early and equally often."""
    left: list[Intent] = []
    for _ in range(count):
        left = left or dice.shuffled(INTENTS)
        yield left.pop()


def _slots(dice: Dice, intent: Intent, split: str, taken: set[str]) -> dict[str, str]:
    """Draw values for the slots of an intent that this split may use, and has not used yet."""
    while True:
        slots = {slot: dice.one(VALUES[slot]) for slot in intent.slots}
        asked = " ".join((intent.name, *slots.values()))
        share = hashlib.sha256(asked.encode()).digest()[0] % 5
        if share in SHARES[split] and asked not in taken:
            taken.add(asked)
            return slots
