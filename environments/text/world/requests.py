"""The tasks of a world: wishes drawn for each split, with the scene they are made in and what fulfils them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

from agentevo.environments.text.world.facts import Fact, score
from agentevo.environments.text.world.gold import gold
from agentevo.environments.text.world.place import OPEN, PREPARED, Place, Scene
from agentevo.environments.text.world.rules import Rules
from agentevo.environments.text.world.scenes import Target, five_rooms, one_room, two_rooms
from agentevo.environments.text.world.words import ADJECTIVES, CHARM, CRAFTS, SURFACES, TREASURES, Craft
from agentevo.environments.tool.house.convention import Dice
from agentevo.types import Task

SEEN, NEW = "seen", "new wording and things"
SHARES: Mapping[str, tuple[int, ...]] = {"train": (0, 1), "dev": (2,), "test": (3, 4)}
"""The digest of what is wished for, modulo 5, says which split may wish it: nothing is wished in two of them."""
WISHES = tuple((craft, kind) for craft in CRAFTS for kind in craft.kinds)


@dataclass(frozen=True)
class Request:
    """A task, and what only the environment knows of it."""

    task: Task
    scene: Scene
    rules: Rules
    facts: tuple[Fact, ...]

    @cached_property
    def commands(self) -> tuple[str, ...]:
        """The commands that fulfil the wish."""
        return gold(self.scene, self.rules, self.facts)


def requests(number: int, level: int, split: str, count: int) -> Iterator[Request]:
    """Draw requests of a split, none twice; a smaller count gives the first of them.

    In the test split every other request of a round is worded as no other split does, and about things that no other
    split has.
    """
    rules, dice, taken = Rules.of(number), Dice(f"world/{number}/{level}/{split}"), set[str]()
    for n, (craft, kind) in enumerate(_wishes(dice, count)):
        is_new = split == "test" and (n + n // len(WISHES)) % 2 == 1
        target = _target(dice, level, craft, kind, is_new)
        while not _is_free(target, split, taken):
            target = _target(dice, level, craft, kind, is_new)
        targets, said = [target], _wish(dice, craft, target, is_new)
        if level == 3:
            other, its_kind = dice.one([wish for wish in WISHES if wish[0] is not craft])
            targets.append(_target(dice, level, other, its_kind, is_new))
            said = f"{said} Also: {_wish(dice, other, targets[1], is_new)}"
        facts = tuple(fact for one in targets for fact in _facts(one, rules))
        scene = _scene(dice, level, targets)
        while score(Place(scene, rules), facts):  # something is where it is to go already
            scene = _scene(dice, level, targets)
        task = Task(
            id=f"world-{number}-{level}-{split}-{n:03}", prompt=f"{said}{_where(scene, level)}",
            data={"group": NEW if is_new else SEEN}, provenance="text world",
        )  # fmt: skip
        yield Request(task, scene, rules, facts)


def _wishes(dice: Dice, count: int) -> Iterator[tuple[Craft, str]]:
    """Yield shuffled rounds of all wishes, so that each comes up early and equally often."""
    left: list[tuple[Craft, str]] = []
    for _ in range(count):
        left = left or dice.shuffled(WISHES)
        yield left.pop()


def _is_free(target: Target, split: str, taken: set[str]) -> bool:
    """Say whether this split may wish this, and has not done so yet; from now on it has."""
    asked = f"{target.craft} {target.kind} {target.name}"
    is_free = hashlib.sha256(asked.encode()).digest()[0] % 5 in SHARES[split] and asked not in taken
    taken.add(asked)
    return is_free


def _target(dice: Dice, level: int, craft: Craft, kind: str, is_new: bool) -> Target:
    """Draw a thing, and what is to become of it."""
    name = craft.named(dice.one(ADJECTIVES), dice.one(craft.new_nouns if is_new else craft.nouns), kind)
    treasure, surface, effect = dice.one(TREASURES), dice.one(SURFACES), dice.one(CHARM.kinds)
    return Target(
        craft=craft.name, name=name, kind=kind,
        treasure=treasure if craft.name == "open" and level > 1 else "",
        goes_to=surface if level > 1 else "",
        effect=effect if craft.name == "prepare" and level == 3 else "",
    )  # fmt: skip


def _scene(dice: Dice, level: int, targets: list[Target]) -> Scene:
    if level == 3:
        return five_rooms(dice, targets)
    return one_room(dice, targets[0]) if level == 1 else two_rooms(dice, targets[0])


def _wish(dice: Dice, craft: Craft, target: Target, is_new: bool) -> str:
    said = dice.one(craft.new if is_new else craft.seen).format(it=target.name, kind=target.kind)
    if target.effect:
        said += f" It is to be {target.effect} as well."
    if target.goes_to:
        what = f"the {target.treasure} that is in it" if target.treasure else "it"
        said += f" Put {what} on the {target.goes_to}."
    return said


def _where(scene: Scene, level: int) -> str:
    """Say where one is, as far as the wish alone does not do."""
    if level == 1:
        return ""
    ways = "; ".join(f"the {out.to} is {way} of it" for way, out in scene.exits[scene.start].items())
    here = f" You are in the {scene.start}"
    return f"{here}; {ways}, and what is wished about is there." if level == 2 else f"{here}."


def _facts(target: Target, rules: Rules) -> list[Fact]:
    """Return what a wish wants, in an order in which it can be done."""
    marks = {"open": [OPEN], "prepare": [PREPARED], "charm": [target.kind]}[target.craft]
    if target.effect:
        marks.insert(0 if target.kind in rules.charmed_first else 1, target.effect)
    facts = [Fact(target.name, mark=mark) for mark in marks]
    return [*facts, Fact(target.treasure or target.name, where=target.goes_to)] if target.goes_to else facts
