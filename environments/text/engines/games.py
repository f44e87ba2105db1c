"""The games that an engine has under way, by name: begun, acted in, looked at, and played again from the start.

A game that is not here, or not where the other side believes it to be, is answered with None: it is to be begun again
with what was done in it. So it goes with the least recently used where too many are under way, and with those that
another one of the same settings would disturb.
"""

from __future__ import annotations

import socket
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol, TypeAlias

Settings: TypeAlias = Mapping[str, Any]
Seen: TypeAlias = dict[str, Any]
"""What is seen after a command: text, score from 0 to 1, done, and perhaps all the actions that are possible."""


class Moves(NamedTuple):
    """How a game whose object somebody reaches past the worker is acted in.

    `calls` are the methods to call for a command, each with its texts; `shown` makes what is seen of their values, None
    for one that raised, and of the `start` that the game told, or raises where it cannot.
    """

    calls: Callable[[str], Sequence[Sequence[str]]]
    shown: Callable[[Sequence[Any], Any], Seen]


class Game(Protocol):
    """One game of an engine; `seen` is what it showed last.

    `at` is where it is to be found past the worker: the name of a line, of its object, and its start; None for nowhere.
    """

    seen: Seen
    at: Mapping[str, Any] | None

    def act(self, command: str) -> Seen: ...

    def actions(self) -> Sequence[str]: ...

    def end(self) -> None:
        """Be nowhere any more, past the worker too."""


class Engine(Protocol):
    """What begins games by their settings, and knows the commands that win them."""

    def begin(self, settings: Settings) -> Game: ...

    def golds(self, settings: Settings) -> Iterable[Sequence[str]]:
        """Yield commands that should win it; the next are asked for only where those before did not."""

    def is_shared(self, settings: Settings) -> bool:
        """Say whether games of the same settings share what they should not."""

    def line(self, name: str) -> socket.socket | None:
        """Return a line of that name to where its games are; None where there is none, or none any more."""


class Kept(NamedTuple):
    """A game, how many commands were given in it, and its settings."""

    done: int
    game: Game
    settings: Settings


class Games:
    """What a worker answers to; it keeps so many games of its engine."""

    def __init__(self, engine: Engine, kept: int) -> None:
        self._engine, self._most = engine, kept
        self._games: OrderedDict[str, Kept] = OrderedDict()

    def begin(self, name: str, settings: Settings, commands: Sequence[str]) -> Seen:
        """Begin a game, and do in it what was done."""
        self.end(name)
        self._make_room(settings)
        while len(self._games) >= self._most:
            self.end(next(iter(self._games)))
        game = self._engine.begin(settings)
        for command in commands:
            game.act(command)
        self._games[name] = Kept(len(commands), game, settings)
        return {**game.seen, "at": game.at}

    def act(self, name: str, done: int, command: str) -> Seen | None:
        kept = self._at(name, done)
        if kept is None:
            return None
        seen = kept.game.act(command)
        self._games[name] = kept._replace(done=done + 1)
        return seen

    def actions(self, name: str, done: int, containing: str, most: int) -> dict[str, Any] | None:
        """Return the first commands that are possible and contain some text, and how many there are."""
        kept = self._at(name, done)
        if kept is None:
            return None
        return listed(kept.game.actions(), containing, most)

    def line(self, name: str) -> socket.socket | None:
        return self._engine.line(name)

    def end(self, name: str) -> None:
        if (kept := self._games.pop(name, None)) is not None:
            kept.game.end()

    def replay(self, settings: Settings, commands: Sequence[str]) -> Seen:
        """Play a game from its start until it is over, or the commands are; say how many were needed."""
        self._make_room(settings)
        game, used = self._engine.begin(settings), 0
        for command in commands:
            if game.seen["done"]:
                break
            game.act(command)
            used += 1
        game.end()
        return {**game.seen, "commands": used}

    def gold(self, settings: Settings, most: int) -> list[str]:
        """Return commands that win a game, tried; none where the first `most` of the engine's own do not win it."""
        self._make_room(settings)
        for found in self._engine.golds(settings):
            commands = [*found][:most]
            seen = self.replay(settings, commands)
            if seen["score"] >= 1:
                return commands[: seen["commands"]]
        return []

    def _make_room(self, settings: Settings) -> None:
        if self._engine.is_shared(settings):
            for name in [name for name, kept in self._games.items() if kept.settings == settings]:
                self.end(name)

    def _at(self, name: str, done: int) -> Kept | None:
        kept = self._games.get(name)
        if kept is None or kept.done != done:
            return None
        self._games.move_to_end(name)
        return kept


def listed(actions: Sequence[str], containing: str, most: int) -> dict[str, Any]:
    """Return the first actions that contain some text, and how many there are."""
    found = [action for action in actions if containing.casefold() in action.casefold()]
    return {"actions": found[:most], "count": len(found)}
