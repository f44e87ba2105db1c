"""A tool together with what runs it, and how what it brings is put into words."""

from __future__ import annotations

import itertools
import json
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass

from pydantic_core import PydanticSerializationError, to_json, to_jsonable_python

from agentevo.types import Json, Tool

MOST_YIELDED = 10_000
"""So many elements are taken of what never ends."""


class BadCall(Exception):
    """A call that could not be run, or failed: what it says is what the agent sees."""


class Refused(BadCall):
    """A call that was not made; what it says are our words, not the tool's."""


@dataclass(frozen=True, slots=True)
class Served:
    """A tool and what runs a call of it: it returns what is to be seen, or raises BadCall."""

    tool: Tool
    run: Callable[[Mapping[str, Json]], Awaitable[str]]
    source: str = ""
    """Who says what it brings; empty for a tool whose word is taken as it is."""
    check: Callable[[Mapping[str, Json]], object] | None = None
    """Raises BadCall for arguments that do not fit, before anybody is asked whether it may be called with them."""


def as_text(value: object) -> str:
    """Return what a tool brought as text: a text as it is, nothing as nothing, all else as JSON."""
    if isinstance(value, Iterator):
        value = list(itertools.islice(value, MOST_YIELDED))
    match value:
        case str():
            return value
        case None:
            return ""
        case bytes():
            return value.decode(errors="replace")
    try:
        return to_json(value, fallback=str, bytes_mode="base64", inf_nan_mode="strings").decode()
    except PydanticSerializationError:  # halves of surrogate pairs, which no UTF-8 can hold, or what has no end
        plain = to_jsonable_python(value, fallback=str, bytes_mode="base64", inf_nan_mode="strings")
        return json.dumps(plain, ensure_ascii=False, separators=(",", ":"))
