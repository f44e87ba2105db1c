"""The house as an environment: an episode is one step, the command."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import get_args

from agentevo.environments.tool.house.convention import LEVELS
from agentevo.environments.tool.house.requests import Request, requests
from agentevo.errors import Misuse, UnknownName
from agentevo.protocols import FeedbackLevel
from agentevo.types import Attempt, Card, Feedback, Message, Outcome, Task, Tool

MOST_TASKS = 1000


class House:
    """House commands: `Remind Anna about the rent on Friday 3pm.` becomes, say, `RXD Anna | Friday 3pm | rent`.

    The convention (codes, order of slots, marks) is made up from its number. Level 1 takes values as they stand; level
    2 glues them with sigils, quotes some and abbreviates days; level 3 also converts units and times and has codes for
    rooms. There are so many `tasks` in train and in test, three tenths of that in dev. Splits share the convention and
    no task; half of test is phrased in ways that the others never are, which `task.data["group"]` tells.

    An answer is its first line without the white space around it, and right if it is exactly the command.
    """

    def __init__(self, convention: int = 0, level: int = 1, tasks: int = 200) -> None:
        if type(convention) is not int or convention < 0:
            raise Misuse(f"convention is {convention!r}; expected the number of a convention, 0 or more")
        if type(level) is not int or level not in LEVELS:
            raise Misuse(f"level is {level!r}; expected 1 (verbatim), 2 (glued) or 3 (converted)")
        if type(tasks) is not int or not 10 <= tasks <= MOST_TASKS:
            raise Misuse(f"tasks is {tasks!r}; expected how many train and test have, from 10 to {MOST_TASKS}")
        self._convention, self._level = convention, level
        self._counts = {"train": tasks, "dev": tasks * 3 // 10, "test": tasks}

    def __repr__(self) -> str:
        return f"House(convention={self._convention}, level={self._level}, tasks={self._counts['train']})"

    @property
    def card(self) -> Card:
        return Card(
            name="house",
            version="1",
            description=f"A sentence in, a command out; convention {self._convention}, level {self._level}",
            instruction="Write the house command for the request.",
            licence="Apache-2.0",
            ability="tool use",
            splits=self._counts,
            null_score=0.0,
            gold_score=1.0,
            trusted=True,
        )

    def splits(self) -> Sequence[str]:
        return tuple(self._counts)

    def tasks(self, split: str) -> Sequence[Task]:
        """Return the tasks of a split, in order. Raise UnknownName for a split that is not here."""
        if split not in self._counts:
            raise UnknownName("split of house", split, self._counts)
        return [request.task for request in self._requests[split]]

    def task(self, id: str) -> Task:
        return self._request(id).task

    async def open(self, task: Task, seed: int = 0, feedback: FeedbackLevel = "weak") -> HouseEpisode:
        if feedback not in get_args(FeedbackLevel):
            raise UnknownName("feedback level", feedback, get_args(FeedbackLevel))
        return HouseEpisode(self._asked(task), feedback)

    async def verify(self, task: Task, attempt: Attempt) -> Feedback:
        is_right = command_in(attempt.answer) == self._asked(task).command
        return Feedback(score=float(is_right), verdict="right" if is_right else "wrong", source="environment")

    def gold(self, task: Task) -> Sequence[Message]:
        return [{"role": "assistant", "content": self._asked(task).command}]

    @cached_property
    def _requests(self) -> dict[str, list[Request]]:
        return {
            split: list(requests(self._convention, self._level, split, count)) for split, count in self._counts.items()
        }

    @cached_property
    def _by_id(self) -> dict[str, Request]:
        return {request.task.id: request for split in self._requests.values() for request in split}

    def _request(self, id: str) -> Request:
        if id not in self._by_id:
            raise Misuse(f"{self!r} has no task {id!r}; its first is {next(iter(self._by_id))!r}")
        return self._by_id[id]

    def _asked(self, task: Task) -> Request:
        """Return the request of a task, also of one that has travelled; a sentence of its own is not one of ours."""
        request = self._request(task.id)
        if task.prompt != request.task.prompt:
            raise Misuse(f"task {task.id!r} is not the one of {self!r}: it says {task.prompt!r:.120}")
        return request


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
