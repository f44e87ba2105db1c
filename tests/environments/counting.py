"""A small environment that keeps the contract, to be broken in one point at a time: count up to a number."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from agentevo.errors import Misuse
from agentevo.protocols import Episode, FeedbackLevel
from agentevo.types import Attempt, Card, Feedback, Message, Outcome, Task, Tool

TOOL = Tool(name="add", description="Add one to the sum.")


def call(name: str = "add") -> Message:
    return {
        "role": "assistant", "content": "",
        "tool_calls": [{"id": "1", "type": "function", "function": {"name": name, "arguments": "{}"}}],
    }  # fmt: skip


class Counting:
    """Add one until the sum is what the task asks for, then say so: `done`."""

    card = Card(
        name="counting", version="1", description="Count", licence="MIT", splits={"train": 3, "test": 3},
        null_score=0.0, gold_score=1.0,
    )  # fmt: skip

    def splits(self) -> Sequence[str]:
        return ("train", "test")

    def tasks(self, split: str) -> Sequence[Task]:
        if split not in self.splits():
            raise Misuse(f"no split {split!r}")
        first = 1 if split == "train" else 4
        return [Task(id=f"count-{n}", prompt=f"Count to {n}.", data={"to": n}) for n in range(first, first + 3)]

    def task(self, id: str) -> Task:
        for split in self.splits():
            for task in self.tasks(split):
                if task.id == id:
                    return task
        raise Misuse(f"no task {id!r}")

    async def open(self, task: Task, seed: int = 0, feedback: FeedbackLevel = "weak") -> Episode:
        return CountingEpisode(task)

    async def verify(self, task: Task, attempt: Attempt) -> Feedback:
        sums = sum(bool(message.get("tool_calls")) for message in attempt.messages)
        return Feedback(score=float(attempt.answer == "done" and sums == task.data["to"]))

    def gold(self, task: Task) -> Sequence[Message]:
        return [*[call()] * int(str(task.data["to"])), {"role": "assistant", "content": "done"}]


class CountingEpisode:
    """One sum."""

    tools: Sequence[Tool] = (TOOL,)

    def __init__(self, task: Task) -> None:
        self.observation = task.prompt
        self._to, self.sum, self.over = task.data["to"], 0, False

    async def step(self, action: Message) -> Outcome:
        if self.over:
            raise Misuse("this episode is over")
        await asyncio.sleep(0)
        calls = action.get("tool_calls")
        if isinstance(calls, list) and calls:
            if any(
                not isinstance(one, dict) or one.get("function") != {"name": "add", "arguments": "{}"} for one in calls
            ):
                return Outcome(observation="there is one tool: add")
            self.sum += 1
            return Outcome(observation=f"the sum is {self.sum}")
        self.over = action.get("content") == "done"
        return Outcome(observation="so be it" if self.over else "add, or say done", terminated=self.over)

    async def close(self) -> None:
        self.over = True
