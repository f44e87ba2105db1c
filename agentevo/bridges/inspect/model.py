"""inspect's model as ours: what an agent says to it is logged, limited and counted by inspect, and by us."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Unpack

from agentevo.bridges.inspect.messages import as_theirs
from agentevo.errors import AgentEvoError, BadReply, MissingExtra, ModelError
from agentevo.models import schema, usage
from agentevo.models.requests import Options, Request, request_of
from agentevo.types import ChatMessage, Finish, Json, Reply, TokenLogprob, Tool, ToolCall, Usage

if TYPE_CHECKING:
    from inspect_ai.model import ChatCompletionChoice, Model, ModelOutput
    from inspect_ai.tool import ToolInfo

_CHOICES = {"auto": "auto", "none": "none", "required": "any"}
_FINISHES: Mapping[str, Finish] = {
    "stop": "stop", "max_tokens": "length", "model_length": "length", "tool_calls": "tool_calls",
    "content_filter": "content_filter",
}  # fmt: skip
_DEEPEST = 8
"""So far is a schema that refers to itself written out."""


class InspectModel:
    """The model of the inspect task that is being run, or another one: its name, or a model from `get_model()`.

    Sampling and its limits are inspect's: a limit that is reached ends the sample. A reply's reasoning is not handed
    back to the model. Samples (n > 1) are asked for one by one, as few of inspect's providers give several.
    """

    def __init__(self, model: str | Model | None = None, *, role: str | None = None) -> None:
        self._model, self._role = model, role

    @property
    def name(self) -> str:
        given = self._model if isinstance(self._model, str) or self._model is None else str(self._model)
        return f"inspect/{given or self._role or 'active'}"

    async def complete(self, messages: Sequence[ChatMessage], **options: Unpack[Options]) -> Reply:
        """Ask inspect's model; see `agentevo.protocols.Model` for the options and what is raised."""
        request = request_of(messages, options)
        reply = await schema.ensure(await self._samples(request), request, self._samples)
        return request.hand_over(reply)

    async def _samples(self, request: Request) -> Reply:
        replies = [await self._one(_seeded(request, place)) for place in range(request.n)]
        texts = tuple(text for reply in replies for text in reply.texts)
        return replies[0].model_copy(update={"texts": texts, "usage": sum((r.usage for r in replies), Usage())})

    async def _one(self, request: Request) -> Reply:
        try:
            from inspect_ai.model import GenerateConfig, get_model
            from inspect_ai.util import LimitExceededError
        except ModuleNotFoundError as error:
            raise MissingExtra("inspect's models", "inspect") from error
        asked = [*request.messages]
        if request.schema is not None:
            asked = schema.instructed(asked, request.schema)
        config = GenerateConfig(
            temperature=request.temperature, max_tokens=request.max_tokens, stop_seqs=[*request.stop] or None,
            seed=request.seed, logprobs=True if request.logprobs else None, top_logprobs=request.logprobs or None,
        )  # fmt: skip
        model = get_model(self._model, role=self._role)
        usage.reserve()
        try:
            output = await model.generate(
                as_theirs(asked), tools=[_info(tool) for tool in request.tools],
                tool_choice=_CHOICES[request.tool_choice] if request.tools else None, config=config,
            )  # fmt: skip
        except (LimitExceededError, AgentEvoError):
            raise
        except Exception as error:  # whatever a provider raises
            raise ModelError(f"{self.name} failed: {type(error).__name__}: {error!s:.500}") from error
        reply = _reply(output)
        usage.charge(reply.usage)
        return _readable(reply, output)


def _seeded(request: Request, place: int) -> Request:
    """Return the request for one of several samples: alike but for their dice."""
    seed = None if request.seed is None else request.seed + place
    return replace(request, n=1, seed=seed)


def _info(tool: Tool) -> ToolInfo:
    from inspect_ai.tool import ToolInfo, ToolParams

    plain = _written_out(tool.parameters, tool.parameters.get("$defs", {}))
    return ToolInfo(name=tool.name, description=tool.description, parameters=ToolParams.model_validate(plain))


def _written_out(part: Json, named: Json, depth: int = 0) -> Any:
    """Return a schema without references, which inspect's form of schema cannot hold; nor can it hold a constant."""
    if isinstance(part, list):
        return [_written_out(one, named, depth) for one in part]
    if not isinstance(part, dict):
        return part
    referred = part.get("$ref")
    if isinstance(referred, str):
        found = named.get(referred.rpartition("/")[2]) if isinstance(named, dict) and depth < _DEEPEST else None
        rest = {key: value for key, value in part.items() if key != "$ref"}
        return {**(_written_out(found, named, depth + 1) or {"type": "object"}), **rest}
    if "const" in part:
        part = {**part, "enum": [part["const"]]}
    return {key: _written_out(value, named, depth) for key, value in part.items() if key not in ("$defs", "const")}


def _reply(output: ModelOutput) -> Reply:
    if output.empty:
        raise BadReply(f"the model gave no answer: {output.error or 'it does not say why'}", Reply())
    choice = output.choices[0]
    calls = tuple(ToolCall(id=c.id, name=c.function, arguments=c.arguments) for c in choice.message.tool_calls or ())
    return Reply(
        texts=(choice.message.text,), tool_calls=calls, usage=_usage(output), model=output.model,
        finish=_FINISHES.get(choice.stop_reason, "other"), logprobs=tuple(_logprobs(choice)) or None,
    )  # fmt: skip


def _usage(output: ModelOutput) -> Usage:
    spent = output.usage
    if spent is None:
        return Usage(calls=1, seconds=output.time or 0.0)
    read = spent.input_tokens + (spent.input_tokens_cache_read or 0) + (spent.input_tokens_cache_write or 0)
    return Usage(
        calls=1, prompt_tokens=read, completion_tokens=spent.output_tokens, cost_usd=spent.total_cost or 0.0,
        seconds=output.time or 0.0,
    )  # fmt: skip


def _logprobs(choice: ChatCompletionChoice) -> Iterator[TokenLogprob]:
    for one in choice.logprobs.content if choice.logprobs else ():
        top = {other.token: other.logprob for other in one.top_logprobs or ()}
        yield TokenLogprob(token=one.token, logprob=one.logprob, top=top)


def _readable(reply: Reply, output: ModelOutput) -> Reply:
    """Return a reply; raise BadReply where inspect could not read a call in it."""
    for call in output.choices[0].message.tool_calls or ():
        if call.parse_error:
            raise BadReply(f"the arguments of {call.function!r:.80} could not be read: {call.parse_error}", reply)
    return reply
