"""What a step through our adapter costs, beside the same step in the engine as its package gives it.

    python benchmarks/perf/engine_speed.py [--rounds 20] [--games 8] [--engines textworld_express,scienceworld] [--json]

The same games are played by the same commands, which win them, in each of `--rounds` rounds, three ways by turns:

    package      the package's own environment in this process: env.step(command)
    in process   what our worker does for a step, done in this process: no worker, no walls, no episode
    adapter      an episode of ours: await episode.step(message), the engine beside a worker behind walls

Steps alone are timed, not the beginning of a game, and each by itself. A figure is the mean over all steps of the least
time that a step took in any round: two or three processes answer each other there, and on a busy machine anything else
measures its scheduler. In brackets stands the median over the rounds of a round's mean step. Fifteen rounds before them
are not counted: as long as virtual machines compile, they take the processors from who waits for them.

Exits with 1 where the adapter takes over 1.25 times the package's step (20 % fewer steps a second) and over 50
microseconds more.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from agentevo.environments.text import ScienceWorld, TextWorldExpress
from agentevo.environments.text.commands import acting
from agentevo.environments.text.engines import express, science
from agentevo.environments.text.engines.games import Games
from agentevo.environments.text.java import find_java
from agentevo.environments.text.worlds import Worlds
from agentevo.types import Task

MOST_LOSS, MOST_MORE_US = 0.2, 50.0
WARM = 15
"""Rounds that are not counted."""
QUICK = "lifespan-longest-lived,power-component,find-non-living-thing,test-conductivity,find-living-thing,find-plant"
"""Kinds of ScienceWorld: the package lists all possible actions at each step, which takes long enough in these."""


class Way(Protocol):
    """One way to play: begin a game, give a command."""

    def begin(self, task: Task) -> None: ...

    def step(self, command: str) -> None: ...


class Express:
    """The package's own environment."""

    def __init__(self) -> None:
        from textworld_express import TextWorldExpressEnv

        self._env: Any = TextWorldExpressEnv(envStepLimit=10_000)

    def begin(self, task: Task) -> None:
        self._env.reset(gameName=task.data["group"], seed=task.data["seed"], gameFold="train", gameParams="")

    def step(self, command: str) -> None:
        self._env.step(command)


class Science:
    """The package's own environment."""

    def __init__(self) -> None:
        from scienceworld import ScienceWorldEnv

        self._env: Any = ScienceWorldEnv(envStepLimit=10_000)

    def begin(self, task: Task) -> None:
        self._env.load(task.data["group"], task.data["variation"], "")
        self._env.reset()

    def step(self, command: str) -> None:
        self._env.step(command)


class InProcess:
    """Our worker's games, in this process."""

    def __init__(self, games: Games) -> None:
        self._games, self._done = games, 0

    def begin(self, task: Task) -> None:
        settings = {**task.data, "game": task.data["group"], "task": task.data["group"], "fold": "train"}
        self._games.begin("one", settings, [])
        self._done = 0

    def step(self, command: str) -> None:
        self._games.act("one", self._done, command)
        self._done += 1


def timed(way: Way, plays: Sequence[tuple[Task, Sequence[str]]]) -> list[float]:
    """Return the microseconds of each step."""
    spent = []
    for task, commands in plays:
        way.begin(task)
        for command in commands:
            begin = time.perf_counter()
            way.step(command)
            spent.append((time.perf_counter() - begin) * 1e6)
    return spent


async def adapted(environment: Worlds, plays: Sequence[tuple[Task, Sequence[str]]]) -> list[float]:
    """Return the microseconds of each step of episodes."""
    spent = []
    for task, commands in plays:
        actions = [acting(command, "tools") for command in commands]
        episode = await environment.open(task, feedback="none")
        for action in actions:
            begin = time.perf_counter()
            await episode.step(action)
            spent.append((time.perf_counter() - begin) * 1e6)
        await episode.close()
    return spent


def measured(name: str, games: int, rounds: int) -> dict[str, list[list[float]]]:
    """Return the microseconds of each step, by way and round."""
    environment, raw, own = _ways(name)
    plays = [(task, _winning(environment, task)) for task in environment.tasks("train")[:games]]
    with asyncio.Runner() as runner:
        ways: dict[str, Callable[[], list[float]]] = {
            "package": lambda: timed(raw, plays),
            "in process": lambda: timed(own, plays),
            "adapter": lambda: runner.run(adapted(environment, plays)),
        }
        figures: dict[str, list[list[float]]] = {way: [] for way in ways}
        for number in range(rounds + WARM):
            for way, measure in ways.items():
                figure = measure()
                if number >= WARM:
                    figures[way].append(figure)
        runner.run(environment.aclose())
    return figures


def _ways(name: str) -> tuple[Worlds, Way, Way]:
    java = find_java(name)
    if name == "textworld_express":
        return TextWorldExpress(), Express(), InProcess(express.make(java, 1))
    return ScienceWorld(kinds=QUICK), Science(), InProcess(science.make(java, 1))


def _winning(environment: Worlds, task: Task) -> list[str]:
    """Return the commands that win a game; what comes after its end is left out."""
    from agentevo.environments.text.commands import commands_of
    from agentevo.types import Attempt

    attempt = Attempt(id="gold", task=task, messages=tuple(environment.gold(task)))
    needed = asyncio.run(environment.verify(task, attempt)).evidence["commands"]
    assert isinstance(needed, int)
    return commands_of(attempt, "tools")[:needed]


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--games", type=int, default=8)
    parser.add_argument("--engines", default="textworld_express,scienceworld")
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    held, told = True, {}
    for name in args.engines.split(","):
        figures = told[name] = measured(name, args.games, args.rounds)
        least = {way: statistics.mean(map(min, zip(*found, strict=True))) for way, found in figures.items()}
        more = least["adapter"] - least["package"]
        loss = 1 - least["package"] / least["adapter"]
        held = held and (loss < MOST_LOSS or more < MOST_MORE_US)
        if args.json:
            continue
        for way, found in figures.items():
            usual, rate = statistics.median(map(statistics.mean, found)), f"{1e6 / least[way]:8.0f} steps/s"
            print(f"{name:18} {way:10} {least[way]:9.1f} us ({usual:.1f})  {rate}")
        inside = least["adapter"] - least["in process"]
        print(f"{name:18} the adapter loses {loss:.0%} to the package ({more:+.1f} us), {inside:+.1f} us to in process")
    if args.json:
        print(json.dumps(told))
    return 0 if held else 1


if __name__ == "__main__":
    sys.exit(main())
