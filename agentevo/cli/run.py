"""`agentevo run`: one prompt, one reply."""

from __future__ import annotations

import asyncio
import contextlib
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Unpack

import typer

from agentevo.cli.output import show_json, streamed, tell
from agentevo.errors import Misuse

if TYPE_CHECKING:
    from agentevo.models import Budget
    from agentevo.models.requests import Options
    from agentevo.protocols import Model
    from agentevo.types import ChatMessage, Message, Reply


def run(
    context: typer.Context,
    prompt: Annotated[str, typer.Argument(help="What to ask; - reads it from stdin.")],
    model: Annotated[str | None, typer.Option("--model", "-m", help="local/NAME or any litellm model name.")] = None,
    system: Annotated[str | None, typer.Option(help="What the model is told before the prompt.")] = None,
    max_tokens: Annotated[int | None, typer.Option(min=1, help="Longest reply, in tokens.")] = None,
    temperature: Annotated[float | None, typer.Option(min=0, help="0 always takes the likeliest token.")] = None,
    seed: Annotated[int | None, typer.Option(help="Makes sampling repeatable where the model can.")] = None,
    max_cost: Annotated[float | None, typer.Option(min=0, help="Spend at most this many dollars.")] = None,
    timeout: Annotated[float | None, typer.Option(min=0.001, help="Give up after this many seconds.")] = None,
    memory: Annotated[
        Path | None, typer.Option(help="Have an agent answer that recalls from the memory in this folder.")
    ] = None,
    namespace: Annotated[
        str | None, typer.Option(help="Which of that memory's namespaces; by default `default`.")
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the whole reply as JSON, when it is complete.")
    ] = False,
    verbose: Annotated[
        bool, typer.Option("--verbose", "-v", help="Say on stderr what the reply cost, and what it recalled.")
    ] = False,
) -> None:
    """Ask a model one thing; the reply is streamed."""
    from agentevo.cli.memory.opening import opened
    from agentevo.cli.models import pull_progress
    from agentevo.cli.recalling import Recalling
    from agentevo.models import Budget, as_model
    from agentevo.models.requests import Options
    from agentevo.settings import settings

    question = read_prompt(prompt)
    preset = settings()
    budget = Budget(max_cost_usd=preset.max_cost_usd if max_cost is None else max_cost, max_seconds=timeout)
    answering, messages = as_model(model or preset.model, timeout_s=timeout), _messages(question, system)
    if memory is None and namespace is not None:
        raise Misuse(f"--namespace {namespace!r} says which part of a memory; say which memory with --memory FOLDER")
    if memory is not None:
        recalling = Recalling(temperature, max_tokens, seed or 0, as_json, verbose)
        with opened(context, memory, namespace) as kept, pull_progress():
            recalling.answer(answering, kept, messages, budget)
        return
    options = Options(max_tokens=max_tokens, temperature=temperature, seed=seed)
    with contextlib.nullcontext(_ignore) if as_json else streamed() as write:
        reply, moments = _timed(write, answering, messages, budget, options)
    if as_json:
        show_json(reply.model_dump(mode="json"))
    if verbose:
        tell(account(reply, moments))


def _timed(
    write: Callable[[str], None], model: Model, messages: Sequence[ChatMessage], budget: Budget, options: Options
) -> tuple[Reply, list[float]]:
    """Return a reply, whose pieces are written as they come, with the times of its start, its pieces, and its end."""
    moments = [time.monotonic()]

    def on_text(piece: str) -> None:
        moments.append(time.monotonic())
        write(piece)

    heard: Options = {**options, "on_text": on_text}
    reply = ask(model, messages, budget, **heard)
    return reply, [*moments, time.monotonic()]


def read_prompt(prompt: str) -> str:
    """Return the prompt, from stdin if it is `-`; raise Misuse if there is none, or if it is not UTF-8."""
    if prompt == "-":
        if sys.stdin is None:
            raise Misuse("there is no stdin to read the prompt from: it is closed; give the prompt itself")
        try:
            prompt = sys.stdin.buffer.read().decode("utf-8")
        except UnicodeDecodeError as error:
            raise Misuse(f"the prompt on stdin is not UTF-8: {error}; convert it first, with iconv say") from error
    if not prompt.strip():
        raise Misuse("the prompt is empty; give one, or - to read it from stdin")
    return prompt


def _messages(prompt: str, system: str | None) -> list[Message]:
    told: list[Message] = [{"role": "system", "content": system}] if system else []
    return [*told, {"role": "user", "content": prompt}]


def ask(model: Model, messages: Sequence[ChatMessage], budget: Budget, **options: Unpack[Options]) -> Reply:
    """Return the model's reply; `on_text` gets its pieces. Weights that are missing are pulled first, visibly."""
    from agentevo.cli.models import pull_progress
    from agentevo.models import spending

    async def complete() -> Reply:
        with spending(budget=budget):
            return await model.complete(messages, **options)

    with pull_progress() if model.name.startswith("local/") else contextlib.nullcontext():
        return asyncio.run(complete())


def _ignore(piece: str) -> None:
    """Take a piece of a reply that is shown when it is whole."""


def account(reply: Reply, moments: Sequence[float]) -> str:
    """Return what a reply cost as one line; `moments` are its start, the arrivals of its pieces, and its end.

    The rate leaves out what comes before the first piece: loading the model, and reading the prompt.
    """
    usage, writing = reply.usage, moments[-2] - moments[1]
    rate = f"{(usage.completion_tokens - 1) / writing:.0f}" if writing > 0 else "?"
    return (
        f"{reply.model}: {usage.prompt_tokens} + {usage.completion_tokens} tokens, ${usage.cost_usd:.4f}, "
        f"{moments[-1] - moments[0]:.1f} s, {rate} tokens/s once begun, ended by {reply.finish}"
    )
