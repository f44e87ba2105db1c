"""Tool calls in a model's reply, as its API gives them or written as text; and the messages that answer them.

A trajectory keeps both alike, as calls with results; a model that writes its calls is shown them as it wrote them.
What cannot be run (no such tool, no JSON, arguments that are no object) is never an error here: it is answered with
what was expected.
"""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import NoReturn

from agentevo.errors import BadReply
from agentevo.models.written_calls import Calling
from agentevo.quote import clean, fenced
from agentevo.types import Json, Message, Reply, Tool, ToolCall

AFTERWARDS = "The result comes with the next message. When you are done, answer in words."
WRITTEN = "written_"
"""What the ids of calls begin with that stand in the text of their message."""
_TRIES = 200  # so many braces that begin no JSON are tried: each may cost a look at the whole reply
_NAMED = re.compile(r"""["']name["']\s*:""")
_GIVEN = re.compile(r"""["'](?:arguments|parameters)["']\s*:""")


@dataclass(frozen=True, slots=True)
class Asked:
    """A call that a model asks for, and why it cannot be run; empty where it can."""

    call: ToolCall
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Spoken:
    """What a reply amounts to: the message to keep, the calls in it, or why a call in it cannot even be told."""

    message: Message
    calls: tuple[Asked, ...] = ()
    problem: str = ""

    @property
    def text(self) -> str:
        content = self.message.get("content")
        return content.strip() if isinstance(content, str) else ""


# --- reading


def native(reply: Reply, tools: Sequence[Tool]) -> Spoken:
    """Read a reply whose calls came as calls."""
    if not reply.tool_calls:
        return Spoken({"role": "assistant", "content": reply.text})
    calls = _distinct(reply.tool_calls)
    message: Message = {**as_action(*calls), "content": reply.text or None}
    known = {tool.name for tool in tools}
    asked = tuple(Asked(call, "" if call.name in known else _unknown(call.name, tools)) for call in calls)
    return Spoken(message, asked)


def written(reply: Reply, tools: Sequence[Tool], place: int = 0) -> Spoken:
    """Read a reply whose calls are written in its text: JSON objects, fenced or not, with words around them or not.

    `place` is the number of the reply's message in its attempt: no two calls of an attempt have one id.
    """
    message: Message = {"role": "assistant", "content": reply.text}
    found = enumerate(_asked(tools, reply.text))
    calls = tuple(replace(asked, call=asked.call.but(id=f"{WRITTEN}{place}_{n}")) for n, asked in found)
    if calls:
        return Spoken({**as_action(*(asked.call for asked in calls)), "content": reply.text}, calls)
    return Spoken(message, problem=f"that call is no JSON. {_expected(tools)}" if _is_intended(reply.text) else "")


def either(reply: Reply, tools: Sequence[Tool], place: int = 0) -> Spoken:
    """Read calls that came as calls, or else text that is a call of a known tool; all other text is an answer."""
    if reply.tool_calls:
        return native(reply, tools)
    spoken = written(reply, tools, place)
    is_call = spoken.calls and not any(asked.problem for asked in spoken.calls)
    return spoken if is_call else Spoken({"role": "assistant", "content": reply.text})


def unreadable(error: BadReply, tools: Sequence[Tool]) -> Spoken | None:
    """Read a reply whose calls even the model's provider could not; None where that is not what went wrong."""
    reply = error.reply
    if not tools or reply is None or not reply.text.strip() or reply.finish in ("content_filter", "other"):
        return None
    return Spoken({"role": "assistant", "content": reply.text}, problem=f"{error}. {_expected(tools)}")


def _distinct(calls: Sequence[ToolCall]) -> list[ToolCall]:
    """Return the calls with an id each that no other one has: their results are told apart by it."""
    seen: set[str] = set()
    found = []
    for place, call in enumerate(calls):
        distinct = call if call.id and call.id not in seen else call.but(id=f"{call.id or 'call'}_{place}")
        seen.add(distinct.id)
        found.append(distinct)
    return found


def _asked(tools: Sequence[Tool], text: str) -> Iterator[Asked]:
    for value in _objects(text):
        given = value.get("arguments", value.get("parameters", ...))
        if given is ... or "name" not in value:
            continue
        name = clean(str(value["name"]), 200)
        try:
            yield _checked(name, given, tools)
        except (ValueError, RecursionError):
            yield Asked(ToolCall(id="", name=name), f"the arguments of {name!r} are no JSON object. {_expected(tools)}")


def _checked(name: str, given: Json, tools: Sequence[Tool]) -> Asked:
    """Return a call; raise ValueError where its arguments are no object. An object in a string is one too."""
    if name not in {tool.name for tool in tools}:
        return Asked(ToolCall(id="", name=name), _unknown(name, tools))
    parsed = _DECODER.decode(given) if isinstance(given, str) else {} if given is None else given
    if not isinstance(parsed, dict):
        raise ValueError("no object")
    json.dumps(parsed, ensure_ascii=False).encode()  # refuses halves of surrogate pairs, which no file can hold
    return Asked(ToolCall(id="", name=name, arguments=parsed))


def _objects(text: str) -> Iterator[dict[str, Json]]:
    """Yield the JSON objects that stand in a text, without those inside others."""
    place, failed = text.find("{"), 0
    while place >= 0 and failed < _TRIES:
        try:
            value, end = _DECODER.raw_decode(text, place)
            yield value
        except (ValueError, RecursionError):
            failed, end = failed + 1, place + 1
        place = text.find("{", end)


def _refused(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is no JSON")


_DECODER = json.JSONDecoder(parse_constant=_refused)


def _is_intended(text: str) -> bool:
    """Say whether a text without a readable call was meant to be one."""
    named = _NAMED.search(text)
    return named is not None and _GIVEN.search(text, named.end()) is not None


# --- telling


def described(tools: Sequence[Tool]) -> str:
    """Return how a model that knows no calls is told of tools."""
    calling = Calling.of([tool.as_openai() for tool in tools], "auto")
    return f"{calling.instructed([])[0]['content']}\n\n{AFTERWARDS}" if calling is not None else ""


def as_action(*calls: ToolCall) -> Message:
    """Return calls as the message of an assistant, which is also how an episode is handed one."""
    listed: list[Json] = [
        {
            "id": call.id,
            "type": "function",
            "function": {"name": call.name, "arguments": json.dumps(call.arguments, ensure_ascii=False)},
        }
        for call in calls
    ]
    return {"role": "assistant", "content": None, "tool_calls": listed}


def as_result(asked: Asked, text: str) -> Message:
    """Return the message that answers a call."""
    return {"role": "tool", "tool_call_id": asked.call.id, "content": text}


def as_sent(messages: Sequence[Message]) -> list[Message]:
    """Return messages as a model that writes its calls is shown them: the calls where it wrote them, and nowhere else.

    The results of one reply come as data in one message of the user's, so that turns alternate.
    """
    names = {call: name for message in messages for call, name in written_in(message)}
    sent: list[Message] = []
    for is_result, group in itertools.groupby(messages, lambda message: str(message.get("tool_call_id", "")) in names):
        if is_result:
            told = [fenced(str(m["content"]), f"result of {names[str(m['tool_call_id'])]}") for m in group]
            sent.append({"role": "user", "content": "\n".join(told)})
        else:
            sent += [{"role": "assistant", "content": m["content"]} if written_in(m) else m for m in group]
    return sent


def written_in(message: Message) -> list[tuple[str, str]]:
    """Return the ids and names of the calls of a message that stand in its text too."""
    listed = message.get("tool_calls")
    each = [call for call in listed if isinstance(call, dict)] if isinstance(listed, list) else []
    functions = [(str(call.get("id")), call.get("function")) for call in each]
    return [(call, str(f.get("name"))) for call, f in functions if call.startswith(WRITTEN) and isinstance(f, dict)]


def _unknown(name: str, tools: Sequence[Tool]) -> str:
    return f"there is no tool {name!r:.80}; there are: {', '.join(tool.name for tool in tools)}"


def _expected(tools: Sequence[Tool]) -> str:
    names = ", ".join(tool.name for tool in tools)
    return f'Expected {{"name": NAME, "arguments": {{...}}}} in JSON, where NAME is one of: {names}'
