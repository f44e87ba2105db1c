"""A tool together with what runs it, and how what it brings is put into words."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from pydantic import BaseModel
from pydantic_core import to_json

from agentevo.types import Json, Tool


class BadCall(Exception):
    """A call that could not be run, or failed: what it says is what the agent sees."""


@dataclass(frozen=True, slots=True)
class Served:
    """A tool and what runs a call of it: it returns what is to be seen, or raises BadCall."""

    tool: Tool
    run: Callable[[Mapping[str, Json]], Awaitable[str]]
    source: str = ""
    """Who says what it brings; empty for this process, whose word is taken as it is."""


def as_text(value: object) -> str:
    """Return what a tool brought as text: a text as it is, nothing as nothing, all else as JSON."""
    match value:
        case str():
            return value
        case None:
            return ""
        case bytes():
            return value.decode(errors="replace")
        case BaseModel():
            return value.model_dump_json()
    return to_json(value, fallback=str, bytes_mode="base64", inf_nan_mode="strings").decode()
