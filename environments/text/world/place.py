"""A place with rooms and things, and what commands do there."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

from agentevo.environments.text.world.rules import Rules

Sort: TypeAlias = Literal["key", "tool", "container", "door", "food", "ware", "treasure", "surface"]
BAG = "bag"
OPEN, PREPARED, SPOILED = "open", "prepared", "spoiled"
FIXED: frozenset[Sort] = frozenset({"container", "door", "surface"})
LOCKABLE: frozenset[Sort] = frozenset({"container", "door"})
CHARMED: frozenset[Sort] = frozenset({"food", "ware"})
LONGEST = 200
"""So many characters of a command are read."""


@dataclass(frozen=True, slots=True)
class Thing:
    """A thing, where it is (in a room, in or on another thing, or in the bag), and what is true of it."""

    name: str
    sort: Sort
    kind: str
    where: str
    marks: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Exit:
    """A way out of a room, and the door that stands in it."""

    to: str
    door: str = ""


@dataclass(frozen=True, slots=True)
class Scene:
    """How a place is at first."""

    start: str
    exits: Mapping[str, Mapping[str, Exit]]
    things: tuple[Thing, ...]


class Place:
    """A place as it is now. `do` takes any text and says what came of it; the same commands lead to the same place."""

    def __init__(self, scene: Scene, rules: Rules) -> None:
        self.here, self.exits, self._rules = scene.start, scene.exits, rules
        self.things = {thing.name: thing for thing in scene.things}

    def do(self, command: str) -> str:
        """Follow a command, and say what is to be seen then."""
        said = " ".join(command[:LONGEST].lower().split()).rstrip(".!")
        for pattern, act in _COMMANDS:
            if match := pattern.fullmatch(said):
                return act(self, *(_bare(name) for name in match.groups()))
        return "That is no command here; `commands` lists what can be done."

    def actions(self) -> list[str]:
        """Return the commands that do something here, in order; which are wise they do not say."""
        seen = self.seen()
        held = [thing for thing in seen if thing.where == BAG]
        return [
            "look", "bag", *(f"go {way}" for way in self.exits[self.here]),
            *(f"take {thing.name}" for thing in seen if thing.where != BAG and thing.sort not in FIXED),
            *(f"put {thing.name} on {on.name}" for on in seen if on.sort == "surface" for thing in held),
            *(f"use {one.name} on {thing.name}" for one in held for thing in seen if self._can(one, thing)),
            *(f"say {word} to {thing.name}" for thing in seen if self._listens(thing) for word in self._words()),
        ]  # fmt: skip

    def seen(self) -> list[Thing]:
        """Return the things that can be reached from here, in the order of the scene."""
        doors = {way.door for way in self.exits[self.here].values()}
        return [thing for thing in self.things.values() if thing.name in doors or self._is_near(thing)]

    def room_of(self, thing: Thing) -> str:
        """Return the room that a thing is in; the bag is wherever its bearer is."""
        where = thing.where
        while where in self.things:
            where = self.things[where].where
        return self.here if where == BAG else where

    def _words(self) -> Sequence[str]:
        return sorted(self._rules.words.values())

    def _can(self, one: Thing, thing: Thing) -> bool:
        return _suits(one, thing) and not thing.marks & {OPEN, PREPARED, SPOILED}

    def _listens(self, thing: Thing) -> bool:
        return thing.sort in CHARMED and not thing.marks & {SPOILED, *self._rules.words}

    def _is_near(self, thing: Thing) -> bool:
        where = thing.where
        while (holder := self.things.get(where)) is not None:
            if holder.sort == "container" and OPEN not in holder.marks:
                return False
            where = holder.where
        return thing.sort != "door" and where in (self.here, BAG)

    def _near(self, name: str) -> Thing | None:
        return next((thing for thing in self.seen() if thing.name == name), None)

    def _mark(self, thing: Thing, mark: str, said: str) -> str:
        marks = frozenset({SPOILED}) if mark == SPOILED else thing.marks | {mark}
        self.things[thing.name] = replace(thing, marks=marks)
        return said

    # --- commands

    def look(self) -> str:
        """Say what is to be seen in this room."""
        here = [thing for thing in self.seen() if thing.where != BAG and thing.sort != "door"]
        shown = "; ".join(self._shown(thing) for thing in here) or "nothing"
        ways = ", ".join(f"{way} to the {out.to}{self._barred(out)}" for way, out in self.exits[self.here].items())
        return f"You are in the {self.here}. You see: {shown}. Ways out: {ways or 'none'}."

    def _shown(self, thing: Thing) -> str:
        holder = self.things.get(thing.where)
        place = f" {'on' if holder.sort == 'surface' else 'in'} the {holder.name}" if holder else ""
        return f"{thing.name}{place}{self._state(thing)}"

    def _state(self, thing: Thing) -> str:
        told = sorted(thing.marks) or (["locked"] if thing.sort in LOCKABLE else [])
        return f" ({', '.join(told)})" if told else ""

    def _barred(self, out: Exit) -> str:
        return f" through the {out.door}{self._state(self.things[out.door])}" if out.door else ""

    def bag(self) -> str:
        """Say what is in the bag."""
        held = [f"{thing.name}{self._state(thing)}" for thing in self.things.values() if thing.where == BAG]
        return f"In your bag: {', '.join(held) or 'nothing'}."

    def commands(self) -> str:
        """Say what can be done."""
        return f"You could: {', '.join(self.actions())}."

    def go(self, way: str) -> str:
        """Go where a way leads, unless a door bars it."""
        out = self.exits[self.here].get(way)
        if out is None:
            return f"There is no way {way}."
        if out.door and OPEN not in self.things[out.door].marks:
            return f"The {out.door} is locked."
        self.here = out.to
        return self.look()

    def take(self, name: str) -> str:
        """Take a thing into the bag."""
        thing = self._near(name)
        if thing is None or thing.where == BAG:
            return f"There is no {name} to take here."
        if thing.sort in FIXED:
            return f"The {name} cannot be taken."
        self.things[name] = replace(thing, where=BAG)
        return f"You take the {name}."

    def put(self, name: str, surface: str) -> str:
        """Put a thing from the bag on something."""
        thing, on = self._near(name), self._near(surface)
        if thing is None or thing.where != BAG:
            return f"You have no {name}."
        if on is None or on.sort != "surface":
            return f"There is no {surface} here to put it on."
        self.things[name] = replace(thing, where=surface)
        return f"You put the {name} on the {surface}."

    def use(self, name: str, other: str) -> str:
        """Use a key or a tool on something: the wrong one does harm that stays."""
        one, thing = self._near(name), self._near(other)
        if one is None or one.where != BAG:
            return f"You have no {name}."
        if thing is None:
            return f"There is no {other} here."
        if not _suits(one, thing):
            return "Nothing happens."
        if thing.marks & {OPEN, PREPARED, SPOILED}:
            return f"The {other} is {', '.join(sorted(thing.marks))} already."
        return self._unlock(one, thing) if one.sort == "key" else self._prepare(one, thing)

    def _unlock(self, key: Thing, thing: Thing) -> str:
        if self._rules.keys[thing.kind] != key.kind:
            return self._mark(thing, SPOILED, f"The {key.name} does not fit, and the {thing.name} is jammed for good.")
        inside = [other.name for other in self.things.values() if other.where == thing.name]
        found = f" In it: {', '.join(inside)}." if inside else ""
        return self._mark(thing, OPEN, f"The {thing.name} opens.{found}")

    def _prepare(self, tool: Thing, food: Thing) -> str:
        if self._rules.tools[food.kind] != tool.kind:
            return self._mark(food, SPOILED, f"That was no work for a {tool.name}: the {food.name} is spoiled.")
        return self._mark(food, PREPARED, f"The {food.name} is prepared.")

    def say(self, word: str, name: str) -> str:
        """Say a word to something, which takes one in its life; food takes it at one moment alone."""
        thing, effect = self._near(name), self._rules.effect(word)
        if thing is None:
            return f"There is no {name} here."
        if not effect or not self._listens(thing):
            return "Nothing happens."
        if thing.sort == "food" and (thing.kind in self._rules.charmed_first) == (PREPARED in thing.marks):
            return self._mark(thing, SPOILED, f"That was the wrong moment: the {name} is spoiled.")
        return self._mark(thing, effect, f"The {name} becomes {effect}.")


def _suits(one: Thing, thing: Thing) -> bool:
    """Say whether something can be tried on a thing."""
    return (one.sort == "key" and thing.sort in LOCKABLE) or (one.sort == "tool" and thing.sort == "food")


def _bare(name: str) -> str:
    return name.removeprefix("the ").strip()


_COMMANDS: Sequence[tuple[re.Pattern[str], Callable[..., str]]] = (
    (re.compile(r"look"), Place.look),
    (re.compile(r"bag"), Place.bag),
    (re.compile(r"commands"), Place.commands),
    (re.compile(r"go (.+)"), Place.go),
    (re.compile(r"take (.+)"), Place.take),
    (re.compile(r"put (.+) on (.+)"), Place.put),
    (re.compile(r"use (.+) on (.+)"), Place.use),
    (re.compile(r"say (.+) to (.+)"), Place.say),
)
