"""The commands that make facts come true, found by whoever knows the place and its rules."""

from __future__ import annotations

from collections.abc import Sequence

from agentevo.environments.text.world.facts import Fact
from agentevo.environments.text.world.place import BAG, OPEN, PREPARED, Place, Scene
from agentevo.environments.text.world.rules import Rules


def gold(scene: Scene, rules: Rules, facts: Sequence[Fact]) -> tuple[str, ...]:
    """Return commands that make facts come true, one after the other."""
    walk = _Walk(scene, rules)
    for fact in facts:
        walk.fulfil(fact)
    return tuple(walk.commands)


class _Walk:
    """A way through a place, walked as it is found."""

    def __init__(self, scene: Scene, rules: Rules) -> None:
        self._place, self._rules = Place(scene, rules), rules
        self.commands: list[str] = []

    def fulfil(self, fact: Fact) -> None:
        """Do what makes a fact come true."""
        thing = self._place.things[fact.thing]
        if fact.where:
            self._hold(thing.name)
            self._go_to(self._place.room_of(self._place.things[fact.where]))
            self._do(f"put {thing.name} on {fact.where}")
        elif fact.mark == OPEN:
            self._use(f"{self._rules.keys[thing.kind]} key", thing.name)
        elif fact.mark == PREPARED:
            self._use(self._rules.tools[thing.kind], thing.name)
        else:
            self._go_to(self._place.room_of(thing))
            self._do(f"say {self._rules.words[fact.mark]} to {thing.name}")

    def _do(self, command: str) -> None:
        self._place.do(command)
        self.commands.append(command)

    def _use(self, instrument: str, name: str) -> None:
        self._hold(instrument)
        self._go_to(self._place.room_of(self._place.things[name]))
        self._do(f"use {instrument} on {name}")

    def _hold(self, name: str) -> None:
        thing = self._place.things[name]
        if thing.where != BAG:
            self._go_to(self._place.room_of(thing))
            self._do(f"take {name}")

    def _go_to(self, room: str) -> None:
        while self._place.here != room:
            way = self._ways(room)[0]
            door = self._place.exits[self._place.here][way].door
            if door and OPEN not in self._place.things[door].marks:
                self._use_at(self._place.here, f"{self._rules.keys[self._place.things[door].kind]} key", door)
            else:
                self._do(f"go {way}")

    def _use_at(self, room: str, key: str, door: str) -> None:
        self._hold(key)
        self._go_to(room)
        self._do(f"use {key} on {door}")

    def _ways(self, room: str) -> list[str]:
        """Return the shortest way from here to a room."""
        found: dict[str, list[str]] = {self._place.here: []}
        rooms = [self._place.here]
        for here in rooms:
            for way, out in self._place.exits[here].items():
                if out.to not in found:
                    found[out.to] = [*found[here], way]
                    rooms.append(out.to)
        return found[room]
