"""The house as an environment: an episode is one step, the command."""

from __future__ import annotations

from collections.abc import Sequence

from agentevo.environments.made_up import MadeUp, built_in, sizes
from agentevo.environments.tool.house.requests import Request, requests
from agentevo.errors import Misuse
from agentevo.protocols import FeedbackLevel
from agentevo.types import Attempt, Feedback, Message, Outcome, Task, Tool

LEVELS = ("verbatim", "glued", "converted")
MOST_TASKS = 1000


class House(MadeUp[Request]):
    """House commands: `Remind Anna about the rent on Friday 3pm.` becomes, say, `RXD Anna | Friday 3pm | rent`.

    The convention (codes, order of slots, marks) is made up from its number. Level 1 takes values as they stand; level
    2 glues them with sigils, quotes some and abbreviates days; level 3 also converts units and times and has codes for
    rooms. There are so many `tasks` in train and in test, three tenths of that in dev. Splits share the convention and
    no task; half of test is phrased in ways that the others never are, which `task.data["group"]` tells.

    An answer is its first line without the white space around it, and right if it is exactly the command.
    """

    def __init__(self, convention: int = 0, level: int = 1, tasks: int = 200) -> None:
        counts = sizes(convention, level, tasks, LEVELS, MOST_TASKS)
        card = built_in(
            "house", counts, description=f"A sentence in, a command out; convention {convention}, level {level}",
            instruction="Write the house command for the request.", ability="tool use",
        )  # fmt: skip
        super().__init__(
            card, f"House(convention={convention}, level={level}, tasks={tasks})",
            lambda: {split: list(requests(convention, level, split, count)) for split, count in counts.items()},
        )  # fmt: skip

    async def open(self, task: Task, seed: int = 0, feedback: FeedbackLevel = "weak") -> HouseEpisode:
        return HouseEpisode(self._opened(task, feedback), feedback)

    async def verify(self, task: Task, attempt: Attempt) -> Feedback:
        is_right = command_in(attempt.answer) == self._asked(task).command
        return Feedback(score=float(is_right), verdict="right" if is_right else "wrong", source="environment")

    def gold(self, task: Task) -> Sequence[Message]:
        return [{"role": "assistant", "content": self._asked(task).command}]


class HouseEpisode:
    """One request: the first action is the command, and the end."""

    tools: Sequence[Tool] = ()

    def __init__(self, request: Request, feedback: FeedbackLevel) -> None:
        self._command, self._feedback = request.command, feedback
        self._over = ""
        self.observation = request.task.prompt

    async def step(self, action: Message) -> Outcome:
        """Take the text of a message as the command. Raise Misuse for a step after the only one, or after close."""
        if self._over:
            raise Misuse(f"this episode {self._over}; open another one")
        self._over = "has had its only step"
        content = action.get("content")
        is_right = isinstance(content, str) and command_in(content) == self._command
        if self._feedback == "none":
            return Outcome(observation="", terminated=True)
        said = "right" if is_right else "wrong"
        if self._feedback == "strong" and not is_right:
            said = f"wrong; the command is: {self._command}"
        return Outcome(observation=said, reward=float(is_right), terminated=True)

    async def close(self) -> None:
        self._over = "is closed"


def command_in(text: str) -> str:
    """Return the first line of a text, without the white space around it."""
    return text.strip().partition("\n")[0].strip()
