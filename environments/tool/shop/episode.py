"""One task at the desk of a shop: its database, its tools, and what an attempt did there."""

from __future__ import annotations

import inspect
import json
from collections.abc import Iterator
from contextlib import AsyncExitStack
from functools import cache

from agentevo.environments.code.files import NOT_RUN, Call, calls_in
from agentevo.environments.tool.episode import Rules, ToolEpisode
from agentevo.environments.tool.functions import FunctionTool, over
from agentevo.environments.tool.served import Served
from agentevo.environments.tool.shop import database
from agentevo.environments.tool.shop.convention import Convention
from agentevo.environments.tool.shop.database import Snapshot
from agentevo.environments.tool.shop.desk import Desk
from agentevo.environments.tool.shop.requests import Request
from agentevo.protocols import FeedbackLevel
from agentevo.types import Attempt, Json, Message, Outcome, ToolCall


class ShopEpisode(ToolEpisode):
    """Calls change the database of this episode alone; an action without a call ends it."""

    def __init__(self, asked: Request, convention: Convention, feedback: FeedbackLevel, expected: Snapshot) -> None:
        self._asked, self._feedback, self._expected = asked, feedback, expected
        self._database, held = database.made(asked.seed), AsyncExitStack()
        held.callback(self._database.close)
        desk = Desk(self._database, convention)
        served = [over(tool, getattr(desk, tool.tool.name)) for tool in tools()]
        super().__init__(asked.task.prompt, served, Rules(), held)

    def snapshot(self) -> Snapshot:
        """Return all that is in the database now."""
        return database.snapshot(self._database)

    async def step(self, action: Message) -> Outcome:
        """Run the calls of a message, or end, with what the level of feedback tells."""
        outcome = await super().step(action)
        if not outcome.terminated or self._feedback == "none":
            return outcome
        is_right = database.differences(self._expected, self.snapshot()) == 0
        said = "right" if is_right else "wrong"
        if self._feedback == "strong" and not is_right:
            said = f"wrong; right is: {'; '.join(map(written, self._asked.calls))}"
        return Outcome(observation=said, reward=float(is_right), terminated=True)


@cache
def tools() -> tuple[Served, ...]:
    """Return the tools of any desk; each is described once."""
    methods = [method for name, method in inspect.getmembers(Desk, inspect.isfunction) if not name.startswith("_")]
    bound = [method.__get__(object.__new__(Desk)) for method in methods]
    return tuple(FunctionTool(method, trusted=True).served() for method in bound)


def written(call: ToolCall) -> str:
    """Return a call as it is told in feedback."""
    return json.dumps({"name": call.name, "arguments": call.arguments}, ensure_ascii=False)


def acting(call: ToolCall | Call) -> Message:
    """Return a call as the message of an assistant."""
    function: Json = {"name": call.name, "arguments": json.dumps(dict(call.arguments))}
    return {
        "role": "assistant",
        "content": None,
        "tool_calls": [{"id": call.id, "type": "function", "function": function}],
    }


def calls_of(attempt: Attempt) -> Iterator[Call]:
    """Yield the calls that an attempt made, bad ones too; what was answered as not run is left out."""
    results = {str(m.get("tool_call_id")): m.get("content") for m in attempt.messages if m.get("role") == "tool"}
    for message in attempt.messages:
        for call in calls_in(message) if message.get("role") == "assistant" else ():
            result = results.get(call.id, "")
            if not call.problem and not (isinstance(result, str) and result.startswith(NOT_RUN)):
                yield call
