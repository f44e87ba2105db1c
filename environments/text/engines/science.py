"""ScienceWorld in a worker: one virtual machine, and a simulator in it for each game."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from agentevo.environments.text.engines import jvm
from agentevo.environments.text.engines.games import Games, Seen, Settings

MEMORY_MB = 1024
FAILED = "The simulator cannot do that."


def make(java: str, kept: int) -> Games:
    return Games(Science(java), kept)


class Science:
    """The virtual machine."""

    def __init__(self, java: str) -> None:
        from scienceworld.constants import BASEPATH, JAR_PATH

        self._machine = jvm.started(java, JAR_PATH, BASEPATH, MEMORY_MB)

    def begin(self, settings: Settings) -> ScienceGame:
        simulator = self._loaded(settings, with_gold=False)
        simulator.reset()
        return ScienceGame(simulator)

    def gold(self, settings: Settings) -> Sequence[str]:
        return list(self._loaded(settings, with_gold=True).getGoldActionSequence())

    def is_shared(self, settings: Settings) -> bool:
        return False

    def _loaded(self, settings: Settings, *, with_gold: bool) -> Any:
        simulator = self._machine.scienceworld.runtime.pythonapi.PythonInterface()
        simulator.load(settings["task"], settings["variation"], "", with_gold)
        return simulator


class ScienceGame:
    """One game: the first thing seen is its task, then the room; looking around takes its first move, as it does there.

    It is over when the task is completed, and when a wrong thing was focused on, which the simulator scores below 0.
    Some variations have up to half of their score at the start, by where one happens to stand. So the score here is the
    share gained of what there was to gain; `own` is the simulator's.
    """

    def __init__(self, simulator: Any) -> None:
        self._simulator, self._fault = simulator, jvm.failure()
        said = simulator.step("look around")
        self._first: float = max(0.0, simulator.getScore())
        self.seen = self._as_seen(said)
        self.seen["text"] = f"{simulator.getTaskDescription()}\n\n{self.seen['text']}"

    def act(self, command: str) -> Seen:
        try:
            said = self._simulator.step(command)
        except self._fault:
            said = FAILED
        self.seen = self._as_seen(said)
        return self.seen

    def actions(self) -> Sequence[str]:
        return list(self._simulator.getValidActionObjectCombinations())

    def _as_seen(self, said: str) -> Seen:
        own = self._simulator.getScore()
        gained = (own - self._first) / (1 - self._first)
        done = own < 0 or self._simulator.getCompleted()
        return {"text": said.strip(), "score": min(1.0, max(0.0, gained)), "done": done, "own": own}
