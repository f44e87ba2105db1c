"""A conversation with a user who asks for one thing after the other, and the functions of the systems it is about."""

from __future__ import annotations

import json
from collections.abc import Sequence

from agentevo.environments.code.files import NOT_RUN, Call, calls_in
from agentevo.environments.engine import Engine
from agentevo.environments.tool.bfcl.entries import Entry
from agentevo.errors import Misuse
from agentevo.protocols import FeedbackLevel
from agentevo.quote import cut
from agentevo.types import Attempt, Json, Message, Outcome, Tool

TELL = Tool(
    name="tell_user",
    description=(
        "Tell the user that all that was asked for is done, or what is missing for it, and hear what comes next. Only"
        " after that the user says something new."
    ),
    parameters={
        "type": "object",
        "properties": {"text": {"type": "string", "description": "What the user is told."}},
        "required": ["text"],
    },
)
ERROR = "Error: "
OUTPUT_CHARS = 20_000
MOST_CALLS = 400
"""Calls of an attempt that are looked at."""

Turns = list[list[Json]]
"""For each turn the calls that were made: pairs of a name and arguments."""


class Conversation:
    """Calls change the systems of this conversation alone; who says something, or calls `tell_user`, ends a turn."""

    def __init__(self, entry: Entry, engine: Engine, feedback: FeedbackLevel) -> None:
        self.observation = entry.turns[0]
        self._entry, self._engine, self._feedback = entry, engine, feedback
        self._number, self._starts, self._over = -1, 0, ""
        self._done: Turns = [[]]

    async def begin(self) -> None:
        """Have the systems made; again, with all that was done, where the worker that held them has gone."""
        entry = self._entry
        self._number = await opened(self._engine, entry)
        self._starts = self._engine.starts
        again = [{"number": self._number, "name": call[0], "arguments": call[1]} for call in _pairs(self._done)]
        await self._engine.ask_many("call", again)

    @property
    def tools(self) -> Sequence[Tool]:
        return (*self._entry.tools(len(self._done) - 1), TELL)

    async def step(self, action: Message) -> Outcome:
        """Run the calls of a message, or end the turn. Raise Misuse for a step after the end, or after close."""
        if self._over:
            raise Misuse(f"this conversation {self._over}; open another one")
        calls = calls_in(action) or [Call(TELL.name)]
        said: list[str] = []
        for call in calls:
            if self._is_over:
                said.append(f"{NOT_RUN}, because the conversation was over.")
            elif call.name == TELL.name and not call.problem:
                said.append(self._next_turn())
            else:
                said.append(await self._answered(call))
        observation = cut("\n\n".join(said), OUTPUT_CHARS)
        if not self._is_over:
            return Outcome(observation=observation)
        return await self._told(observation)

    async def close(self) -> None:
        self._over = "is closed"
        if self._number >= 0 and self._starts == self._engine.starts:
            number, self._number = self._number, -1
            await self._engine.ask("close", number=number)

    @property
    def _is_over(self) -> bool:
        return bool(self._over)

    def _next_turn(self) -> str:
        if len(self._done) == len(self._entry.turns):
            self._over = "is over"
            return ""
        self._done.append([])
        return self._entry.turns[len(self._done) - 1]

    async def _answered(self, call: Call) -> str:
        if wrong := problem(self._entry, len(self._done) - 1, call):
            return ERROR + wrong
        if self._starts != self._engine.starts:
            await self.begin()
        arguments: Json = dict(call.arguments)
        self._done[-1].append([call.name, arguments])
        return str(await self._engine.ask("call", number=self._number, name=call.name, arguments=arguments))

    async def _told(self, observation: str) -> Outcome:
        if self._feedback == "none":
            return Outcome(observation=observation, terminated=True)
        wrong = await judged(self._engine, self._entry, self._done)
        said = f"wrong: {wrong}" if wrong and self._feedback == "strong" else "wrong" if wrong else "right"
        told = "\n\n".join(filter(None, (observation, said)))
        return Outcome(observation=told, reward=float(not wrong), terminated=True)


def problem(entry: Entry, turn: int, call: Call) -> str:
    """Say why a call cannot be made in a turn; nothing where it can.

    A function that is held back is not offered, and not told of, but runs where it is called all the same: so it is in
    the wheel, whose right answers do so once.
    """
    if call.problem:
        return call.problem
    if call.name not in entry.by_name:
        offered = ", ".join(tool.name for tool in entry.tools(turn))
        return f"there is no function {call.name!r:.80}; there are: {offered}"
    schema = entry.by_name[call.name].parameters
    properties, required = schema.get("properties"), schema.get("required")
    known = properties if isinstance(properties, dict) else {}
    missing = [name for name in required if name not in call.arguments] if isinstance(required, list) else []
    strange = [name for name in call.arguments if name not in known]
    if missing or strange:
        what = f"lacks {missing[0]!r}" if missing else f"has {strange[0]!r:.80}, which is no parameter"
        return f"the call of {call.name!r} {what}; expected: {cut(json.dumps(schema), 2000)}"
    try:
        json.dumps(dict(call.arguments), allow_nan=False)
    except (ValueError, RecursionError):
        return f"the arguments of {call.name!r} hold what JSON has not, such as NaN"
    return ""


def turns_of(entry: Entry, attempt: Attempt) -> Turns:
    """Return the calls that an attempt made, by turn: as far as it got, and none that was refused."""
    results = {str(m.get("tool_call_id")): m.get("content") for m in attempt.messages if m.get("role") == "tool"}
    turns: Turns = [[]]
    for message in attempt.messages:
        calls = calls_in(message) if message.get("role") == "assistant" else []
        for call in calls or ([Call(TELL.name)] if message.get("role") == "assistant" else []):
            result = results.get(call.id, "")
            if isinstance(result, str) and result.startswith(NOT_RUN):
                continue
            if call.name == TELL.name and not call.problem:
                if len(turns) == len(entry.turns):
                    return turns
                turns.append([])
            elif not problem(entry, len(turns) - 1, call) and sum(map(len, turns)) < MOST_CALLS:
                turns[-1].append([call.name, dict(call.arguments)])
    return turns


async def opened(engine: Engine, entry: Entry) -> int:
    """Open a conversation in the engine, and return its number there."""
    number = await engine.ask("open", classes=[*entry.classes], config=dict(entry.config), is_long=entry.is_long)
    return int(str(number))


async def judged(engine: Engine, entry: Entry, done: Turns) -> str:
    """Say what is wrong with what was done; nothing where it is right."""
    if len(done) < len(entry.turns):
        return f"it ended in turn {len(done)} of {len(entry.turns)}"
    right: list[Json] = [[[call.name, call.arguments] for call in calls] for calls in entry.right]
    found = await engine.ask(
        "judge", classes=[*entry.classes], config=dict(entry.config), is_long=entry.is_long, done=[*done], right=right
    )
    if not isinstance(found, dict) or not found:
        return ""
    return f"turn {int(str(found.get('turn'))) + 1}: {found.get('why')}"


def _pairs(turns: Turns) -> list[tuple[Json, Json]]:
    return [(call[0], call[1]) for calls in turns for call in calls if isinstance(call, list)]
