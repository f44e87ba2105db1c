"""What litellm raises, as our own errors: what kind of failure, in one line, and without keys."""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Iterator, Mapping

from agentevo.errors import (
    AgentEvoError,
    BadReply,
    ContextTooLong,
    MissingKey,
    Misuse,
    ModelTimeout,
    ModelUnavailable,
    RequestRejected,
    UnknownName,
)
from agentevo.models.retry import Transient, seconds_until
from agentevo.types import Reply

WELL_KNOWN = ("local", "openai", "anthropic", "gemini", "azure", "bedrock", "mistral", "groq", "openrouter", "ollama")
"""Providers that are named when an unknown one is asked for: litellm knows many more than fit a line."""


def translate(error: Exception, model: str, api_key: str | None = None) -> Exception:
    """Return our error for one that litellm raised: a Transient if the request is worth repeating."""
    ours = next((e for e in _chain(error) if isinstance(e, AgentEvoError)), None)
    if ours is not None:
        return ours
    text, status = shortened(error, api_key), getattr(error, "status_code", None)
    if "LLM Provider NOT provided" in text:
        return unknown_provider(model)
    if _wants_key(text, status) and api_key is None and (missing := _missing_keys(model)):
        return MissingKey(model, missing)
    if isinstance(error, ImportError):
        return Misuse(f"model {model!r} needs a package that is not installed: {text}")
    if not isinstance(status, int):
        return RequestRejected(f"the request to {model!r} failed: {type(error).__name__}: {text}")
    return _by_status(error, status, model, text)


def chained(error: Exception, cause: Exception, api_key: str | None) -> Exception:
    """Attach the cause, except where its own text would show a key, or where the error came out of it."""
    causes = list(_chain(cause))
    if error in causes:
        return error
    told = " ".join(map(str, causes))
    error.__cause__ = None if any(secret in told for secret in _secrets(api_key)) else cause
    error.__suppress_context__ = True
    return error


def _by_status(error: Exception, status: int, model: str, text: str) -> Exception:
    headers: Mapping[str, str] | None = getattr(error, "litellm_response_headers", None)
    if headers is None and status >= 500:
        return Transient(_without_answer(error, model, text))
    later = seconds_until((headers or {}).get("retry-after"))
    if status == 408:
        return Transient(ModelTimeout(f"model {model!r} timed out: {text}"), later)
    if (status in (409, 429) or status >= 500) and "insufficient_quota" not in text:
        return Transient(ModelUnavailable(f"model {model!r} is unavailable ({status}): {text}"), later)
    kind = ContextTooLong if type(error).__name__ == "ContextWindowExceededError" else RequestRejected
    return kind(f"model {model!r} refused the request ({status}): {text}")


def _without_answer(error: Exception, model: str, text: str) -> ModelUnavailable | BadReply:
    """Tell a server that could not be reached from one that answered with something that is no completion.

    litellm's own classes do not tell: it wraps a KeyError in a connection error. What lies below them does.
    """
    below = [e for e in _chain(error) if not type(e).__module__.startswith("litellm")]
    kinds = {kind.__name__ for e in below or [error] for kind in type(e).__mro__}
    if kinds & _UNREACHED or "connection error" in text.lower():
        return ModelUnavailable(f"model {model!r} cannot be reached: {text}")
    nothing = Reply(texts=(), finish="other", model=model)
    return BadReply(f"model {model!r} sent something that is no completion: {text}", nothing)


_UNREACHED = {"APIConnectionError", "TransportError", "ConnectionError", "ClientConnectionError"}


def _wants_key(text: str, status: object) -> bool:
    return status == 401 or "Missing credentials" in text or bool(re.search(r"api[_ ]?key", text, re.IGNORECASE))


def _missing_keys(model: str) -> list[str]:
    import litellm

    missing: list[str] = litellm.validate_environment(model)["missing_keys"]
    return missing


def unknown_provider(model: str) -> UnknownName:
    """Return the error for a name that no provider goes by; the nearest providers come first."""
    import litellm

    name, _, rest = model.partition("/")
    every = [str(getattr(provider, "value", provider)) for provider in litellm.provider_list]
    near = difflib.get_close_matches(name, every, n=4, cutoff=0.6)
    if not rest:
        from agentevo.models.catalogue import CATALOGUE

        offline = [f"local/{known.name}" for known in CATALOGUE.values() if known.kind == "model"]
        return UnknownName("model", model, [*offline, *(f"{provider}/..." for provider in WELL_KNOWN)])
    return UnknownName("model provider", name, {*near, *WELL_KNOWN})


def _chain(error: BaseException) -> Iterator[BaseException]:
    seen: BaseException | None = error
    while seen is not None:
        yield seen
        seen = seen.__cause__ or seen.__context__


def shortened(error: BaseException, api_key: str | None = None) -> str:
    """Return what an error says in one line: no class names in front, no keys, 300 characters at most."""
    told = str(error).partition("Traceback (most recent call last)")[0].partition(" Original exception:")[0]
    text = re.sub(r"(?:\b(?:litellm\.)?\w*(?:Error|Exception|Timeout)(?:: | - ))+", "", " ".join(told.split()))
    for secret in _secrets(api_key):
        text = text.replace(secret, "***")
    return text if len(text) <= 300 else text[:297] + "..."


def _secrets(api_key: str | None) -> list[str]:
    named = re.compile(r"(KEY|TOKEN|SECRET)(_\w+)?$")
    from_environment = [v for k, v in os.environ.items() if named.search(k) and len(v) >= 8]
    return sorted({*from_environment, *([api_key] if api_key else [])}, key=len, reverse=True)
