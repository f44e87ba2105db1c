"""How an agent acts in a text world: by calls of tools, or in plain words; and what an attempt did there."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from typing import Literal, TypeAlias

from agentevo.environments.code.files import NOT_RUN, calls_in
from agentevo.quote import clean
from agentevo.types import Attempt, Json, Message, Tool

Way: TypeAlias = Literal["tools", "words"]
MOST_CHARS = 300
"""In a command."""
ACT, VALID = "act", "valid_actions"


def _parameters(name: str, description: str, required: Sequence[str]) -> dict[str, object]:
    return {
        "type": "object", "required": [*required], "additionalProperties": False,
        "properties": {name: {"type": "string", "description": description}},
    }  # fmt: skip


TOOLS = (
    Tool.model_validate({
        "name": ACT, "description": "Do something in the world, and see what comes of it.",
        "parameters": _parameters("command", "What to do, as one line, such as `look around`.", ["command"]),
    }),
    Tool.model_validate({
        "name": VALID, "description": "List commands that are possible now; this changes nothing.",
        "parameters": _parameters("containing", "Only those that contain this text; all where it is left out.", []),
    }),
)  # fmt: skip


def command_in(text: str) -> str:
    """Return the first line of a text as a command."""
    return clean(text.strip().partition("\n")[0], MOST_CHARS).strip()


def acting(command: str, way: Way) -> Message:
    """Return a command as the message of an assistant."""
    if way == "words":
        return {"role": "assistant", "content": command}
    function: Json = {"name": ACT, "arguments": {"command": command}}
    return {
        "role": "assistant",
        "content": None,
        "tool_calls": [{"id": "act", "type": "function", "function": function}],
    }


def commands_of(attempt: Attempt, way: Way) -> list[str]:
    """Return the commands that an attempt gave and that reached the world."""
    messages = attempt.messages[attempt.prompt :]
    return [*(_called(messages) if way == "tools" else _said(messages))]


def _called(messages: Sequence[Message]) -> Iterator[str]:
    results = {str(m.get("tool_call_id")): m.get("content") for m in messages if m.get("role") == "tool"}
    for message in messages:
        for call in calls_in(message) if message.get("role") == "assistant" else ():
            command, result = call.arguments.get("command"), results.get(call.id, "")
            was_run = not call.problem and not (isinstance(result, str) and result.startswith(NOT_RUN))
            if call.name == ACT and isinstance(command, str) and was_run:
                yield command_in(command)


def _said(messages: Sequence[Message]) -> Iterator[str]:
    """Yield what was said and answered: what nobody answered came too late."""
    for message, following in itertools.pairwise(messages):
        said = message.get("content")
        if message.get("role") == "assistant" and following.get("role") == "user":
            yield command_in(said) if isinstance(said, str) else ""
