"""Tool calls for models whose chat template knows no tools: the call is written as JSON, and read back."""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from agentevo.errors import Misuse
from agentevo.types import Json, Message

OpenAITool: TypeAlias = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Calling:
    """The tools of one request, and whether one of them must be called."""

    functions: tuple[Mapping[str, Any], ...]
    required: bool

    @classmethod
    def of(cls, tools: Sequence[OpenAITool], choice: object) -> Calling | None:
        """Read what a chat request says of tools; None if it has none to call."""
        functions = tuple(tool["function"] for tool in tools)
        if not functions or choice == "none":
            return None
        if isinstance(choice, Mapping):
            name = choice.get("function", {}).get("name")
            functions = tuple(f for f in functions if f["name"] == name)
            if not functions:
                raise Misuse(f"tool_choice names {name!r}, which is not among the tools")
        return cls(functions, required=choice == "required" or isinstance(choice, Mapping))

    def response_format(self) -> Json:
        """Return the constraint that makes any reply a call."""
        return {"type": "json_schema", "json_schema": {"name": "call", "schema": {"anyOf": self._schemas()}}}

    def _schemas(self) -> list[Json]:
        return [
            {
                "type": "object",
                "properties": {"name": {"const": f["name"]}, "arguments": f.get("parameters") or {"type": "object"}},
                "required": ["name", "arguments"],
                "additionalProperties": False,
            }
            for f in self.functions
        ]

    def instructed(self, messages: Sequence[Message]) -> list[Message]:
        """Return the messages with the tools listed in the system message."""
        listed = "\n".join(json.dumps(_brief(function), ensure_ascii=False) for function in self.functions)
        how = 'To use a tool, answer with nothing but {"name": NAME, "arguments": {...}}. Tools:\n' + listed
        if messages and messages[0].get("role") == "system":
            return [{**messages[0], "content": f"{messages[0].get('content') or ''}\n\n{how}"}, *messages[1:]]
        return [{"role": "system", "content": how}, *messages]

    def read(self, text: str) -> Json:
        """Return the reply as a tool call of the chat API, or None if it is none."""
        try:
            call = json.loads(text)
        except ValueError:
            return None
        names = {function["name"] for function in self.functions}
        if not isinstance(call, dict) or call.get("name") not in names or not isinstance(call.get("arguments"), dict):
            return None
        function: Json = {"name": call["name"], "arguments": json.dumps(call["arguments"], ensure_ascii=False)}
        return {"id": f"call_{secrets.token_hex(8)}", "type": "function", "function": function}


def plain(messages: Sequence[Message]) -> list[Message]:
    """Return the messages with calls and their results as text, in roles that every template has."""
    return [_plain(message) for message in messages]


def _plain(message: Message) -> Message:
    if message.get("role") == "tool":
        return {"role": "user", "content": f"Result of the tool: {message.get('content') or ''}"}
    calls = message.get("tool_calls")
    if not isinstance(calls, list) or not calls:
        return {"role": message.get("role"), "content": message.get("content") or ""}
    written = [_written(call) for call in calls]
    return {"role": "assistant", "content": "\n".join(filter(None, [str(message.get("content") or ""), *written]))}


def _written(call: Json) -> str:
    function = call.get("function") if isinstance(call, dict) else None
    if not isinstance(function, dict):
        raise Misuse(f"a tool call in the messages has no function: {call!r:.200}")
    given = function.get("arguments") or "{}"
    arguments = given if isinstance(given, str) else json.dumps(given, ensure_ascii=False)
    return f'{{"name": {json.dumps(function.get("name"))}, "arguments": {arguments}}}'


def _brief(function: Mapping[str, Any]) -> dict[str, Json]:
    parameters = (function.get("parameters") or {}).get("properties") or {}
    return {"name": function["name"], "description": function.get("description", ""), "arguments": parameters}
