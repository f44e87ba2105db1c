"""A model request as data, the key it is known by, and the switch that forbids real requests."""

from __future__ import annotations

import hashlib
import json
import math
import os
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, TypedDict, cast

from agentevo.errors import Misuse, RequestsForbidden
from agentevo.protocols import Adaptable, Model, ToolChoice
from agentevo.types import ChatMessage, Json, Message, Reply, Tool

if TYPE_CHECKING:
    from pydantic import BaseModel

FORMAT = 1
"""Part of every key: raise it when a request or reply is written differently, and old recordings are left alone."""


class Options(TypedDict, total=False):
    """The keyword arguments of `Model.complete`."""

    tools: Sequence[Tool]
    tool_choice: ToolChoice
    schema: type[BaseModel] | None
    n: int
    temperature: float | None
    max_tokens: int | None
    stop: Sequence[str]
    seed: int | None
    logprobs: int | None
    on_text: Callable[[str], None] | None


def request_of(messages: Sequence[ChatMessage], options: Options) -> Request:
    """Return what `Model.complete` was called with as one value."""
    return Request(cast("tuple[Message, ...]", tuple(messages)), **options)


@dataclass(frozen=True, slots=True)
class Request:
    """Everything `Model.complete` was asked for."""

    messages: tuple[Message, ...]
    tools: Sequence[Tool] = ()
    tool_choice: ToolChoice = "auto"
    schema: type[BaseModel] | None = None
    n: int = 1
    temperature: float | None = None
    max_tokens: int | None = None
    stop: Sequence[str] = ()
    seed: int | None = None
    logprobs: int | None = None
    on_text: Callable[[str], None] | None = None

    def __post_init__(self) -> None:
        messages = self.messages
        if not messages or not all(isinstance(m, Mapping) for m in messages):
            raise Misuse(f"messages must be a list of chat messages like {_EXAMPLE}; got {messages!r:.80}")
        if type(self.n) is not int or self.n < 1:
            raise Misuse(f"n is the number of samples, an int of 1 or more; got {self.n!r}")
        if self.on_text is not None and not callable(self.on_text):
            raise Misuse(f"on_text is a function that takes a piece of text; got {self.on_text!r:.80}")
        # A single stop string is a sequence of its letters: nobody means that.
        object.__setattr__(self, "stop", (self.stop,) if isinstance(self.stop, str) else tuple(self.stop))
        object.__setattr__(self, "messages", tuple(messages))
        try:
            for message in messages:
                _check_json(dict(message))
            _check_json(self.stop)
            _check_json(self.temperature)
        except (ValueError, RecursionError) as error:
            raise Misuse(f"a request must be plain JSON to be sent, cached or recorded: {error}") from error

    def as_json(self) -> dict[str, Json]:
        """Return what decides the reply; how it is delivered (`on_text`) does not."""
        asked: dict[str, Json] = {"messages": [dict(m) for m in self.messages]}
        for name in ("temperature", "max_tokens", "seed", "logprobs"):
            if getattr(self, name) is not None:
                asked[name] = getattr(self, name)
        if self.n != 1:
            asked["n"] = self.n
        if self.stop:
            asked["stop"] = list(self.stop)
        if self.tools:
            asked["tools"] = [tool.model_dump() for tool in self.tools]
            asked["tool_choice"] = self.tool_choice
        if self.schema is not None:
            asked["schema"] = self.schema.model_json_schema()
        return asked

    def hand_over(self, reply: Reply) -> Reply:
        """Give a reply that is there already to who wanted it in pieces."""
        if self.on_text is not None and reply.text:
            self.on_text(reply.text)
        return reply


def _check_json(value: object) -> None:
    """Raise ValueError for what no provider can be sent; texts cost no time, unless they are not ASCII."""
    if isinstance(value, str):
        if not value.isascii():
            value.encode()  # refuses halves of surrogate pairs
    elif isinstance(value, dict):
        for key, element in value.items():
            if not isinstance(key, str):
                raise ValueError(f"the key {key!r:.80} is no text")
            _check_json(key)
            _check_json(element)
    elif isinstance(value, list | tuple):
        for element in value:
            _check_json(element)
    elif value is not None and not (isinstance(value, int) or (isinstance(value, float) and math.isfinite(value))):
        raise ValueError(f"{value!r:.80} is no text, finite number, list or dict")


_EXAMPLE = '[{"role": "user", "content": "Hello"}]'


def described(model: Model | None, request: Request) -> dict[str, Json]:
    """Return the request with the model that is asked; models of one name may differ in their `identity`."""
    asked = request.as_json()
    if model is not None:
        asked["model"] = model.name
        if identity := getattr(model, "identity", None):
            asked["identity"] = identity
    return asked


def with_adapter(model: object, adapter: str) -> Model:
    """Return a model with an adapter; raise Misuse where it takes none."""
    if not isinstance(model, Adaptable):
        raise Misuse(f"{getattr(model, 'name', 'no model')!r} takes no adapter {adapter!r}; an offline model does")
    return model.adapted(adapter)


async def check_name(model: object) -> None:
    """Raise UnknownName now where a model that is not asked yet could not be; what cannot say so passes."""
    check = getattr(model, "check_name", None)
    if check is not None:
        await check()


def key_of(asked: Mapping[str, Json]) -> str:
    """Return the SHA-256 of a request's canonical JSON; raise Misuse if it is not JSON."""
    try:
        canonical = json.dumps([FORMAT, asked], sort_keys=True, separators=(",", ":"), allow_nan=False)
        return hashlib.sha256(canonical.encode()).hexdigest()
    except (TypeError, ValueError) as error:
        raise Misuse(f"a request must be plain JSON to be cached or recorded: {error}") from error


# --- the switch


class _Switch:
    """A setting that holds from now on, or, as a context manager, until the block ends. Global: threads obey too."""

    def __init__(self, forbidden: bool) -> None:
        self.forbidden = forbidden
        with _lock:
            _settings.append(self)

    def __enter__(self) -> None:
        pass

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with _lock:  # each takes its own setting back, so blocks that overlap in several tasks do no harm
            _settings.remove(self)


_lock = threading.Lock()
_settings: list[_Switch] = []


def forbid_requests() -> _Switch:
    """Forbid real model requests in this process: from now on, or for the length of a `with` block.

    Offline models, fakes, recordings and cached replies still answer. AGENTEVO_FORBID_REQUESTS=1 does the same.
    """
    return _Switch(True)


def allow_requests() -> _Switch:
    """Allow real model requests again: from now on, or for the length of a `with` block."""
    return _Switch(False)


def check_allowed(model: str) -> None:
    """Raise RequestsForbidden if real requests are switched off; the latest setting wins over the environment."""
    with _lock:
        forbidden = _settings[-1].forbidden if _settings else _by_environment()
    if forbidden:
        raise RequestsForbidden(
            f"a request to {model!r}, but real model requests are forbidden here; "
            "use ScriptedModel, FunctionModel or a `local/` model, or call allow_requests()"
        )


def _by_environment() -> bool:
    return os.environ.get("AGENTEVO_FORBID_REQUESTS", "").lower() not in ("", "0", "false", "no")
