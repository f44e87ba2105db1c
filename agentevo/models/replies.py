"""From what litellm returns, whole or in pieces, to a Reply."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, get_args

from agentevo.errors import BadReply
from agentevo.models.retry import Transient
from agentevo.types import Finish, Json, Reply, TokenLogprob, ToolCall, Usage

RawCall = tuple[str, str, str]
"""The id, name and arguments of a tool call, as the model wrote them."""


def as_reply(response: Any, model: str) -> Reply:
    """Read a whole completion; raise Transient if it has no choices, BadReply if its tool calls cannot be read."""
    usage = read_usage(getattr(response, "usage", None), _cost(response))
    if not response.choices:
        nothing = Reply(texts=(), usage=usage, finish="other", model=model)
        raise Transient(BadReply(f"model {model!r} answered without any choice", nothing))
    first = response.choices[0]
    calls = [
        (call.id or "", call.function.name or "", call.function.arguments or "")
        for call in first.message.tool_calls or ()
    ]
    reply = Reply.model_construct(
        texts=tuple(whole_text(choice.message.content or "") for choice in response.choices),
        tool_calls=(),
        usage=usage,
        finish=_finish(first.finish_reason),
        model=model,
        logprobs=_logprobs(getattr(first, "logprobs", None)),
    )
    return with_calls(reply, calls)


@dataclass
class Pieces:
    """A reply that is still arriving; `on_text` gets its text as it comes."""

    model: str
    on_text: Callable[[str], None]
    texts: list[str] = field(default_factory=list)
    calls: dict[int, RawCall] = field(default_factory=dict)
    logprobs: list[TokenLogprob] = field(default_factory=list)
    finish: str | None = None
    usage: Usage = field(default_factory=lambda: Usage(calls=1))
    callback_error: Exception | None = None

    def add(self, chunk: Any) -> None:
        if getattr(chunk, "usage", None) is not None:
            self.usage = read_usage(chunk.usage, 0.0)
        for choice in chunk.choices:
            if choice.index == 0:
                self._add_choice(choice)

    def _add_choice(self, choice: Any) -> None:
        self.finish = choice.finish_reason or self.finish
        self.logprobs.extend(_logprobs(getattr(choice, "logprobs", None)) or ())
        for call in choice.delta.tool_calls or ():
            before = self.calls.get(call.index, ("", "", ""))
            more = (call.id or "", call.function.name or "", call.function.arguments or "")
            self.calls[call.index] = (before[0] or more[0], before[1] or more[1], before[2] + more[2])
        if choice.delta.content:
            piece = whole_text(choice.delta.content)
            self.texts.append(piece)
            self._hand_over(piece)

    def _hand_over(self, piece: str) -> None:
        try:
            self.on_text(piece)
        except Exception as error:  # kept apart: the caller's own error is no failure of the model
            self.callback_error = error
            raise

    def so_far(self) -> Reply:
        """Return what has arrived, whatever became of the rest."""
        return Reply.model_construct(
            texts=("".join(self.texts),),
            tool_calls=(),
            usage=self.usage,
            finish=_finish(self.finish) if self.finish else "other",
            model=self.model,
            logprobs=tuple(self.logprobs) or None,
        )

    def whole(self) -> Reply:
        return with_calls(self.so_far(), [self.calls[index] for index in sorted(self.calls)])


def with_calls(reply: Reply, calls: Sequence[RawCall]) -> Reply:
    """Return the reply with its tool calls read; raise BadReply, keeping what was written, if one cannot be."""
    if not calls:
        if reply.finish == "content_filter" and not any(reply.texts):
            raise BadReply(f"model {reply.model!r} withheld its answer (content filter)", reply)
        return reply
    try:
        read = tuple(_call(i, *call) for i, call in enumerate(calls))
    except (ValueError, RecursionError) as error:
        written = json.dumps([{"name": name, "arguments": arguments} for _, name, arguments in calls])
        kept = reply.model_copy(update={"texts": ("\n".join(filter(None, [reply.text, written])),)})
        raise BadReply(f"model {reply.model!r} wrote a tool call that cannot be read: {error}", kept) from error
    return reply.model_copy(update={"tool_calls": read})


def _call(position: int, id: str, name: str, arguments: str) -> ToolCall:
    if not name:
        raise ValueError("it has no name")
    parsed = json.loads(arguments or "{}", parse_constant=_no_constant)
    if not isinstance(parsed, dict):
        raise ValueError(f"the arguments of {name!r} are no JSON object: {arguments!r:.200}")
    known_as = whole_text(id or f"call_{position}")
    return ToolCall(id=known_as, name=whole_text(name), arguments=_mended(parsed))


def _mended(arguments: dict[str, Json]) -> dict[str, Json]:
    """Return tool arguments without halves of surrogate pairs, which JSON can escape but no file can hold."""
    written = json.dumps(arguments, ensure_ascii=False)
    whole = whole_text(written)
    mended: dict[str, Json] = arguments if whole is written else json.loads(whole)
    return mended


def whole(reply: Reply) -> Reply:
    """Return a reply, of whatever model, without halves of surrogate pairs in its texts and calls."""
    texts = tuple(map(whole_text, reply.texts))
    calls = tuple(
        ToolCall(id=whole_text(c.id), name=whole_text(c.name), arguments=_mended(c.arguments)) for c in reply.tool_calls
    )
    if (texts, calls) == (reply.texts, reply.tool_calls):
        return reply
    return reply.model_copy(update={"texts": texts, "tool_calls": calls})


def whole_text(text: str) -> str:
    """Return the text with U+FFFD for each half of a surrogate pair: no record that holds one can be written."""
    if text.isascii():
        return text
    try:
        text.encode()
    except UnicodeEncodeError:
        return _HALVES.sub("\ufffd", text)
    return text


_HALVES = re.compile("[\ud800-\udfff]")


def _no_constant(constant: str) -> Json:
    raise ValueError(f"{constant} is no JSON")


def read_usage(usage: Any, cost_usd: float) -> Usage:
    """Read what a provider says it used; numbers that make no sense count as nothing, never as a credit."""
    return Usage.model_construct(
        calls=1,
        prompt_tokens=_count(getattr(usage, "prompt_tokens", None)),
        completion_tokens=_count(getattr(usage, "completion_tokens", None)),
        cost_usd=cost_usd,
        seconds=0.0,
    )


def _count(tokens: object) -> int:
    if not isinstance(tokens, int | float | str):
        return 0
    try:
        return max(int(float(tokens)), 0)
    except (ValueError, OverflowError):
        return 0


def _cost(response: Any) -> float:
    """Return the cost that litellm worked out on its way; 0 for a model whose price it does not know."""
    hidden = getattr(response, "_hidden_params", None)
    cost = hidden.get("response_cost") if isinstance(hidden, Mapping) else None
    return max(cost, 0.0) if isinstance(cost, float) and math.isfinite(cost) else 0.0


def _finish(reason: str | None) -> Finish:
    if reason in _FINISHES:
        return reason
    return _ALSO.get(reason or "", "other")


_FINISHES: tuple[Finish, ...] = get_args(Finish)
_ALSO: dict[str, Finish] = {"function_call": "tool_calls", "eos": "stop", "max_tokens": "length"}


def _logprobs(logprobs: Any) -> tuple[TokenLogprob, ...] | None:
    content = getattr(logprobs, "content", None)
    if not content:
        return None
    return tuple(
        TokenLogprob(
            token=whole_text(token.token),
            logprob=token.logprob,
            top={whole_text(other.token): other.logprob for other in token.top_logprobs or ()},
        )
        for token in content
    )
