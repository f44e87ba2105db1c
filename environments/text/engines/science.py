"""ScienceWorld in a worker: one virtual machine, and a simulator in it for each game."""

from __future__ import annotations

import socket
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from agentevo.environments.text.engines import jvm
from agentevo.environments.text.engines.games import Games, Moves, Seen, Settings

MEMORY_MB = 1024
FAILED = "The simulator cannot do that."


def make(java: str, kept: int) -> Games:
    return Games(Science(java), kept)


class Science:
    """The virtual machine."""

    def __init__(self, java: str) -> None:
        self._java = java
        self._machine = self._started(jvm.ONE_CODE)

    def begin(self, settings: Settings) -> ScienceGame:
        simulator = _loaded(self._machine, settings, with_gold=False)
        simulator.reset()
        return ScienceGame(simulator, self._machine)

    def golds(self, settings: Settings) -> Iterator[Sequence[str]]:
        """Yield what the simulator finds; where that loses, what it finds where objects have hash codes of their own.

        Which plants it crosses, say, depends on their order. The other machines are started anew each time, so that
        what they find is always the same. Where that loses too, what was chosen first is chosen again, later.
        """
        own = _gold(self._machine, settings)
        yield own
        for codes in (jvm.COUNTED_CODES, jvm.USUAL_CODES):
            other = self._started(codes)
            try:
                found = _gold(other, settings)
            finally:
                other.end()
            yield found
        yield [*own, *_chosen_again(own)]

    def is_shared(self, settings: Settings) -> bool:
        return False

    def line(self, name: str) -> socket.socket | None:
        return self._machine.line(name)

    def _started(self, codes: str) -> jvm.Machine:
        from scienceworld.constants import BASEPATH, JAR_PATH

        return jvm.started(self._java, JAR_PATH, BASEPATH, MEMORY_MB, codes)


def _gold(machine: jvm.Machine, settings: Settings) -> Sequence[str]:
    return list(_loaded(machine, settings, with_gold=True).getGoldActionSequence())


def _chosen_again(gold: Sequence[str]) -> Sequence[str]:
    """Return what chooses the last thing focused on again and again: a fruit may ripen later in this order."""
    last = max((n for n, command in enumerate(gold) if command.startswith("focus on ")), default=len(gold))
    choice = [command for command in gold[last:] if not command.startswith(("wait", "look"))]
    return [*["wait1"] * 5, *choice] * 10 if choice else []


def _loaded(machine: jvm.Machine, settings: Settings, *, with_gold: bool) -> Any:
    simulator = machine.classes.scienceworld.runtime.pythonapi.PythonInterface()
    simulator.load(settings["task"], settings["variation"], "", with_gold)
    return simulator


class ScienceGame:
    """One game: the first thing seen is its task, then the room; looking around takes its first move, as it does there.

    It is over when the task is completed, and when a wrong thing was focused on, which the simulator scores below 0.
    Some variations have up to half of their score at the start, by where one happens to stand. So the score here is the
    share gained of what there was to gain; `own` is the simulator's.
    """

    def __init__(self, simulator: Any, machine: jvm.Machine) -> None:
        self._simulator, self._fault = simulator, jvm.failure()
        said = simulator.step("look around")
        self._start: float = max(0.0, simulator.getScore())
        self.at: Mapping[str, Any] | None = machine.at(simulator, self._start)
        self.seen = self._shown(said)
        self.seen["text"] = f"{simulator.getTaskDescription()}\n\n{self.seen['text']}"

    def act(self, command: str) -> Seen:
        try:
            said = self._simulator.step(command)
        except self._fault:
            said = None
        self.seen = self._shown(said)
        return self.seen

    def end(self) -> None:
        jvm.released(self._simulator)

    def actions(self) -> Sequence[str]:
        return list(self._simulator.getValidActionObjectCombinations())

    def _shown(self, said: str | None) -> Seen:
        return shown([said, self._simulator.getScore(), self._simulator.getCompleted()], self._start)


def calls(command: str) -> Sequence[Sequence[str]]:
    return [("step", command), ("getScore",), ("getCompleted",)]


def shown(values: Sequence[Any], start: float) -> Seen:
    said, own, is_completed = values
    gained = (own - start) / (1 - start)
    text = FAILED if said is None else said.strip()
    return {"text": text, "score": min(1.0, max(0.0, gained)), "done": own < 0 or is_completed, "own": own}


MOVES = Moves(calls, shown)
