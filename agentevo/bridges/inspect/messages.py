"""Chat messages, there and back: for its own conversion inspect wants a package newer than litellm takes."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from agentevo.errors import Misuse
from agentevo.types import Json, Message

if TYPE_CHECKING:
    from inspect_ai.model import ChatMessage
    from inspect_ai.tool import ToolCall


def as_ours(messages: Sequence[ChatMessage]) -> list[Message]:
    """Return inspect's messages as ours. Raise Misuse for one that holds more than text."""
    return [_ours(message) for message in messages]


def _ours(message: ChatMessage) -> Message:
    content = message.content
    if not isinstance(content, str) and any(part.type not in ("text", "reasoning") for part in content):
        raise Misuse("a sample holds pictures, sounds or files, and agents are asked texts alone; leave it out")
    ours: Message = {"role": message.role, "content": message.text}
    if message.role == "tool":
        ours["tool_call_id"] = message.tool_call_id
    elif message.role == "assistant" and message.tool_calls:
        ours["tool_calls"] = [
            {
                "id": call.id,
                "type": "function",
                "function": {"name": call.function, "arguments": json.dumps(call.arguments, ensure_ascii=False)},
            }
            for call in message.tool_calls
        ]
    return ours


def as_theirs(messages: Sequence[Mapping[str, Json]]) -> list[ChatMessage]:
    """Return our messages as inspect's."""
    names = {call.id: call.function for message in messages for call in _calls(message)}
    return [_theirs(message, names) for message in messages]


def _theirs(message: Mapping[str, Json], names: Mapping[str, str]) -> ChatMessage:
    from inspect_ai.model import ChatMessageAssistant, ChatMessageSystem, ChatMessageTool, ChatMessageUser

    content = _text(message.get("content"))
    match message.get("role"):
        case "system" | "developer":
            return ChatMessageSystem(content=content)
        case "assistant":
            return ChatMessageAssistant(content=content, tool_calls=[*_calls(message)] or None)
        case "tool":
            answered = str(message.get("tool_call_id", ""))
            return ChatMessageTool(content=content, tool_call_id=answered, function=names.get(answered))
    return ChatMessageUser(content=content)


def _calls(message: Mapping[str, Json]) -> Iterator[ToolCall]:
    from inspect_ai.tool import ToolCall

    listed = message.get("tool_calls")
    for call in listed if isinstance(listed, list) else ():
        function = call.get("function") if isinstance(call, dict) else None
        if isinstance(call, dict) and isinstance(function, dict):
            arguments: Any = json.loads(str(function.get("arguments") or "{}"))
            yield ToolCall(id=str(call.get("id")), function=str(function.get("name")), arguments=arguments)


def _text(content: Json) -> str:
    """Return what a message says; parts of it that are no text are left out, which `as_ours` has refused before."""
    if isinstance(content, list):
        return "\n".join(str(part.get("text", "")) for part in content if isinstance(part, dict))
    return "" if content is None else str(content)
