"""TextWorldExpress in a worker: one virtual machine, and a simulator in it for each game."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from agentevo.environments.text.engines import jvm
from agentevo.environments.text.engines.games import Games, Moves, Seen, Settings

MEMORY_MB = 512
SHARED = ("sorting",)
"""In this game two simulators of one seed see each other's things; it was seen in no other."""


def make(java: str, kept: int) -> Games:
    return Games(Express(java), kept)


class Express:
    """The virtual machine."""

    def __init__(self, java: str) -> None:
        from textworld_express.constants import BASEPATH, JAR_PATH

        self._machine = jvm.started(java, JAR_PATH, BASEPATH, MEMORY_MB)

    def begin(self, settings: Settings) -> ExpressGame:
        simulator, first = self._begun(settings, with_gold=False)
        return ExpressGame(simulator, first, self._machine.at(simulator))

    def golds(self, settings: Settings) -> Iterator[Sequence[str]]:
        simulator, _ = self._begun(settings, with_gold=True)
        yield list(simulator.getGoldActionSequence())

    def is_shared(self, settings: Settings) -> bool:
        return settings["game"] in SHARED

    def line(self, name: str) -> socket.socket | None:
        return self._machine.line(name)

    def _begun(self, settings: Settings, *, with_gold: bool) -> tuple[Any, str]:
        simulator = self._machine.classes.textworldexpress.runtime.PythonInterface()
        if problem := simulator.load(settings["game"], ""):
            raise ValueError(problem)
        return simulator, simulator.generateNewGameJSON(settings["seed"], settings["fold"], with_gold)


class ExpressGame:
    """One game: the first thing seen is its task, then the room."""

    def __init__(self, simulator: Any, first: str, at: Mapping[str, Any]) -> None:
        self._simulator = simulator
        self.at: Mapping[str, Any] | None = at
        self.seen = shown([first])
        self.seen["text"] = f"{simulator.getTaskDescription()}\n\n{self.seen['text']}"

    def act(self, command: str) -> Seen:
        self.seen = shown([self._simulator.stepJSON(command)])
        return self.seen

    def end(self) -> None:
        jvm.released(self._simulator)

    def actions(self) -> Sequence[str]:
        actions: list[str] = self.seen["actions"]
        return actions


def calls(command: str) -> Sequence[Sequence[str]]:
    return [("stepJSON", command)]


def shown(values: Sequence[str], start: object = None) -> Seen:
    told = json.loads(values[0])
    score = min(1.0, max(0.0, told["score"]))
    done = score >= 1 or told["tasksuccess"] or told["taskfailure"]
    return {"text": told["observation"].strip(), "score": score, "done": done, "actions": told["validActions"]}


MOVES = Moves(calls, shown)
