"""An engine of games for tests: counting up to a number, in a worker process of its own."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from agentevo.environments.text.engines.games import Games


def make(kept: int = 4) -> Games:
    return Games(Toy(), kept)


class Toy:
    """Begins games that count to `to`; those that are `shared` cannot be two."""

    def begin(self, settings: Mapping[str, Any]) -> ToyGame:
        return ToyGame(settings)

    def gold(self, settings: Mapping[str, Any]) -> Sequence[str]:
        return [*settings.get("gold", ["up"] * settings["to"])]

    def is_shared(self, settings: Mapping[str, Any]) -> bool:
        return bool(settings.get("shared"))


class ToyGame:
    """`up` counts; `down` counts back; `sleep` takes long; `die` ends the worker, the first time."""

    def __init__(self, settings: Mapping[str, Any]) -> None:
        self._to, self._marker, self._count = settings["to"], settings.get("marker", ""), 0
        self.seen = self._shown("0")

    def act(self, command: str) -> dict[str, Any]:
        if command == "die" and not Path(self._marker).exists():
            Path(self._marker).touch()
            os._exit(3)
        if command == "sleep":
            time.sleep(0.3)
        self._count += (command == "up") - (command == "down")
        self.seen = self._shown(str(self._count) if command != "nothing" else "")
        return self.seen

    def actions(self) -> Sequence[str]:
        return ["up", "down", *(f"wait {n}" for n in range(60))]

    def _shown(self, text: str) -> dict[str, Any]:
        score = min(1.0, max(0.0, self._count / self._to))
        return {"text": text, "score": score, "done": score >= 1}
