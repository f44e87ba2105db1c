"""Scenes: where the things of a task are at first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from agentevo.environments.text.world.place import BAG, Exit, Scene, Sort, Thing
from agentevo.environments.text.world.words import COLOURS, DIRECTIONS, OPEN, OPPOSITE, ROOMS, SURFACES, TOOLS
from agentevo.environments.tool.house.convention import Dice

Exits = dict[str, dict[str, Exit]]
SORTS: dict[str, Sort] = {"open": "container", "prepare": "food", "charm": "ware"}
"""By craft, what its things are."""


@dataclass(frozen=True, slots=True)
class Target:
    """The thing of a wish; `goes_to` is the surface it is to be on, `treasure` what is in it and goes there instead."""

    craft: str
    name: str
    kind: str
    treasure: str = ""
    goes_to: str = ""
    effect: str = ""
    """What food is to become beside being prepared."""


def one_room(dice: Dice, target: Target) -> Scene:
    """Return a room with one thing; all keys and tools are in the bag."""
    room, surface = dice.one(ROOMS), dice.one(SURFACES)
    things = [Thing(surface, "surface", "", room), *_placed(target, room, surface), *_instruments([BAG])]
    return Scene(room, {room: {}}, tuple(things))


def two_rooms(dice: Dice, target: Target) -> Scene:
    """Return two rooms: the thing is in the other one; all keys and tools are in the bag."""
    here, there = dice.shuffled(ROOMS)[:2]
    exits: Exits = {here: {}, there: {}}
    _join(exits, here, there, dice.one(DIRECTIONS))
    other = dice.one([surface for surface in SURFACES if surface != target.goes_to])
    surfaces = [Thing(target.goes_to, "surface", "", here), Thing(other, "surface", "", there)]
    return Scene(here, exits, (*surfaces, *_placed(target, there, other), *_instruments([BAG])))


def five_rooms(dice: Dice, targets: Sequence[Target]) -> Scene:
    """Return five rooms, the last behind a locked door with the first of the things; keys and tools lie about."""
    rooms, surfaces = dice.shuffled(ROOMS)[:5], dice.shuffled(SURFACES)
    door = f"{dice.one(OPEN.kinds)} door"
    exits: Exits = {rooms[0]: {}}
    for place, room in enumerate(rooms[1:], 1):
        free = [(old, way) for old in rooms[:place] for way in DIRECTIONS if way not in exits[old]]
        old, way = dice.one(free)
        exits[room] = {}
        _join(exits, old, room, way, door if place == 4 else "")
    things = [Thing(surface, "surface", "", room) for surface, room in zip(surfaces, rooms, strict=True)]
    things.append(Thing(door, "door", door.split()[0], rooms[4]))
    for target, place in zip(targets, (4, dice.one(range(1, 4))), strict=True):
        things += _placed(target, rooms[place], surfaces[place])
    return Scene(rooms[0], exits, (*things, *_instruments(dice.shuffled(surfaces[:4]))))


def _join(exits: Exits, one: str, other: str, way: str, door: str = "") -> None:
    exits[one][way] = Exit(other, door)
    exits[other][OPPOSITE[way]] = Exit(one, door)


def _placed(target: Target, room: str, surface: str) -> list[Thing]:
    """Return a target where it is: what is fixed stands in the room, what can be taken lies on a surface."""
    sort = SORTS[target.craft]
    thing = Thing(target.name, sort, target.kind, room if sort == "container" else surface)
    return [thing, Thing(target.treasure, "treasure", "", target.name)] if target.treasure else [thing]


def _instruments(places: Sequence[str]) -> list[Thing]:
    """Return all keys and tools, spread over places in turn."""
    keys = [(f"{colour} key", colour) for colour in COLOURS]
    made: list[tuple[str, Sort, str]] = [(name, "key", colour) for name, colour in keys]
    made += [(tool, "tool", tool) for tool in TOOLS]
    return [Thing(name, sort, kind, places[n % len(places)]) for n, (name, sort, kind) in enumerate(made)]
