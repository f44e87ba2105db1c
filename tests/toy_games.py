"""An engine of games for tests: counting up to a number, in a worker process of its own.

Those that are `direct` can be acted in past the worker, by lines like those of a virtual machine.
"""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from agentevo.environments.text.engines.games import Games, Moves


def make(kept: int = 4) -> Games:
    return Games(Toy(), kept)


class Toy:
    """Begins games that count to `to`; those that are `shared` cannot be two."""

    def __init__(self) -> None:
        self._name, self._count, self._held = f"toy {os.getpid()}", 0, 0
        self._found: dict[str, ToyGame] = {}

    def begin(self, settings: Mapping[str, Any]) -> ToyGame:
        game = ToyGame(settings)
        if settings.get("direct"):
            self._count += 1
            self._found[f"o{self._count}"] = game
            game.at = {"line": self._name, "object": f"o{self._count}", "start": settings["to"]}
        return game

    def golds(self, settings: Mapping[str, Any]) -> Iterator[Sequence[str]]:
        yield [*settings.get("gold", ["up"] * settings["to"])]
        yield [*settings.get("next gold", [])]

    def is_shared(self, settings: Mapping[str, Any]) -> bool:
        return bool(settings.get("shared"))

    def line(self, name: str) -> socket.socket | None:
        if name != self._name:
            return None
        ours, theirs = socket.socketpair()
        threading.Thread(target=self._answer, args=(ours,), daemon=True).start()
        return theirs

    def _answer(self, end: socket.socket) -> None:
        said: list[str] = []
        with end, end.makefile("r", encoding="utf-8") as lines:
            for line in lines:
                said.append(line[:-1])
                if line == "e\n":
                    end.sendall(f"!{self._answered(*said[:-1])}\n".encode())
                    said.clear()

    def _answered(self, kind: str, object_: str, method: str, text: str = "") -> str:
        if kind == "m":
            self._held -= 1
            return "yv"
        game = self._found.get(object_)
        if game is None or game.is_over or text == "sraise":
            self._held += 1
            return "xro1"
        if text == "sheld":
            return f"ys{self._held}"
        if method == "count":
            return f"yi{game.count}"
        seen: str = game.act(text[1:])["text"]
        return "yp" if text == "snonsense" else "ys" + seen.replace("\\", "\\\\").replace("\n", "\\n")


class ToyGame:
    """`up` counts, `slowly` too and then takes long; `down` counts back; `die` ends the worker, the first time."""

    def __init__(self, settings: Mapping[str, Any]) -> None:
        self._to, self._marker, self.count = settings["to"], settings.get("marker", ""), 0
        self.seen = self._shown("0")
        self.at: Mapping[str, Any] | None = None
        self.is_over = False

    def act(self, command: str) -> dict[str, Any]:
        if command == "die" and not Path(self._marker).exists():
            Path(self._marker).touch()
            os._exit(3)
        if command == "sleep":
            time.sleep(0.3)
        self.count += (command in ("up", "slowly")) - (command == "down")
        if command == "slowly":
            time.sleep(0.3)
        self.seen = self._shown({"nothing": "", "lines": "a\nb \\n c"}.get(command, str(self.count)))
        return self.seen

    def end(self) -> None:
        self.is_over = True

    def actions(self) -> Sequence[str]:
        return ["up", "down", *(f"wait {n}" for n in range(60))]

    def _shown(self, text: str) -> dict[str, Any]:
        score = min(1.0, max(0.0, self.count / self._to))
        return {"text": text, "score": score, "done": score >= 1}


def _shown(values: Sequence[Any], to: int) -> dict[str, Any]:
    text, count = values
    score = min(1.0, max(0.0, count / to))
    return {"text": "it raised" if text is None else text, "score": score, "done": score >= 1}


MOVES = Moves(lambda command: [("act", command), ("count",)], _shown)
