"""What records are made of: values that JSON can carry, checked when they are made, and never changed."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated, Self, TypeAlias

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, JsonValue, ValidationError


def _finite(value: JsonValue) -> JsonValue:
    """Refuse what JSON cannot carry: NaN and the infinities."""
    match value:
        case float() if not math.isfinite(value):
            raise ValueError("NaN and infinity cannot be stored as JSON")
        case list():
            for element in value:
                _finite(element)
        case dict():
            for element in value.values():
                _finite(element)
    return value


Json: TypeAlias = Annotated[JsonValue, AfterValidator(_finite)]
Score: TypeAlias = Annotated[float, Field(ge=0, le=1)]
Message: TypeAlias = dict[str, Json]
"""One chat message as providers take it: role, content, perhaps tool_calls. What was sent is what is kept."""
ChatMessage: TypeAlias = Mapping[str, object]
"""The same where a caller hands it in: any mapping will do."""


class Record(BaseModel):
    """A frozen value with named fields; unknown fields are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    def but(self, **changes: object) -> Self:
        """Return a copy with some fields changed, validated again."""
        return type(self).model_validate({**dict(self), **changes})


def why_invalid(error: ValidationError) -> str:
    """Return a validation error as one line: field, what is wrong, and the value."""
    lines = (f"{'.'.join(map(str, e['loc'])) or 'value'}: {e['msg']} (got {e['input']!r:.80})" for e in error.errors())
    return "; ".join(lines)


def as_messages(prompt: str | Mapping[str, Json] | list[Message] | tuple[Message, ...]) -> list[Message]:
    """Return what a caller gave as chat messages: a text is one user message."""
    if isinstance(prompt, str):
        return [{"role": "user", "content": prompt}]
    return [dict(prompt)] if isinstance(prompt, Mapping) else [dict(message) for message in prompt]
