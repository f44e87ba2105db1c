"""The games that an engine has under way, by name: begun, acted in, looked at, and played again from the start.

A game that is not here, or not where the other side believes it to be, is answered with None: it is to be begun again
with what was done in it. So as many as are kept, the least recently used goes first.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol, TypeAlias

Settings: TypeAlias = Mapping[str, Any]
Seen: TypeAlias = dict[str, Any]
"""What is seen after a command: text, score from 0 to 1, done, and perhaps actions that are possible."""


class Game(Protocol):
    """One game of an engine; `seen` is what it showed last."""

    seen: Seen

    def act(self, command: str) -> Seen: ...

    def actions(self) -> Sequence[str]: ...


class Games:
    """What a worker answers to. `start` begins a game by its settings, `gold` knows the commands that win it."""

    def __init__(self, start: Callable[[Settings], Game], gold: Callable[[Settings], Sequence[str]], kept: int) -> None:
        self._start, self._gold, self._kept = start, gold, kept
        self._games: OrderedDict[str, tuple[int, Game]] = OrderedDict()

    def begin(self, name: str, settings: Settings, commands: Sequence[str]) -> Seen:
        """Begin a game, and do in it what was done."""
        self._games.pop(name, None)
        while len(self._games) >= self._kept:
            self._games.popitem(last=False)
        game = self._start(settings)
        for command in commands:
            game.act(command)
        self._games[name] = (len(commands), game)
        return game.seen

    def act(self, name: str, done: int, command: str) -> Seen | None:
        game = self._at(name, done)
        if game is None:
            return None
        seen = game.act(command)
        self._games[name] = (done + 1, game)
        return seen

    def actions(self, name: str, done: int, containing: str, most: int) -> dict[str, Any] | None:
        """Return the first commands that are possible and contain some text, and how many there are."""
        game = self._at(name, done)
        if game is None:
            return None
        found = [action for action in game.actions() if containing.casefold() in action.casefold()]
        return {"actions": found[:most], "count": len(found)}

    def end(self, name: str) -> None:
        self._games.pop(name, None)

    def replay(self, settings: Settings, commands: Sequence[str]) -> Seen:
        """Play a game from its start until it is over, or the commands are; say how many were needed."""
        game, used = self._start(settings), 0
        for command in commands:
            if game.seen["done"]:
                break
            game.act(command)
            used += 1
        return {**game.seen, "commands": used}

    def gold(self, settings: Settings) -> list[str]:
        return list(self._gold(settings))

    def _at(self, name: str, done: int) -> Game | None:
        count, game = self._games.get(name, (-1, None))
        if game is None or count != done:
            return None
        self._games.move_to_end(name)
        return game
