"""The shop as an environment: calls change a database, and what it holds in the end is what scores."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import islice

from agentevo.environments.code.files import Call
from agentevo.environments.made_up import MadeUp, built_in, sizes
from agentevo.environments.tool.shop import database
from agentevo.environments.tool.shop.convention import Convention
from agentevo.environments.tool.shop.database import Snapshot
from agentevo.environments.tool.shop.episode import ShopEpisode, acting, calls_of
from agentevo.environments.tool.shop.requests import Request, requests
from agentevo.protocols import FeedbackLevel
from agentevo.types import Attempt, Feedback, Message, Task, ToolCall

LEVELS = ("one call", "up to three", "with looking up")
MOST_TASKS = 1000
MOST_CALLS = 200
"""So many calls of an attempt are looked at: whoever needs more tries blindly."""


class Shop(MadeUp[Request]):
    """A shop's desk: `Ship the order O417; it goes to the islands.` is done by `ship_order` with the right carrier.

    Which code stands for a reason, which carrier goes to a region, which shelf is for a kind of product, and from
    where on refunds are approved is made up from the number of the convention; what is wrong is refused, so that it
    can be tried. Level 1 takes one call; level 2 up to three; level 3 names people and things, which are looked up
    first. There are so many `tasks` in train and in test, three tenths of that in dev.

    An attempt is right if the database is then what it is after the gold calls, in every row. It is scored by its
    messages: the calls in them are made again.
    """

    def __init__(self, convention: int = 0, level: int = 1, tasks: int = 200) -> None:
        counts = sizes(convention, level, tasks, LEVELS, MOST_TASKS)
        card = built_in(
            "shop", counts, ability="tool use",
            description=f"What is asked of a shop is done by calls; convention {convention}, level {level}",
            instruction="Do what is asked with the tools of the shop, then say that it is done.",
        )  # fmt: skip
        super().__init__(
            card, f"Shop(convention={convention}, level={level}, tasks={tasks})",
            lambda: requests(convention, level, counts),
        )  # fmt: skip
        self._convention = Convention.of(convention)

    async def open(self, task: Task, seed: int = 0, feedback: FeedbackLevel = "weak") -> ShopEpisode:
        asked = self._opened(task, feedback)
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

    async def _after(self, asked: Request, calls: Iterable[ToolCall | Call]) -> Snapshot:
        """Return the database as it is after calls."""
        episode = ShopEpisode(asked, self._convention, "none", {})
        try:
            for call in islice(calls, MOST_CALLS):
                await episode.step(acting(call))
            return episode.snapshot()
        finally:
            await episode.close()
