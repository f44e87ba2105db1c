"""Replies that must be JSON of a given shape: asked for, checked, and repaired once."""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from agentevo.errors import SchemaMismatch
from agentevo.models.requests import Request
from agentevo.types import Message, Reply, why_invalid

if TYPE_CHECKING:
    from pydantic import BaseModel


def fitted(text: str, schema: type[BaseModel]) -> str:
    """Return the JSON in a text that fits the schema, without fences or prose; raise ValidationError if none does."""
    failure: ValidationError | None = None
    for candidate in _candidates(text):
        try:
            schema.model_validate_json(candidate)
        except ValidationError as error:
            failure = error if failure is None or _is_no_json(failure) else failure
        else:
            return candidate
    assert failure is not None  # the whole text is always a candidate
    raise failure


def _is_no_json(error: ValidationError) -> bool:
    return error.errors(include_url=False)[0]["type"] == "json_invalid"


def check(reply: Reply, schema: type[BaseModel]) -> Reply:
    """Return the reply with each text reduced to its JSON; raise SchemaMismatch if one does not fit."""
    if reply.tool_calls:
        return reply  # the model chose to act first; the answer comes in a later reply
    try:
        return reply.model_copy(update={"texts": tuple(fitted(text, schema) for text in reply.texts)})
    except ValidationError as error:
        raise SchemaMismatch(f"the reply does not fit {schema.__name__}: {why_invalid(error)}", reply) from error


async def ensure(reply: Reply, request: Request, ask: Callable[[Request], Awaitable[Reply]]) -> Reply:
    """Return the reply with all texts fitting the request's schema, asking once more for each that does not."""
    schema = request.schema
    if schema is None:
        return reply
    # What was handed over in pieces cannot be taken back, so it is not repaired behind the caller's back.
    if request.on_text is not None or reply.tool_calls or reply.finish == "content_filter":
        return check(reply, schema)
    for position, text in enumerate(reply.texts):
        try:
            fitted(text, schema)
        except ValidationError as error:
            repaired = await ask(_repair(request, text, error))
            texts = (*reply.texts[:position], repaired.text, *reply.texts[position + 1 :])
            reply = reply.model_copy(
                update={"texts": texts, "usage": reply.usage + repaired.usage, "finish": repaired.finish}
            )
    return check(reply, schema)


def _repair(request: Request, text: str, error: ValidationError) -> Request:
    complaint = f"That does not fit: {why_invalid(error)}. Answer again, with nothing but JSON that fits the schema."
    turn: list[Message] = [{"role": "assistant", "content": text}, {"role": "user", "content": complaint}]
    return replace(request, messages=(*request.messages, *turn), n=1)


def instructed(messages: Sequence[Message], schema: type[BaseModel]) -> list[Message]:
    """Return the messages with the schema in words, for providers that cannot enforce one.

    It goes into the system message, at the front, so that what changes between calls stays last.
    """
    text = f"Answer with nothing but JSON that fits this JSON schema:\n{json.dumps(schema.model_json_schema())}"
    first = messages[0]
    if first.get("role") == "system" and isinstance(first.get("content"), str):
        return [{**first, "content": f"{first['content']}\n\n{text}"}, *messages[1:]]
    return [{"role": "system", "content": text}, *messages]


@functools.lru_cache(maxsize=256)
def response_format(schema: type[BaseModel]) -> dict[str, Any]:
    """Return the schema as providers take it to enforce it."""
    plain = schema.model_json_schema()
    strict = _can_be_strict(plain)
    name = re.sub(r"\W", "_", schema.__name__)[:64]
    described = {"name": name, "schema": _closed(plain) if strict else plain, "strict": strict}
    return {"type": "json_schema", "json_schema": described}


def _can_be_strict(schema: Any) -> bool:
    """Strict mode knows no objects with free keys."""
    if isinstance(schema, list):
        return all(map(_can_be_strict, schema))
    if not isinstance(schema, dict):
        return True
    free = schema.get("type") == "object" and (not schema.get("properties") or schema.get("additionalProperties"))
    return not free and all(map(_can_be_strict, schema.values()))


def _closed(schema: Any) -> Any:
    """Return the schema as strict mode wants it: every field required, none added, no defaults."""
    if isinstance(schema, list):
        return [_closed(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    closed = {key: _closed(value) for key, value in schema.items() if key != "default"}
    if schema.get("type") == "object" and isinstance(schema.get("properties"), dict):
        # The names of the fields are no keywords: a field may well be called "default".
        closed["properties"] = {name: _closed(value) for name, value in schema["properties"].items()}
        closed |= {"additionalProperties": False, "required": list(schema["properties"])}
    return closed


_FENCED = re.compile(r"```[\w-]*\s*\n(.*?)```", re.DOTALL)
_OPENING = re.compile(r"[{\[]")
_MOST_OPENINGS = 200  # a megabyte of brackets must not take minutes


def _candidates(text: str) -> Iterator[str]:
    """Yield the text, what stands in its fences, and the JSON values that begin anywhere in it, outermost first."""
    yield text.strip()
    for fenced in _FENCED.findall(text):
        yield fenced.strip()
    decoder, position, failed = json.JSONDecoder(), 0, 0
    while failed < _MOST_OPENINGS and (opening := _OPENING.search(text, position)):
        try:
            _, end = decoder.raw_decode(text, opening.start())
        except (ValueError, RecursionError):
            position, failed = opening.end(), failed + 1
        else:
            yield text[opening.start() : end]
            position = end
