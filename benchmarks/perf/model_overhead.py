"""CPU that our model adds to a bare litellm call: both answer from litellm's mock, in turns, in one process.

    python benchmarks/perf/model_overhead.py [--rounds 40] [--calls 25] [--json]

Exits with 1 if the difference of the medians is over the bar of 0.5 ms a call.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import sys
import time
from collections.abc import Awaitable, Callable

from agentevo.models import LiteLLMModel
from agentevo.models.runtime import load_litellm
from agentevo.types import Message

BAR_MS = 0.5
MESSAGES: list[Message] = [{"role": "user", "content": "hello"}]


async def measure(rounds: int, calls: int) -> dict[str, float]:
    """Return the median CPU milliseconds a call of both sides, and of their difference in each round."""
    litellm = load_litellm()
    model = LiteLLMModel("openai/test", extra={"mock_response": "hi"})

    async def bare() -> None:
        await litellm.acompletion(model="openai/test", messages=MESSAGES, mock_response="hi")

    async def ours() -> None:
        await model.complete(MESSAGES)

    for warm_up in (bare, ours) * 2:
        await _cpu_ms(warm_up, calls)
    # Each round runs both sides close together, in changing order: what slows the machine slows both.
    both = [
        (await _cpu_ms(bare, calls), await _cpu_ms(ours, calls))
        if i % 2
        else tuple(reversed([await _cpu_ms(ours, calls), await _cpu_ms(bare, calls)]))
        for i in range(rounds)
    ]
    return {
        "bare_ms": statistics.median(b for b, _ in both),
        "ours_ms": statistics.median(o for _, o in both),
        "difference_ms": statistics.median(o - b for b, o in both),
    }


async def _cpu_ms(call: Callable[[], Awaitable[None]], calls: int) -> float:
    await asyncio.sleep(0.005)  # let litellm's background logging of the calls before finish
    begin = time.process_time()
    for _ in range(calls):
        await call()
    return (time.process_time() - begin) / calls * 1000


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--calls", type=int, default=25)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    figures = asyncio.run(measure(arguments.rounds, arguments.calls))
    if arguments.json:
        print(json.dumps({**figures, "bar_ms": BAR_MS}))
    else:
        print("CPU a call       ms")
        for name, value in figures.items():
            print(f"{name.removesuffix('_ms'):12} {value:7.3f}")
        print(f"{'bar':12} {BAR_MS:7.3f}")
    return 0 if figures["difference_ms"] < BAR_MS else 1


if __name__ == "__main__":
    sys.exit(main())
