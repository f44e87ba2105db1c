"""Items as lines of JSON, as `agentevo memory add --jsonl` takes them."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple, NoReturn

from agentevo.cli.memory.given import date_given, kind_given
from agentevo.errors import Misuse

if TYPE_CHECKING:
    from agentevo.types import Json

KEYS = ("text", "kind", "metadata", "created_at")


class Line(NamedTuple):
    """What becomes one item."""

    text: str
    kind: str
    metadata: dict[str, Json]
    created_at: float | None


def read_lines(content: str, name: str, kind: str) -> list[Line]:
    """Return the items of a text with one JSON object a line; raise Misuse, naming the line, where one is not."""
    lines = list(_lines(content, name, kind))
    if not lines:
        raise Misuse(f"{name} is empty; expected one JSON object a line")
    return lines


def _lines(content: str, name: str, kind: str) -> Iterator[Line]:
    for number, line in enumerate(content.split("\n"), 1):
        if line.strip():
            try:
                yield _line(line, kind)
            except (ValueError, RecursionError) as error:
                raise Misuse(f"{name}, line {number}: {error}; nothing was added") from error


def _line(line: str, kind: str) -> Line:
    from agentevo.memory.admit import unfit
    from agentevo.memory.arguments import is_text
    from agentevo.memory.dates import undated

    values = json.loads(line, parse_constant=_refuse, parse_float=_number)
    if not is_text(json.dumps(values, ensure_ascii=False)):
        raise ValueError("it holds half of a surrogate pair; a memory takes whole characters")
    if not isinstance(values, dict):
        raise ValueError(f"expected an object, not {values!r:.40}")
    unknown = sorted(set(values) - set(KEYS))
    if unknown:
        raise ValueError(f"unknown key {unknown[0]!r}; known: {', '.join(KEYS)}")
    text, metadata, created = values.get("text"), values.get("metadata") or {}, values.get("created_at")
    if not isinstance(text, str) or not text.strip():
        raise ValueError(f"text is {text!r:.40}; expected some text")
    if why := unfit(text):
        raise ValueError(f"text is {why}")
    if not isinstance(metadata, dict):
        raise ValueError(f"metadata is {metadata!r:.40}; expected an object")
    seconds = _seconds(created)
    if why := undated(seconds):
        raise ValueError(why)
    return Line(text, kind_given(values.get("kind") or kind), metadata, seconds)


def _seconds(created: object) -> float | None:
    if created is None:
        return None
    if isinstance(created, str):
        return date_given(created)
    if isinstance(created, bool) or not isinstance(created, (int, float)) or abs(created) > sys.float_info.max:
        raise ValueError(f"created_at is {created!r:.40}; expected a date or seconds")
    return float(created)


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not JSON")


def _number(digits: str) -> float:
    if math.isinf(number := float(digits)):
        raise ValueError(f"{digits} is beyond any number that is kept")
    return number
