"""What a model is offered, what it says, and what that costs."""

from __future__ import annotations

from typing import Any, Literal, TypeAlias, TypeVar

from pydantic import BaseModel, Field

from agentevo.types.record import Json, Record

T = TypeVar("T", bound=BaseModel)


class Usage(Record):
    """What model calls cost; usages add up."""

    calls: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cost_usd: float = 0.0
    seconds: float = 0.0

    @property
    def tokens(self) -> int:
        return self.prompt_tokens + self.completion_tokens

    def __add__(self, other: Usage) -> Usage:
        return Usage.model_construct(
            calls=self.calls + other.calls,
            prompt_tokens=self.prompt_tokens + other.prompt_tokens,
            completion_tokens=self.completion_tokens + other.completion_tokens,
            cost_usd=self.cost_usd + other.cost_usd,
            seconds=self.seconds + other.seconds,
        )


class ToolCall(Record):
    """A call the model asks for; the arguments are already parsed."""

    id: str
    name: str
    arguments: dict[str, Json] = Field(default_factory=dict)


class TokenLogprob(Record):
    """One generated token, its log-probability, and the likeliest others."""

    token: str
    logprob: float
    top: dict[str, float] = Field(default_factory=dict)


class Tool(Record):
    """A tool as a model sees it; `parameters` is a JSON schema."""

    name: str
    description: str = ""
    parameters: dict[str, Json] = {"type": "object", "properties": {}}
    destructive: bool = False

    def as_openai(self) -> dict[str, Any]:
        """Return the tool in the shape that chat APIs take."""
        function = {"name": self.name, "description": self.description, "parameters": self.parameters}
        return {"type": "function", "function": function}


Finish: TypeAlias = Literal["stop", "length", "tool_calls", "content_filter", "other"]


class Reply(Record):
    """What a model answered: one text a sample; tool calls and log-probabilities belong to the first."""

    texts: tuple[str, ...] = ("",)
    tool_calls: tuple[ToolCall, ...] = ()
    usage: Usage = Usage()
    finish: Finish = "stop"
    model: str = ""
    logprobs: tuple[TokenLogprob, ...] | None = None

    @property
    def text(self) -> str:
        return self.texts[0] if self.texts else ""

    def parsed(self, schema: type[T]) -> T:
        """Return the first text as an instance of the schema that was asked for."""
        return schema.model_validate_json(self.text)
