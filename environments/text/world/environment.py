"""The world as an environment: what is there in the end is what scores."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from agentevo.environments.made_up import MadeUp, built_in, sizes
from agentevo.environments.text.world.episode import WorldEpisode
from agentevo.environments.text.world.requests import Request, requests
from agentevo.environments.text.world.visit import Visit, texts
from agentevo.protocols import FeedbackLevel
from agentevo.types import Attempt, Feedback, Message, Task

LEVELS = ("one command", "two rooms", "five rooms")
MOST_TASKS = 300
COMMANDS: Mapping[int, int] = {1: 3, 2: 15, 3: 80}
"""So many commands may be tried, by level."""


class World(MadeUp[Request]):
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
        card = built_in(
            "world", counts, ability="planning",
            description=f"Wishes fulfilled by commands, by hidden rules; world {convention}, level {level}",
            instruction="Do what is wished by commands of this world, one a line.",
        )  # fmt: skip
        super().__init__(
            card, f"World(convention={convention}, level={level}, tasks={tasks})",
            lambda: {split: list(requests(convention, level, split, count)) for split, count in counts.items()},
        )  # fmt: skip
        self._commands = COMMANDS[level]

    async def open(self, task: Task, seed: int = 0, feedback: FeedbackLevel = "weak") -> WorldEpisode:
        return WorldEpisode(self._opened(task, feedback), feedback, self._commands)

    async def verify(self, task: Task, attempt: Attempt) -> Feedback:
        visit = Visit(self._asked(task), self._commands)
        for text in texts(attempt):
            visit.act(text)
        return Feedback(
            score=visit.score, verdict="right" if visit.score == 1 else "wrong", source="environment",
            evidence={"commands_left": visit.left, "is_lost": visit.is_lost},
        )  # fmt: skip

    def gold(self, task: Task) -> Sequence[Message]:
        return [{"role": "assistant", "content": "\n".join(self._asked(task).commands)}]
