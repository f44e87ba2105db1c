"""What litellm calls for `local/NAME`: requests and replies in its own records and exceptions.

Importing this module imports litellm; `agentevo.models.provider.register` does so when it is time.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Callable, Coroutine, Generator, Iterator, Mapping, Sequence
from contextlib import aclosing, closing, contextmanager
from dataclasses import dataclass, field
from typing import Any

import litellm
from litellm.types.utils import (
    ChatCompletionTokenLogprob,
    ChoiceLogprobs,
    Choices,
    Delta,
    Message,
    ModelResponse,
    ModelResponseStream,
    StreamingChoices,
    Usage,
)

from agentevo.errors import AgentEvoError, ContextTooLong, Misuse, RequestRejected, UnknownName
from agentevo.models import offline
from agentevo.models.engine import Piece
from agentevo.models.written_calls import Calling, plain
from agentevo.types import Json
from agentevo.types import Message as ChatMessage

_PASSED_ON = (
    "temperature", "top_p", "max_tokens", "stop", "seed", "presence_penalty", "frequency_penalty", "logit_bias",
    "response_format", "logprobs", "top_logprobs", "top_k", "min_p", "repeat_penalty",
)  # fmt: skip
_SPELT_OTHERWISE = {"max_completion_tokens": "max_tokens"}
_HANDLED = (
    "n",
    "tools",
    "tool_choice",
    "stream",
    "stream_options",
    "parallel_tool_calls",
    "user",
    "extra_body",
    "max_retries",
)


class LocalLLM(litellm.CustomLLM):  # type: ignore[misc]  # litellm's types are not followed
    """Runs offline models for litellm, whole or streamed, waiting or awaited."""

    def completion(
        self, model: str, messages: list[ChatMessage], model_response: Any, optional_params: dict[str, Any], **_: object
    ) -> Any:
        with _told_as_litellm(model):
            asked = _Asked.of(messages, optional_params)
            samples = [_Sample.of(offline.pieces_now(model, asked.body(i))) for i in range(asked.n)]
            return _filled(model_response, model, asked, samples)

    def acompletion(
        self, model: str, messages: list[ChatMessage], model_response: Any, optional_params: dict[str, Any], **_: object
    ) -> Any:
        return _Later(lambda: self._completed(model, messages, model_response, optional_params))

    async def _completed(
        self, model: str, messages: list[ChatMessage], model_response: Any, optional_params: dict[str, Any]
    ) -> Any:
        with _told_as_litellm(model):
            asked = _Asked.of(messages, optional_params)
            return _filled(model_response, model, asked, await _samples(model, asked))

    def streaming(
        self, model: str, messages: list[ChatMessage], optional_params: dict[str, Any], **_: object
    ) -> Iterator[Any]:
        with _told_as_litellm(model):
            asked = _Asked.of(messages, optional_params, streamed=True)
            sample = _Sample()
            with closing(offline.pieces_now(model, asked.body(0))) as pieces:
                for piece in pieces:
                    sample.add(piece)
                    yield from asked.chunks(piece, sample)

    async def astreaming(
        self, model: str, messages: list[ChatMessage], optional_params: dict[str, Any], **_: object
    ) -> AsyncIterator[Any]:
        with _told_as_litellm(model):
            asked = _Asked.of(messages, optional_params, streamed=True)
            sample = _Sample()
            async with aclosing(offline.pieces(model, asked.body(0))) as pieces:
                async for piece in pieces:
                    sample.add(piece)
                    for chunk in asked.chunks(piece, sample):
                        yield chunk


class _Later(Coroutine[Any, Any, Any]):
    """A coroutine made when it is first run: litellm drops it, unawaited, where the call is cancelled early."""

    def __init__(self, make: Callable[[], Coroutine[Any, Any, Any]]) -> None:
        self._make = make
        self._made: Coroutine[Any, Any, Any] | None = None

    def send(self, value: Any) -> Any:
        self._made = self._made or self._make()
        return self._made.send(value)

    def throw(self, *raised: Any) -> Any:
        self._made = self._made or self._make()
        return self._made.throw(*raised)

    def close(self) -> None:
        if self._made is not None:
            self._made.close()

    def __await__(self) -> Generator[Any, Any, Any]:
        return self._make().__await__()


@dataclass
class _Sample:
    """One reply, as far as it has arrived."""

    texts: list[str] = field(default_factory=list)
    logprobs: list[Json] = field(default_factory=list)
    end: Piece = field(default_factory=Piece)
    finish: str = "stop"

    @classmethod
    def of(cls, pieces: Iterator[Piece]) -> _Sample:
        sample = cls()
        for piece in pieces:
            sample.add(piece)
        return sample

    def add(self, piece: Piece) -> None:
        self.texts.append(piece.text)
        self.logprobs.extend(piece.logprobs)
        self.finish = piece.finish or self.finish
        if piece.prompt_tokens:
            self.end = piece

    @property
    def text(self) -> str:
        return "".join(self.texts)


@dataclass(frozen=True)
class _Asked:
    """One request of litellm's, read."""

    n: int
    options: Mapping[str, Json]
    messages: Sequence[ChatMessage]
    calling: Calling | None

    @classmethod
    def of(cls, messages: Sequence[ChatMessage], given: Mapping[str, Any], streamed: bool = False) -> _Asked:
        given = {_SPELT_OTHERWISE.get(name, name): value for name, value in given.items() if value is not None}
        given = {**given, **(given.get("extra_body") or {})}
        unknown = sorted(set(given) - {*_PASSED_ON, *_HANDLED})
        if unknown:
            raise Misuse(f"offline models know no option {unknown[0]!r}; known: {', '.join(sorted(_PASSED_ON))}")
        n = given.get("n", 1)
        if not isinstance(n, int) or n < 1 or (streamed and n > 1):
            raise Misuse(f"n must be a whole number of at least 1, and 1 where the reply is streamed; got {n!r}")
        _check_lengths(given)
        calling = Calling.of(given.get("tools") or (), given.get("tool_choice"))
        options = {name: given[name] for name in _PASSED_ON if name in given}
        if calling is not None and calling.required:
            options["response_format"] = calling.response_format()
        if "response_format" in options:
            options["response_format"] = _without_patterns(options["response_format"])
        read = plain(messages)
        return cls(n, options, calling.instructed(read) if calling else read, calling)

    def body(self, i: int) -> dict[str, Json]:
        """Return the request for the i-th sample: each has a seed of its own, so that they differ, and repeatably."""
        body: dict[str, Json] = {**self.options, "messages": list(self.messages)}
        if body.get("logprobs"):
            body["top_logprobs"] = max(1, self.alternatives)  # with none asked for, the runtime gives twenty
        seed = self.options.get("seed")
        if isinstance(seed, int):
            body["seed"] = seed + i
        return body

    def message(self, sample: _Sample) -> tuple[str | None, Json, str]:
        """Return the content, the tool call if it is one, and why it ended."""
        call = self.calling.read(sample.text) if self.calling is not None else None
        return (sample.text, None, sample.finish) if call is None else (None, call, "tool_calls")

    def chunks(self, piece: Piece, sample: _Sample) -> Iterator[Any]:
        """Return what a streamed reply says next. Where it may become a tool call, all comes at its end."""
        if self.calling is None and (piece.text or piece.logprobs):
            yield _chunk(Delta(content=piece.text), logprobs=self.asked_for(piece.logprobs))
        if not piece.prompt_tokens:
            return
        text, call, finish = self.message(sample)
        if self.calling is not None:
            calls = [{**call, "index": 0}] if isinstance(call, dict) else None
            yield _chunk(Delta(content=text, tool_calls=calls), logprobs=self.asked_for(sample.logprobs))
        yield _chunk(Delta(), usage=_usage([sample]))  # litellm reads nothing after the finish
        yield _chunk(Delta(), finish=finish)

    def asked_for(self, logprobs: Sequence[Json]) -> Any:
        """Return log-probabilities in litellm's record, with as many alternatives as were asked for."""
        if not logprobs:
            return None
        tokens = [ChatCompletionTokenLogprob.model_validate(token) for token in logprobs]
        for token in tokens:
            token.top_logprobs = token.top_logprobs[: self.alternatives]
        return ChoiceLogprobs(content=tokens)

    @property
    def alternatives(self) -> int:
        asked = self.options.get("top_logprobs")
        return asked if isinstance(asked, int) else 0


def _check_lengths(given: Mapping[str, Any]) -> None:
    """Refuse what the runtime takes for something else: for it -1 tokens are no limit, and an empty stop is at once."""
    longest, stop = given.get("max_tokens", 1), given.get("stop") or ()
    if isinstance(longest, int) and longest < 1:
        raise Misuse(f"max_tokens must be 1 or more, or None for as many as fit; got {longest!r}")
    if "" in ([stop] if isinstance(stop, str) else stop):
        raise Misuse(f"stop strings must not be empty: every reply would end before it began; got {stop!r}")


_PLAIN = re.compile(r"\^((\[[A-Za-z0-9_-]+\]|[A-Za-z0-9 _-])[+*]?)+\$")


def _without_patterns(schema: Any) -> Any:
    """Leave out regular expressions that the runtime may not know: it would say so on stderr."""
    if isinstance(schema, list):
        return [_without_patterns(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    kept = {}
    for key, value in schema.items():
        if key == "pattern" and isinstance(value, str) and not _PLAIN.fullmatch(value):
            continue
        kept[key] = value if key in ("const", "enum", "default") else _without_patterns(value)
    return kept


async def _samples(model: str, asked: _Asked) -> list[_Sample]:
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(_sample(model, asked, i)) for i in range(asked.n)]
    except BaseExceptionGroup as failures:
        raise failures.exceptions[0] from None
    return [task.result() for task in tasks]


async def _sample(model: str, asked: _Asked, i: int) -> _Sample:
    sample = _Sample()
    async with aclosing(offline.pieces(model, asked.body(i))) as pieces:
        async for piece in pieces:
            sample.add(piece)
    return sample


def _filled(response: Any, model: str, asked: _Asked, samples: Sequence[_Sample]) -> Any:
    """Return litellm's record of a whole reply, filled in."""
    choices = []
    for i, sample in enumerate(samples):
        text, call, finish = asked.message(sample)
        message = Message(role="assistant", content=text, tool_calls=None if call is None else [call])
        choices.append(
            Choices(index=i, message=message, finish_reason=finish, logprobs=asked.asked_for(sample.logprobs))
        )
    response = response or ModelResponse()
    response.choices, response.model, response.usage = choices, model, _usage(samples)
    return response


def _usage(samples: Sequence[_Sample]) -> Any:
    prompt = sum(sample.end.prompt_tokens for sample in samples)
    completed = sum(sample.end.completion_tokens for sample in samples)
    return Usage(
        prompt_tokens=prompt,
        completion_tokens=completed,
        total_tokens=prompt + completed,
        prompt_tokens_details={"cached_tokens": sum(sample.end.cached_tokens for sample in samples)},
    )


def _chunk(delta: Any, finish: str | None = None, logprobs: Any = None, usage: Any = None) -> Any:
    chunk = ModelResponseStream(
        choices=[StreamingChoices(index=0, delta=delta, finish_reason=finish, logprobs=logprobs)]
    )
    if usage is not None:
        chunk.usage = usage
    return chunk


@contextmanager
def _told_as_litellm(model: str) -> Iterator[None]:
    """Raise litellm's exceptions, which its users catch, with ours as the cause."""
    try:
        yield
    except AgentEvoError as error:
        raise _as_litellm(error, model) from error


def _as_litellm(error: AgentEvoError, model: str) -> Exception:
    kinds = {
        ContextTooLong: litellm.ContextWindowExceededError,
        UnknownName: litellm.NotFoundError,
        RequestRejected: litellm.BadRequestError,
        Misuse: litellm.BadRequestError,
    }
    # litellm's types are not followed: its errors count as Any.
    for ours, theirs in kinds.items():
        if isinstance(error, ours):
            return theirs(message=str(error), model=model, llm_provider="local")  # type: ignore[no-any-return]
    return litellm.APIError(status_code=500, message=str(error), model=model, llm_provider="local")  # type: ignore[no-any-return]
