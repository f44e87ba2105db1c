"""The world as an environment: what is there in the end is what scores."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import get_args

from agentevo.environments.made_up import MadeUp, sizes
from agentevo.environments.text.world.episode import WorldEpisode
from agentevo.environments.text.world.requests import Request, requests
from agentevo.environments.text.world.visit import Visit, texts
from agentevo.errors import UnknownName
from agentevo.protocols import FeedbackLevel
from agentevo.types import Attempt, Card, Feedback, Message, Task

LEVELS = ("one command", "two rooms", "five rooms")
MOST_TASKS = 300
COMMANDS: Mapping[int, int] = {1: 3, 2: 15, 3: 80}
"""So many commands may be tried, by level."""


class World:
    """A text world: `Open the old oak chest.` is done by `use red key on old oak chest`, if oak takes red here.

    Which key fits a material, which tool prepares a food, what the words of the world do, and when food takes one is
    made up from the number of the convention. A wrong key, tool or word spoils a thing for good. Level 1 takes one
    command; level 2 a handful in two rooms; level 3 two wishes in five rooms, with keys and tools to be found first
    and a locked door. There are so many `tasks` in train and in test, three tenths of that in dev. Splits share the
    rules and no task; half of test is worded, and about things, as the others never are: `task.data["group"]`.

    An action is a text, each of its lines a command. An attempt scores the share of what was wished that is so in the
    end; its commands are followed again for that.
    """

    def __init__(self, convention: int = 0, level: int = 1, tasks: int = 200) -> None:
        counts = sizes(convention, level, tasks, LEVELS, MOST_TASKS)
        self._convention, self._level = convention, level
        self._label = f"World(convention={convention}, level={level}, tasks={tasks})"
        self._made = MadeUp[Request]("world", self._label, counts, self._draw)

    def __repr__(self) -> str:
        return self._label

    @property
    def card(self) -> Card:
        return Card(
            name="world",
            version="1",
            description=f"Wishes fulfilled by commands, by hidden rules; world {self._convention}, level {self._level}",
            instruction="Do what is wished by commands of this world, one a line.",
            licence="Apache-2.0",
            ability="planning",
            splits=self._made.counts,
            null_score=0.0,
            gold_score=1.0,
            trusted=True,
        )

    def splits(self) -> Sequence[str]:
        return tuple(self._made.counts)

    def tasks(self, split: str) -> Sequence[Task]:
        """Return the tasks of a split, in order. Raise UnknownName for a split that is not here."""
        return self._made.tasks(split)

    def task(self, id: str) -> Task:
        return self._made.named(id).task

    async def open(self, task: Task, seed: int = 0, feedback: FeedbackLevel = "weak") -> WorldEpisode:
        if feedback not in get_args(FeedbackLevel):
            raise UnknownName("feedback level", feedback, get_args(FeedbackLevel))
        return WorldEpisode(self._made.asked(task), feedback, COMMANDS[self._level])

    async def verify(self, task: Task, attempt: Attempt) -> Feedback:
        visit = Visit(self._made.asked(task), COMMANDS[self._level])
        for text in texts(attempt):
            visit.act(text)
        return Feedback(
            score=visit.score, verdict="right" if visit.score == 1 else "wrong", source="environment",
            evidence={"commands_left": visit.left, "is_lost": visit.is_lost},
        )  # fmt: skip

    def gold(self, task: Task) -> Sequence[Message]:
        return [{"role": "assistant", "content": "\n".join(self._made.asked(task).commands)}]

    def _draw(self) -> dict[str, list[Request]]:
        counts = self._made.counts.items()
        return {split: list(requests(self._convention, self._level, split, count)) for split, count in counts}
