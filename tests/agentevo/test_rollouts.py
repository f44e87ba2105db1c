"""Many rollouts at once: all of them wait on the model together, whichever way they were started."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import Callable, Coroutine
from dataclasses import replace
from pathlib import Path

import pytest
from openai_server import Behaviour, Exchange, OpenAIServer, says

from agentevo.agent import Agent
from agentevo.cycle import practise
from agentevo.environments.tool.house import House
from agentevo.evaluate import evaluate
from agentevo.memory import Memory
from agentevo.models import LiteLLMModel
from agentevo.record import Record
from agentevo.types import Task

AT_ONCE = 64
BENCHMARK = Path(__file__).parent.parent.parent / "benchmarks" / "perf" / "rollouts.py"
Rollouts = Callable[[Agent, list[Task], Record], Coroutine[None, None, int]]


def when_all_are_here(count: int) -> Behaviour:
    """Answer nobody before so many requests wait at once."""
    arrived, everybody = 0, asyncio.Event()

    async def behave(exchange: Exchange) -> None:
        nonlocal arrived
        arrived += 1
        if arrived >= count:
            everybody.set()
        await everybody.wait()
        await says("OK")(exchange)

    return behave


async def practised(agent: Agent, tasks: list[Task], record: Record) -> int:
    state = agent.state()
    done = await practise(replace(state, model=record.model(state.model)), tasks, record)
    return sum(x.attempts[0].answer == "OK" for x in done)


async def evaluated(agent: Agent, tasks: list[Task], record: Record) -> int:
    done = (await evaluate(agent.state(), record, tasks=tasks)).experiences
    return sum(x.attempts[0].answer == "OK" for x in done)


async def run_by_themselves(agent: Agent, tasks: list[Task], record: Record) -> int:
    return sum(attempt.answer == "OK" for attempt in await asyncio.gather(*map(agent.arun, tasks)))


@pytest.mark.parametrize("rollouts", [practised, evaluated, run_by_themselves])
def test_rollouts_wait_on_the_model_all_at_once(rollouts: Rollouts, tmp_path: Path) -> None:
    house = House(tasks=AT_ONCE)
    tasks = list(house.tasks("test"))
    with (
        OpenAIServer(when_all_are_here(AT_ONCE)) as server,
        Memory.open(":memory:", embedder="hash") as memory,
        Record.open(tmp_path / "run") as record,
    ):
        memory.insert([task.prompt for task in house.tasks("train")])
        model = LiteLLMModel("openai/test", api_base=server.url, api_key="k")
        agent = Agent(model, memory=memory, environment=house)
        assert asyncio.run(rollouts(agent, tasks, record)) == AT_ONCE
        assert server.busiest == AT_ONCE


def benchmark(*options: str) -> tuple[dict[str, float], int]:
    sizes = {"at-once": 32, "calls": 32, "items": 300}
    given = [*options, *(word for name, size in sizes.items() for word in (f"--{name}", str(size)))]
    done = subprocess.run([sys.executable, str(BENCHMARK), "--json", *given], capture_output=True, timeout=600)
    return json.loads(done.stdout), done.returncode


def test_a_rollout_takes_little_more_work_than_its_call_and_our_call_less_than_a_bare_one() -> None:
    """Work is counted in functions that are called, which other work on the machine does not change. What this catches
    is litellm's own search for a price, its logging, and anything of ours that comes near the cost of a call."""
    calls, status = benchmark("--count")
    assert calls["model"] < 0.91 * calls["bare"]
    assert max(calls[way] for way in ("practise", "evaluate", "arun")) < 1.1 * calls["bare"]
    assert status == 0


def test_the_benchmark_of_rollouts_fails_below_its_bar() -> None:
    figures, status = benchmark("--rounds", "1")
    ways = ("practise", "evaluate", "arun")
    assert all(figures[f"{way}_calls_a_s"] > 0 for way in ("bare", "model", *ways))
    assert status == int(min(figures[f"{way}_ratio"] for way in ("model", *ways)) < 0.75)
