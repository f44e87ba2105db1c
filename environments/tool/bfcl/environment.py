"""BFCL's multi-turn tasks as an environment: conversations about eight simulated systems, scored as the wheel does."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import get_args

from agentevo.environments.engine import Engine
from agentevo.environments.tool.bfcl import wheel
from agentevo.environments.tool.bfcl.entries import CATEGORIES, Entry, entries
from agentevo.environments.tool.bfcl.episode import TELL, Conversation, judged, turns_of
from agentevo.environments.tool.shop.episode import acting
from agentevo.environments.walls import Walls
from agentevo.errors import Misuse, UnknownName
from agentevo.protocols import FeedbackLevel
from agentevo.types import Attempt, Card, Feedback, Message, Task, ToolCall

SIMULATORS = "agentevo.environments.tool.bfcl.simulators:Simulators"
SPLITS = ("train", "test")
IN_A_CATEGORY = 200


class BFCL:
    """The Berkeley Function Calling Leaderboard's multi-turn tasks, version 4: 200 conversations in four variants.

    category: "base"; "miss_func", in which a function comes later than it is needed; "miss_param", in which the user
    leaves something out at first; "long_context", with much that is not to the point; or "all" of them. Every second
    conversation is in train, in all its variants, the others are in test.

    An attempt is right if after each turn the systems are as they are after the right calls, and if it has asked for
    all that those bring: the wheel's own comparison. The simulators run behind a wall, each conversation in a process;
    walls=False is for systems that have none.
    """

    def __init__(self, category: str = "all", walls: bool = True) -> None:
        if category not in (*CATEGORIES, "all"):
            raise UnknownName("category of bfcl", category, (*CATEGORIES, "all"))
        self._category, self._walls = category, walls
        self._chosen = CATEGORIES if category == "all" else (category,)

    def __repr__(self) -> str:
        return f"BFCL(category={self._category!r})"

    @property
    def card(self) -> Card:
        return Card(
            name="bfcl",
            version="4",
            description=f"Conversations about eight simulated systems, from BFCL's multi-turn part; {self._category}",
            instruction=(
                "The user asks for one thing after the other. Do each with the functions. When it is done, or cannot be"
                f" done because a function or a detail is missing, call {TELL.name}; then the user goes on."
            ),
            licence="Apache-2.0",
            ability="tool use",
            splits=dict.fromkeys(SPLITS, len(self._chosen) * IN_A_CATEGORY // len(SPLITS)),
            null_score=0.0,
            gold_score=1.0,
        )

    def splits(self) -> Sequence[str]:
        return SPLITS

    def tasks(self, split: str) -> Sequence[Task]:
        """Return the tasks of a split, in order. Raise UnknownName for a split that is not here."""
        if split not in SPLITS:
            raise UnknownName("split of bfcl", split, SPLITS)
        return [entry.task for entry in self._entries[split]]

    def task(self, id: str) -> Task:
        return self._named(id).task

    async def open(self, task: Task, seed: int = 0, feedback: FeedbackLevel = "weak") -> Conversation:
        if feedback not in get_args(FeedbackLevel):
            raise UnknownName("feedback level", feedback, get_args(FeedbackLevel))
        conversation = Conversation(self._named(task.id), self._engine, feedback)
        await conversation.begin()
        return conversation

    async def verify(self, task: Task, attempt: Attempt) -> Feedback:
        entry = self._named(task.id)
        wrong = await judged(self._engine, entry, turns_of(entry, attempt))
        return Feedback(
            score=float(not wrong), verdict="wrong" if wrong else "right", source="environment",
            evidence={"wrong": wrong},
        )  # fmt: skip

    def gold(self, task: Task) -> Sequence[Message]:
        tell = ToolCall(id="told", name=TELL.name, arguments={"text": "Done."})
        turns = self._named(task.id).right
        return [acting(call) for n, calls in enumerate(turns) for call in (*calls, tell.but(id=f"told_{n}"))]

    @property
    def walls(self) -> Walls:
        """What the simulators may touch."""
        return Walls(readable=(str(wheel.place()),), walls=self._walls)

    async def aclose(self) -> None:
        """End the simulators, where they were started; they end with this process, too."""
        if "_engine" in vars(self):
            await self._engine.aclose()

    @cached_property
    def _engine(self) -> Engine:
        return Engine(SIMULATORS, arguments={"folder": str(wheel.folder())}, walls=self.walls, timeout_s=120)

    @cached_property
    def _entries(self) -> dict[str, list[Entry]]:
        """The conversations by split: every second one is in the other, in all its variants."""
        folder = wheel.folder()
        found = [entry for category in self._chosen for entry in entries(folder, category)]
        return {split: found[n :: len(SPLITS)] for n, split in enumerate(SPLITS)}

    @cached_property
    def _by_id(self) -> dict[str, Entry]:
        return {entry.task.id: entry for found in self._entries.values() for entry in found}

    def _named(self, id: str) -> Entry:
        if id not in self._by_id:
            raise Misuse(f"{self!r} has no task {id!r:.200}; its first is {next(iter(self._by_id))!r}")
        return self._by_id[id]
