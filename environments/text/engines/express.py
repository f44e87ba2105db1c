"""TextWorldExpress in a worker: one virtual machine, and a simulator in it for each game."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from agentevo.environments.text.engines import jvm
from agentevo.environments.text.engines.games import Games, Seen, Settings

MEMORY_MB = 512
SHOWN = 50
"""So many possible actions go with what is seen."""


def make(java: str, kept: int) -> Games:
    from textworld_express.constants import BASEPATH, JAR_PATH

    machine = jvm.started(java, JAR_PATH, BASEPATH, MEMORY_MB)
    return Games(lambda settings: ExpressGame(machine, settings), lambda settings: _gold(machine, settings), kept)


class ExpressGame:
    """One game: the first thing seen is its task, then the room."""

    def __init__(self, machine: Any, settings: Settings) -> None:
        self._simulator, first = _begun(machine, settings, with_gold=False)
        self.seen = self._as_seen(first)
        self.seen["text"] = f"{self._simulator.getTaskDescription()}\n\n{self.seen['text']}"

    def act(self, command: str) -> Seen:
        self.seen = self._as_seen(json.loads(self._simulator.stepJSON(command)))
        return self.seen

    def actions(self) -> Sequence[str]:
        return self._actions

    def _as_seen(self, said: dict[str, Any]) -> Seen:
        score = min(1.0, max(0.0, said["score"]))
        self._actions: list[str] = said["validActions"]
        done = score >= 1 or said["tasksuccess"] or said["taskfailure"]
        return {"text": said["observation"].strip(), "score": score, "done": done, "actions": self._actions[:SHOWN]}


def _begun(machine: Any, settings: Settings, *, with_gold: bool) -> tuple[Any, dict[str, Any]]:
    simulator = machine.textworldexpress.runtime.PythonInterface()
    if problem := simulator.load(settings["game"], ""):
        raise ValueError(problem)
    return simulator, json.loads(simulator.generateNewGameJSON(settings["seed"], settings["fold"], with_gold))


def _gold(machine: Any, settings: Settings) -> list[str]:
    simulator, _ = _begun(machine, settings, with_gold=True)
    return list(simulator.getGoldActionSequence())
