"""The real model: any provider that litellm knows, and the offline models behind `local/`."""

from __future__ import annotations

import asyncio
import copy
import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Unpack

from agentevo.errors import BadReply, Misuse, ModelError, ModelTimeout
from agentevo.models import schema, usage
from agentevo.models.failures import chained, translate, unknown_provider
from agentevo.models.installed import LOCAL
from agentevo.models.replies import Pieces, as_reply
from agentevo.models.requests import Options, Request, check_allowed, request_of
from agentevo.models.retry import Retry, Transient, timed_out
from agentevo.models.runtime import acompletion, litellm_when_needed, places
from agentevo.types import ChatMessage, Json, Reply, Usage

_CLOCK_TICK_S = 0.001  # a timer of the event loop may go off so much before its time
_log = logging.getLogger(__name__)


class LiteLLMModel:
    """A model by its litellm name, `openai/gpt-4o` say, or `local/NAME` for one that runs in this process.

    `timeout_s` is for the whole of a `complete`, retries and repairs included; it starts when one of the `concurrency`
    places that all instances of a name share in an event loop is free. `extra` goes to litellm with every request.
    """

    def __init__(
        self,
        name: str,
        *,
        api_base: str | None = None,
        api_key: str | None = None,
        timeout_s: float = 120.0,
        concurrency: int = 64,
        retry: Retry | None = None,
        extra: Mapping[str, Json] | None = None,
    ) -> None:
        if not name.strip():
            raise Misuse("a model needs a name such as 'local/smollm2-135m' or 'openai/gpt-4o'; got an empty one")
        if not timeout_s > 0 or concurrency < 1:
            raise Misuse(f"timeout_s and concurrency must be positive; got {timeout_s!r} and {concurrency!r}")
        self._name, self._api_base, self._api_key = name, api_base, api_key
        self._timeout_s, self._concurrency, self._retry = timeout_s, concurrency, retry or Retry()
        self._extra = dict(extra or {})
        self._traits: _Traits | None = None

    @property
    def name(self) -> str:
        return self._name

    @property
    def identity(self) -> dict[str, Json]:
        """What tells this model from others of its name, for caches and recordings."""
        endpoint: dict[str, Json] = {"api_base": self._api_base} if self._api_base else {}
        return endpoint | ({"extra": self._extra} if self._extra else {})

    @property
    def count_tokens(self) -> Callable[[str], int] | None:
        """What counts the tokens of a text, for a `local/` model: it loads the model, and then takes milliseconds.

        None for any other model: its tokenizer is not here.
        """
        if not self._name.startswith(LOCAL):
            return None
        from agentevo.models.offline import count_tokens

        return partial(count_tokens, self._name.removeprefix(LOCAL))

    def adapted(self, adapter: str) -> LiteLLMModel:
        """Return a `local/` model with one of its adapters, in place of the one it may have, or with none."""
        base = self._name.partition("+")[0]
        if not base.startswith(LOCAL):
            raise Misuse(f"{self._name!r} takes no adapter {adapter!r}: only the offline models of this machine do")
        changed = copy.copy(self)
        changed._name, changed._traits = f"{base}+{adapter}" if adapter else base, None
        return changed

    def __repr__(self) -> str:
        return f"LiteLLMModel({self._name!r})"

    async def check_name(self) -> None:
        """Raise UnknownName where no provider goes by this name; an offline model was looked up by it already."""
        if self._traits is None and not self._name.startswith(LOCAL):
            self._traits = await self._learn()

    async def complete(self, messages: Sequence[ChatMessage], **options: Unpack[Options]) -> Reply:
        """Answer the messages; see `agentevo.protocols.Model` for the options and what is raised."""
        request = request_of(messages, options)
        if not self._name.startswith(LOCAL):
            check_allowed(self._name)
        if self._traits is None:
            self._traits = await self._learn()
        place = await self._place()
        try:
            return await self._in_time(request)
        finally:
            place.release()

    async def _place(self) -> asyncio.Semaphore:
        """Wait for a free place, no longer than the open meters have time left, and take it."""
        place, timed = places(self._name, self._api_base, self._concurrency), usage.tightest()
        if timed is None:
            await place.acquire()
            return place
        try:
            async with asyncio.timeout(max(timed[0], 0.0)):
                await place.acquire()
        except TimeoutError as error:
            raise usage.out_of_time(timed[1]) from error
        return place

    async def _in_time(self, request: Request) -> Reply:
        allowed, timed = self._timeout_s, usage.tightest()
        if timed is not None and timed[0] < allowed:
            allowed = timed[0]
        deadline = self._retry.clock() + allowed
        try:
            return await self._fitting(request, deadline)
        except (ModelTimeout, BadReply) as error:
            # A stream that was cut is a BadReply, for the sake of what came of it.
            cut = isinstance(error, ModelTimeout) or (
                isinstance(error.__cause__, TimeoutError) and self._retry.clock() > deadline - _CLOCK_TICK_S
            )
            if cut and timed is not None and allowed < self._timeout_s:
                raise usage.out_of_time(timed[1]) from error
            raise

    async def _fitting(self, request: Request, deadline: float) -> Reply:
        async def ask(request: Request) -> Reply:
            return await self._samples(request, deadline)

        return await schema.ensure(await ask(request), request, ask)

    async def _samples(self, request: Request, deadline: float) -> Reply:
        """Ask until there are n samples: some providers give one however many are asked for."""
        reply = await self._ask(request, deadline)
        while (missing := request.n - len(reply.texts)) > 0:
            # The same seed would give the same text again.
            seed = None if request.seed is None else request.seed + len(reply.texts)
            more = await self._ask(replace(request, n=missing, seed=seed, on_text=None), deadline)
            reply = reply.model_copy(update={"texts": reply.texts + more.texts, "usage": reply.usage + more.usage})
        return reply.model_copy(update={"texts": reply.texts[: request.n]}) if len(reply.texts) > request.n else reply

    async def _ask(self, request: Request, deadline: float) -> Reply:
        """Make one request, retried as often as it takes, and charge it, with what discarded attempts used."""
        usage.reserve()
        started, used = self._retry.clock(), list[Usage]()
        reply: Reply | None = None
        failure: ModelError | None = None
        try:
            reply = await self._retry.call(lambda limit_s: self._counted(request, limit_s, used), deadline)
        except ModelError as error:
            reply, failure = error.reply, error
        finally:
            spent = _total(used, self._retry.clock() - started)
            usage.charge(spent)
        reply = reply.model_copy(update={"usage": spent}) if reply is not None else None
        if failure is not None:
            failure.reply = reply
            raise failure
        assert reply is not None
        return reply

    async def _counted(self, request: Request, limit_s: float, used: list[Usage]) -> Reply:
        reply: Reply | None = None
        try:
            reply = await self._attempt(request, limit_s)
        except Transient as failure:
            reply = failure.error.reply
            raise
        except ModelError as error:
            reply = error.reply
            raise
        finally:
            if reply is not None:
                used.append(reply.usage)
        return reply

    async def _attempt(self, request: Request, limit_s: float) -> Reply:
        pieces = Pieces(self._name, request.on_text) if request.on_text is not None else None
        try:
            async with asyncio.timeout(limit_s):
                if pieces is None:
                    return await self._whole(request)
                return await self._streamed(request, pieces)
        except Exception as error:
            if pieces is not None and error is pieces.callback_error:
                raise
            failure = self._failure(error, limit_s)
        if pieces is not None and pieces.texts and not isinstance(failure, BadReply):
            cut = f"the stream of model {self._name!r} broke off: {failure}"
            raise BadReply(cut, pieces.so_far()) from failure.__cause__
        raise failure

    def _failure(self, error: Exception, limit_s: float) -> Exception:
        if isinstance(error, TimeoutError):
            late = timed_out(self._name, limit_s)
            late.__cause__ = error
            return late
        if isinstance(error, BadReply | Transient):
            return error
        return chained(translate(error, self._name, self._api_key), error, self._api_key)

    async def _whole(self, request: Request) -> Reply:
        return as_reply(await acompletion(**self._arguments(request)), self._name)

    async def _streamed(self, request: Request, pieces: Pieces) -> Reply:
        streaming = {"stream": True, "stream_options": {"include_usage": True}, "n": None}
        stream = await acompletion(**self._arguments(request) | streaming)
        try:
            async for chunk in stream:
                pieces.add(chunk)
            # litellm makes up a finish reason where the provider sent none: a cut stream would pass for a whole one.
            if getattr(stream, "received_finish_reason", "stop") is None:
                pieces.finish = None
                raise Transient(BadReply(f"model {self._name!r} stopped in the middle of its reply", pieces.so_far()))
        finally:
            await stream.aclose()
        pieces.usage = pieces.usage.model_copy(update={"cost_usd": self._price(pieces.usage)})
        return pieces.whole()

    def _arguments(self, request: Request) -> dict[str, Any]:
        assert self._traits is not None  # learnt at the first call
        messages = [dict(message) for message in request.messages]
        arguments: dict[str, Any] = {
            "num_retries": 0,
            "max_retries": 0,
            # The same for every call: litellm keeps one connection pool a timeout.
            "timeout": self._timeout_s,
            "_skip_mcp_handler": True,  # else tools need the package mcp
            **self._extra,
            "model": self._name,
        }
        if request.schema is not None:
            if self._traits.enforces_schema:
                arguments["response_format"] = schema.response_format(request.schema)
            else:
                messages = schema.instructed(messages, request.schema)
        arguments["messages"] = messages
        arguments.update((name, value) for name, value in self._given(request).items() if value is not None)
        return arguments

    def _given(self, request: Request) -> dict[str, Any]:
        """Return what was asked for; of what the provider does not know, only what does no harm is left out."""
        assert self._traits is not None
        knows = self._traits.knows
        return {
            "api_base": self._api_base,
            "api_key": self._api_key,
            "temperature": request.temperature,
            "max_tokens": request.max_tokens,
            "stop": list(request.stop) or None,
            "n": request.n if request.n > 1 and knows("n") else None,
            "seed": request.seed if knows("seed") else None,
            "logprobs": True if request.logprobs is not None and knows("logprobs") else None,
            "top_logprobs": request.logprobs if request.logprobs and knows("top_logprobs") else None,
            "tools": [tool.as_openai() for tool in request.tools] or None,
            "tool_choice": request.tool_choice if request.tools and request.tool_choice != "auto" else None,
        }

    async def _learn(self) -> _Traits:
        """Find out, once, what the provider can do; raise UnknownName if there is no such provider."""
        litellm = await litellm_when_needed()
        if self._name.startswith(LOCAL):
            from agentevo.models.offline import load
            from agentevo.models.provider import register

            await asyncio.to_thread(register)
            # Pulling and loading the weights is no part of any call, and so not of its time budget.
            stopped = threading.Event()
            try:
                await asyncio.to_thread(load, self._name.removeprefix(LOCAL), stopped)
            finally:
                stopped.set()  # a pull that nobody waits for any more would keep the process from ending
            return _Traits(enforces_schema=True)
        provider = self._extra.get("custom_llm_provider")
        try:
            litellm.get_llm_provider(self._name, custom_llm_provider=provider, api_base=self._api_base)
        except litellm.BadRequestError as error:
            raise unknown_provider(self._name) from error
        known = litellm.get_supported_openai_params(self._name, custom_llm_provider=provider)
        return _Traits(
            enforces_schema=litellm.supports_response_schema(self._name, custom_llm_provider=provider),
            known=None if known is None else frozenset(known),
        )

    def _price(self, used: Usage) -> float:
        """Return what a streamed reply cost; 0 where litellm knows no price."""
        import litellm

        if self._traits is None or not self._traits.has_price or self._name.startswith(LOCAL):
            return 0.0
        try:
            parts = litellm.cost_per_token(
                self._name, prompt_tokens=used.prompt_tokens, completion_tokens=used.completion_tokens
            )
            return float(sum(parts))
        except Exception as error:  # noqa: BLE001 - whatever goes wrong in its price list must not cost us the reply
            _log.debug("no price for %s: %s", self._name, error)
            self._traits = replace(self._traits, has_price=False)
            return 0.0


def _total(used: list[Usage], seconds: float) -> Usage:
    """Add up the attempts at one request, which is one call however many they were."""
    return sum(used[1:], used[0] if used else Usage()).model_copy(update={"calls": 1, "seconds": seconds})


@dataclass(frozen=True, slots=True)
class _Traits:
    """What a provider can do; `known` None means that litellm cannot tell, and all is passed on."""

    enforces_schema: bool
    known: frozenset[str] | None = field(default=None)
    has_price: bool = True

    def knows(self, parameter: str) -> bool:
        return self.known is None or parameter in self.known
