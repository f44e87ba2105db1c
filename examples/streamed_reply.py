"""Stream a reply of the offline model, and say what it cost."""

from __future__ import annotations

import asyncio

from agentevo import as_model
from agentevo.models import Budget, spending
from agentevo.types import as_messages


async def main() -> None:
    model = as_model("local/smollm2-135m")
    prompt = "What is the capital of France? Answer in one sentence."
    with spending(budget=Budget(max_calls=1)) as meter:
        await model.complete(as_messages(prompt), temperature=0, on_text=lambda piece: print(piece, end="", flush=True))
    print(f"\n{meter.usage.calls} call, {meter.usage.completion_tokens} tokens, ${meter.usage.cost_usd:.2f}")


if __name__ == "__main__":
    asyncio.run(main())
