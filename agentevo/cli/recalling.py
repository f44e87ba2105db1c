"""`agentevo run --memory`: an agent answers, with what it recalls in its prompt."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import TYPE_CHECKING

from agentevo.cli.memory.shown import named
from agentevo.cli.output import number, show_json, streamed, tell
from agentevo.errors import ModelError

if TYPE_CHECKING:
    from agentevo.agent import Agent
    from agentevo.memory import Memory
    from agentevo.models import Budget
    from agentevo.protocols import Model
    from agentevo.types import Attempt, Message


@dataclass(frozen=True)
class Recalling:
    """How an answer is sampled and shown; the memory is read only."""

    temperature: float | None
    max_tokens: int | None
    seed: int
    as_json: bool
    verbose: bool

    def answer(self, model: Model, memory: Memory, messages: Sequence[Message], budget: Budget) -> None:
        """Answer, streaming; raise ModelError where the model failed."""
        from agentevo.agent import Agent
        from agentevo.recipes import load

        recipe = load("evo", temperature=self.temperature, max_tokens=self.max_tokens)
        attempt = asyncio.run(
            self._answered(Agent(model, memory=memory, recipe=recipe, seed=self.seed), messages, budget)
        )
        if attempt.stopped:
            raise ModelError(f"the answer ended early: {attempt.stopped}")
        if self.as_json:
            show_json(attempt.model_dump(mode="json"))
        if self.verbose:
            self._account(attempt, memory)

    async def _answered(self, agent: Agent, messages: Sequence[Message], budget: Budget) -> Attempt:
        from agentevo.events import Ended, Piece

        with contextlib.nullcontext() if self.as_json else streamed() as write:
            async with aclosing(agent.astream(messages, budget=budget)) as events:
                async for event in events:
                    if isinstance(event, Piece) and write is not None:
                        write(event.text)
                    elif isinstance(event, Ended):
                        attempt = event.attempt
        return attempt

    def _account(self, attempt: Attempt, memory: Memory) -> None:
        usage = attempt.usage
        tell(f"{number(usage.tokens)} tokens, ${usage.cost_usd:.4f}, {usage.seconds:.1f} s")
        used = [item for name in attempt.used if (item := memory.get(name)) is not None]
        tell("\n".join(f"used  {named(item)}" for item in used) or "nothing was recalled")
