"""Text worlds of an engine as an environment: what the engines that play games have in common."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import cast, get_args

from agentevo.environments.made_up import MadeUp
from agentevo.environments.text.commands import Way, acting, commands_of
from agentevo.environments.text.crew import Crew
from agentevo.environments.text.engines.games import Moves
from agentevo.environments.text.episode import Seen, WorldEpisode
from agentevo.environments.text.java import find_java, runtime_of
from agentevo.environments.walls import Walls
from agentevo.errors import Misuse, UnknownName
from agentevo.protocols import FeedbackLevel
from agentevo.types import Attempt, Card, Feedback, Json, Message, Task

INSTRUCTIONS: Mapping[Way, str] = {
    "tools": "Reach the goal by commands, one call of `act` each.",
    "words": "Reach the goal by commands: answer with one command, and nothing else.",
}
KEPT = 48
"""So many games a worker keeps; one that it gave up is played again from its start when it goes on."""
MOST_STEPS = 10_000


@dataclass(frozen=True, slots=True)
class Played:
    """A task, and what its engine is told to play it."""

    task: Task
    settings: Mapping[str, Json]


class Worlds(MadeUp[Played]):
    """An engine's games as tasks. An attempt is scored by its messages: its commands are given again from the start.

    The score is what the engine gives at the end, from 0 to 1. Games run in `workers` processes behind walls, as many
    at once as there are episodes. By way of "tools" an agent calls `act` and `valid_actions`; by way of "words" what
    it says is its command. After `steps` commands an episode is truncated; what comes later does not count.
    """

    def __init__(
        self, card: Card, label: str, draw: Callable[[], Mapping[str, Sequence[Played]]], engine: str,
        moves: Moves, *, steps: int, way: str, workers: int, walls: bool,
    ) -> None:  # fmt: skip
        if way not in get_args(Way):
            raise UnknownName("way to act", str(way), get_args(Way))
        if type(steps) is not int or not 1 <= steps <= MOST_STEPS:
            raise Misuse(f"steps is {steps!r}; expected how many commands an episode may have, 1 to {MOST_STEPS}")
        self._way, self._steps, self._moves = cast("Way", way), steps, moves
        super().__init__(card.but(instruction=INSTRUCTIONS[self._way]), label, draw)
        java = find_java(card.name)
        may = Walls(readable=(runtime_of(java),), walls=walls)
        self._crew = Crew(f"{engine}:make", {"java": java, "kept": KEPT}, may, workers)
        self._golds: dict[str, tuple[str, ...]] = {}

    @property
    def walls(self) -> Walls:
        """What the engine may touch."""
        return self._crew.walls

    async def open(self, task: Task, seed: int = 0, feedback: FeedbackLevel = "weak") -> WorldEpisode:
        """Open an episode of a game; its task says how it is made, so that every `seed` gives the same one."""
        played = self._opened(task, feedback)
        episode = WorldEpisode(
            self._crew, played.settings, self._steps, self._way, feedback, lambda: self._told(played),
            self._moves,
        )  # fmt: skip
        await episode.begin()
        return episode

    async def verify(self, task: Task, attempt: Attempt) -> Feedback:
        played, given = self._asked(task), commands_of(attempt, self._way)
        commands: list[Json] = [*given[: self._steps]]
        found = await self._crew.ask_any(
            "replay", steps=len(commands), settings=dict(played.settings), commands=commands
        )  # fmt: skip
        seen = Seen.of(found)
        evidence: dict[str, Json] = {"commands": seen.commands, "is_over": seen.done, "last": seen.text[:LAST]}
        if seen.own is not None:
            evidence["own_score"] = seen.own
        verdict = "right" if seen.score >= 1 else "wrong"
        return Feedback(score=seen.score, verdict=verdict, source="environment", evidence=evidence)

    def gold(self, task: Task) -> Sequence[Message]:
        """Return commands that win the game; none where those that its engine knows do not, or are too many."""
        return [acting(command, self._way) for command in self._gold(self._asked(task))]

    async def aclose(self) -> None:
        """End the workers. They end by themselves with this object, and with this process."""
        await self._crew.aclose()

    def _gold(self, played: Played) -> tuple[str, ...]:
        if played.task.id not in self._golds:
            found = self._crew.ask_now("gold", steps=self._steps, settings=dict(played.settings), most=self._steps)
            self._golds[played.task.id] = tuple(cast("list[str]", found))
        return self._golds[played.task.id]

    async def _told(self, played: Played) -> str:
        """Say what would have won a game."""
        found = await self._crew.ask_any(
            "gold", steps=self._steps, settings=dict(played.settings), most=self._steps
        )  # fmt: skip
        return f"What wins it: {'; '.join(cast('list[str]', found))}" if found else ""


LAST = 200
"""So many characters of what was seen last are evidence."""
