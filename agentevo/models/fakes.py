"""Models without a model: replies written beforehand, or made by a function. For tests, examples and dry runs."""

from __future__ import annotations

import asyncio
import inspect
import re
import threading
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from typing import TypeAlias, Unpack

from pydantic import BaseModel

from agentevo.errors import Misuse, ModelError
from agentevo.models import schema, usage
from agentevo.models.requests import Options, Request, request_of
from agentevo.types import ChatMessage, Reply, ToolCall, Usage

Scripted: TypeAlias = str | Reply | ToolCall | BaseModel | Exception | Sequence[str] | Sequence[ToolCall]
"""A reply as a fake takes it: a text, several texts (samples), tool calls, a record (as JSON), an error to raise."""


class ScriptedModel:
    """Answers with the replies it was given, in order; `requests` keeps what it was asked.

    With n > 1 a list of texts gives all samples at once, single texts are taken one a sample. When the script is used
    up it raises ModelError. It may be asked from several tasks and threads; each reply is given once.
    """

    def __init__(self, replies: Iterable[Scripted], name: str = "scripted") -> None:
        if isinstance(replies, str):
            raise Misuse(f"replies is a list of replies; write [{replies!r:.40}]")
        self._name = name
        self._script: Iterator[Scripted] = iter(replies)
        self._lock = threading.Lock()
        self.requests: list[Request] = []

    @property
    def name(self) -> str:
        return self._name

    async def complete(self, messages: Sequence[ChatMessage], **options: Unpack[Options]) -> Reply:
        """Give the next reply; see `agentevo.protocols.Model` for the options."""
        request = request_of(messages, options)

        async def following() -> Scripted:
            with self._lock:
                for scripted in self._script:
                    return scripted
                calls = len(self.requests)
            raise ModelError(f"the script of {self._name!r} is used up: this is call {calls}; give it more replies")

        with self._lock:
            self.requests.append(request)
        return await _play(self._name, request, following)


class FunctionModel:
    """Answers with what a function returns, plain or async.

    The function gets the messages and, by name, those options of `complete` that it names (`tools`, `n`, `seed`, ...).
    """

    def __init__(self, function: Callable[..., Scripted | Awaitable[Scripted]], name: str = "function") -> None:
        self._name, self._function = name, function
        self._wants = _options_named(function)

    @property
    def name(self) -> str:
        return self._name

    async def complete(self, messages: Sequence[ChatMessage], **options: Unpack[Options]) -> Reply:
        """Give what the function returns; see `agentevo.protocols.Model` for the options."""
        request = request_of(messages, options)
        wanted = {name: getattr(request, name) for name in self._wants}

        async def following() -> Scripted:
            result = self._function([dict(message) for message in request.messages], **wanted)
            return await result if inspect.isawaitable(result) else result

        return await _play(self._name, request, following)


def _options_named(function: Callable[..., object]) -> tuple[str, ...]:
    parameters = list(inspect.signature(function).parameters.values())
    options = tuple(Options.__annotations__)
    if any(p.kind is p.VAR_KEYWORD for p in parameters):
        return options
    unknown = [p.name for p in parameters[1:] if p.default is p.empty and p.name not in options]
    if not parameters or unknown:
        known = ", ".join(options)
        raise Misuse(f"a model function takes the messages, then any of: {known}; got {unknown or 'no parameter'}")
    return tuple(p.name for p in parameters[1:] if p.name in options)


async def _play(name: str, request: Request, following: Callable[[], Awaitable[Scripted]]) -> Reply:
    """Make a reply of what comes next, as a real model would give it: cut, counted, checked and charged."""
    usage.reserve()
    await asyncio.sleep(0)  # a real call lets others run
    reply = _as_reply(await following(), name)
    while len(reply.texts) < request.n:
        more = _as_reply(await following(), name)
        reply = reply.model_copy(update={"texts": reply.texts + more.texts})
    reply = _cut(reply, request)
    if not reply.usage.calls:
        reply = reply.model_copy(update={"usage": _estimate(request, reply)})
    usage.charge(reply.usage)
    if request.on_text is not None:
        for piece in re.findall(r"\S+\s*|\s+", reply.text):
            request.on_text(piece)
    return reply if request.schema is None else schema.check(reply, request.schema)


def _as_reply(scripted: Scripted, name: str) -> Reply:
    match scripted:
        case Exception():
            raise scripted
        case Reply() if scripted.texts:
            return scripted if scripted.model else scripted.but(model=name)
        case str():
            return Reply(texts=(scripted,), model=name)
        case ToolCall():
            return Reply(tool_calls=(scripted,), finish="tool_calls", model=name)
        case BaseModel() if not isinstance(scripted, Reply):
            return Reply(texts=(scripted.model_dump_json(),), model=name)
        case list() | tuple() if scripted and all(isinstance(part, ToolCall) for part in scripted):
            calls = tuple(part for part in scripted if isinstance(part, ToolCall))
            return Reply(tool_calls=calls, finish="tool_calls", model=name)
        case list() | tuple() if scripted and all(isinstance(part, str) for part in scripted):
            return Reply(texts=tuple(part for part in scripted if isinstance(part, str)), model=name)
    raise Misuse(f"{name!r} cannot reply with {scripted!r:.80}; give a text, texts, a Reply, tool calls or an error")


def _cut(reply: Reply, request: Request) -> Reply:
    texts = tuple(_before_stop(text, request.stop) for text in reply.texts[: request.n])
    return reply if texts == reply.texts else reply.model_copy(update={"texts": texts})


def _before_stop(text: str, stop: Sequence[str]) -> str:
    ends = [text.index(mark) for mark in stop if mark and mark in text]
    return text[: min(ends)] if ends else text


def _estimate(request: Request, reply: Reply) -> Usage:
    """Count words where a real model counts tokens."""
    asked = sum(len(str(message.get("content") or "").split()) for message in request.messages)
    answered = sum(len(text.split()) for text in reply.texts) + sum(
        1 + len(str(call.arguments).split()) for call in reply.tool_calls
    )
    return Usage(calls=1, prompt_tokens=asked, completion_tokens=answered)
