"""Environments for tests of acting: an episode is a function of the calls or words that it is handed."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from moments import memory, moment

from agentevo.models.fakes import Scripted
from agentevo.phases.loop import Loop
from agentevo.protocols import Act, Environment, FeedbackLevel, Model, State
from agentevo.types import Attempt, Card, Feedback, Message, Outcome, Task, Tool, ToolCall

LOOK = Tool(name="look", description="Look at a place.", parameters={"type": "object", "properties": {"at": {}}})
TAKE = Tool(name="take")
TASK = Task(id="find", prompt="Find the key.")

Step = Callable[[str, dict[str, Any]], "str | Outcome | Awaitable[str | Outcome]"]


@dataclass
class World:
    """Answers calls (name, arguments) and words ("", {"said": ...}) with a text, or with an outcome of any kind."""

    answer: Step = field(default=lambda name, given: f"{name} {given}")
    tools: Sequence[Tool] = (LOOK, TAKE)
    observation: str = ""
    instruction: str = ""
    actions: list[Message] = field(default_factory=list)
    opened: list[tuple[str, int, str]] = field(default_factory=list)
    closed: int = 0

    @property
    def card(self) -> Card:
        return Card(name="world", version="1", instruction=self.instruction)

    def splits(self) -> Sequence[str]:
        return ()

    def tasks(self, split: str) -> Sequence[Task]:
        return ()

    def task(self, id: str) -> Task:
        return TASK

    async def verify(self, task: Task, attempt: Attempt) -> Feedback:
        return Feedback()

    async def open(self, task: Task, seed: int = 0, feedback: FeedbackLevel = "weak") -> Any:
        self.opened.append((task.id, seed, feedback))
        return _Visit(self)


@dataclass
class _Visit:
    world: World

    @property
    def observation(self) -> str:
        return self.world.observation

    @property
    def tools(self) -> Sequence[Tool]:
        return self.world.tools

    async def step(self, action: Message) -> Outcome:
        self.world.actions.append(action)
        called: Any = action.get("tool_calls")
        function = (
            called[0]["function"] if called else {"name": "", "arguments": json.dumps({"said": action["content"]})}
        )
        found = self.world.answer(function["name"], json.loads(function["arguments"]))
        found = await found if isinstance(found, Awaitable) else found
        return Outcome(observation=found) if isinstance(found, str) else found

    async def close(self) -> None:
        self.world.closed += 1


def call(name: str = "look", id: str = "1", **arguments: Any) -> ToolCall:
    return ToolCall(id=id, name=name, arguments=arguments)


def looped(
    world: Environment, replies: Model | Sequence[Scripted], loop: Act | None = None, task: Task = TASK
) -> Attempt:
    """Make one attempt in a world, with a model or the replies of one."""

    async def awaited(state: State) -> Attempt:
        (attempt,) = await (loop or Loop())(state, task)
        return attempt

    with memory() as m:
        return asyncio.run(awaited(replace(moment(m, replies), environment=world)))


def told(attempt: Attempt) -> list[tuple[Any, Any]]:
    """Return who said what after the prompt, calls as name(arguments)."""
    return [(m["role"], m["content"] if m.get("content") is not None else _calls(m)) for m in attempt.messages]


def _calls(message: Message) -> list[str]:
    called: Any = message["tool_calls"]
    return [f"{one['function']['name']}({one['function']['arguments']})" for one in called]
