"""The shop as an environment: calls change a database, and what it holds in the end is what scores."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cached_property
from itertools import islice
from typing import get_args

from agentevo.environments.tool.shop import database
from agentevo.environments.tool.shop.convention import Convention
from agentevo.environments.tool.shop.database import Snapshot
from agentevo.environments.tool.shop.episode import ShopEpisode, acting, calls_of
from agentevo.environments.tool.shop.requests import KINDS, Request, requests
from agentevo.errors import Misuse, UnknownName
from agentevo.protocols import FeedbackLevel
from agentevo.types import Attempt, Card, Feedback, Message, Task, ToolCall

MOST_TASKS = 1000
MOST_CALLS = 200
"""So many calls of an attempt are looked at: whoever needs more tries blindly."""


class Shop:
    """A shop's desk: `Ship the order O417; it goes to the islands.` is done by `ship_order` with the right carrier.

    Which code stands for a reason, which carrier goes to a region, which shelf is for a kind of product, and from
    where on refunds are approved is made up from the number of the convention; what is wrong is refused, so that it
    can be tried. Level 1 takes one call; level 2 up to three; level 3 names people and things, which are looked up
    first. There are so many `tasks` in train and in test, three tenths of that in dev.

    An attempt is right if the database is then what it is after the gold calls, in every row. It is scored by its
    messages: the calls in them are made again.
    """

    def __init__(self, convention: int = 0, level: int = 1, tasks: int = 200) -> None:
        if type(convention) is not int or convention < 0:
            raise Misuse(f"convention is {convention!r}; expected the number of a convention, 0 or more")
        if type(level) is not int or level not in KINDS:
            raise Misuse(f"level is {level!r}; expected 1 (one call), 2 (up to three) or 3 (with looking up)")
        if type(tasks) is not int or not 10 <= tasks <= MOST_TASKS:
            raise Misuse(f"tasks is {tasks!r}; expected how many train and test have, from 10 to {MOST_TASKS}")
        self._number, self._level, self._convention = convention, level, Convention.of(convention)
        self._counts = {"train": tasks, "dev": tasks * 3 // 10, "test": tasks}

    def __repr__(self) -> str:
        return f"Shop(convention={self._number}, level={self._level}, tasks={self._counts['train']})"

    @property
    def card(self) -> Card:
        return Card(
            name="shop",
            version="1",
            description=f"What is asked of a shop is done by calls; convention {self._number}, level {self._level}",
            instruction="Do what is asked with the tools of the shop, then say that it is done.",
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
            raise UnknownName("split of shop", split, self._counts)
        return [request.task for request in self._requests[split]]

    def task(self, id: str) -> Task:
        return self._request(id).task

    async def open(self, task: Task, seed: int = 0, feedback: FeedbackLevel = "weak") -> ShopEpisode:
        if feedback not in get_args(FeedbackLevel):
            raise UnknownName("feedback level", feedback, get_args(FeedbackLevel))
        asked = self._asked(task)
        expected = await self._after(asked, asked.calls) if feedback != "none" else {}
        return ShopEpisode(asked, self._convention, feedback, expected)

    async def verify(self, task: Task, attempt: Attempt) -> Feedback:
        asked = self._asked(task)
        expected, found = await self._after(asked, asked.calls), await self._after(asked, calls_of(attempt))
        rows = database.differences(expected, found)
        return Feedback(
            score=float(rows == 0), verdict="wrong" if rows else "right", source="environment",
            evidence={"rows_that_differ": rows},
        )  # fmt: skip

    def gold(self, task: Task) -> Sequence[Message]:
        calls = self._asked(task).calls
        return [*(acting(call) for call in calls), {"role": "assistant", "content": "Done."}]

    async def _after(self, asked: Request, calls: Iterable[ToolCall]) -> Snapshot:
        """Return the database as it is after calls."""
        episode = ShopEpisode(asked, self._convention, "none", {})
        try:
            for call in islice(calls, MOST_CALLS):
                await episode.step(acting(call))
            return episode.snapshot()
        finally:
            await episode.close()

    @cached_property
    def _requests(self) -> dict[str, list[Request]]:
        return requests(self._number, self._level, self._counts)

    @cached_property
    def _by_id(self) -> dict[str, Request]:
        return {request.task.id: request for split in self._requests.values() for request in split}

    def _request(self, id: str) -> Request:
        if id not in self._by_id:
            raise Misuse(f"{self!r} has no task {id!r}; its first is {next(iter(self._by_id))!r}")
        return self._by_id[id]

    def _asked(self, task: Task) -> Request:
        """Return the request of a task, also of one that has travelled; a prompt of its own is not one of ours."""
        request = self._request(task.id)
        if task.prompt != request.task.prompt:
            raise Misuse(f"task {task.id!r} is not the one of {self!r}: it says {task.prompt!r:.120}")
        return request
