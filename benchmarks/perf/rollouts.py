"""Calls a second of many rollouts at once, beside a bare gather of litellm calls with the same prompts.

    python benchmarks/perf/rollouts.py [--at-once 64] [--calls 512] [--rounds 5] [--items 300] [--count] [--json]

The model is a server on loopback, in a process of its own, that takes 200 ms for each answer. A rollout recalls from a
memory (hash embedder), asks, and has its answer verified; "practise" and "evaluate" keep each in a run folder, "arun"
is the agent as an app calls it, and "model" asks alone. Each way takes its turn in each round; a figure is the median
over the rounds, the CPU that of this process, its threads included. "CPU of bare" compares the least of the rounds,
which other work on the machine changes least. With --count it is told how many functions each way calls in Python
and in C, in all threads: a figure that no other work on the machine changes.

Exits with 1 if the slowest of ours makes less than 75 % of the calls a second that bare ones make.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path

from agentevo.agent import Agent
from agentevo.cycle import practise
from agentevo.environments.tool.house import House
from agentevo.evaluate import evaluate
from agentevo.memory import Memory
from agentevo.models import LiteLLMModel
from agentevo.models.runtime import load_litellm
from agentevo.phases.context import assembled
from agentevo.phases.loop import Loop
from agentevo.protocols import State
from agentevo.record import Record
from agentevo.types import Message, Task

BAR = 0.75
LATENCY_S = 0.2
SETTLING_S = 0.05
MODEL = "openai/test"
Way = Callable[[], Awaitable[None]]


async def measure(url: str, folder: Path, *, at_once: int, calls: int, rounds: int, items: int) -> dict[str, float]:
    """Return calls a second and CPU milliseconds a call of each way, and the least ratio to the bare one."""
    async with _prepared(url, folder, at_once, calls, items) as ways:
        seen = [{name: await _timed(way, calls) for name, way in ways.items()} for _ in range(rounds)]
    figures = {}
    for name in ways:
        figures[f"{name}_calls_a_s"] = statistics.median(row[name][0] for row in seen)
        figures[f"{name}_cpu_ms"] = statistics.median(row[name][1] for row in seen)
        figures[f"{name}_cpu_of_bare"] = min(row[name][1] for row in seen) / min(row["bare"][1] for row in seen)
    for name in list(ways)[1:]:
        figures[f"{name}_ratio"] = statistics.median(row[name][0] / row["bare"][0] for row in seen)
    return figures


async def count(url: str, folder: Path, *, at_once: int, calls: int, items: int) -> dict[str, float]:
    """Return how many functions each way calls for one call of the model."""
    counts, counting = itertools.count(), False

    def tick(_: object, event: str, __: object) -> None:
        if counting and event in ("call", "c_call"):
            next(counts)

    load_litellm()
    threading.setprofile(tick)  # before there are any: threads that run already are not told
    sys.setprofile(tick)
    figures = {}
    async with _prepared(url, folder, at_once, calls, items) as ways:
        for name, way in ways.items():
            await asyncio.sleep(SETTLING_S)
            began, counting = next(counts), True
            await way()
            await asyncio.sleep(SETTLING_S)  # litellm logs a call after it has answered
            counting = False
            figures[name] = (next(counts) - began - 1) / calls
    return figures


@asynccontextmanager
async def _prepared(url: str, folder: Path, at_once: int, calls: int, items: int) -> AsyncIterator[dict[str, Way]]:
    """Give each way, tried once already."""
    house = House(tasks=max(calls, 10, items))
    tasks = list(house.tasks("test"))[:calls]
    with _memory(house, items) as memory:
        agent = Agent(_model(url), memory=memory, environment=house, runs=folder / "runs")
        prompts = [await _prompt(agent.state(), task) for task in tasks]
        ways = _ways(url, folder, agent, tasks, prompts, at_once)
        for way in ways.values():  # each once, unmeasured
            await way()
        yield ways
        agent.close()


def _ways(
    url: str, folder: Path, agent: Agent, tasks: Sequence[Task], prompts: Sequence[list[Message]], at_once: int
) -> dict[str, Way]:
    litellm, runs = load_litellm(), itertools.count()
    state = agent.state()

    def record() -> Record:
        return Record.open(folder / f"run-{next(runs)}", concurrency=at_once)

    async def bare() -> None:
        async def one(prompt: list[Message]) -> None:
            await litellm.acompletion(MODEL, prompt, api_base=url, api_key="none")

        await _all(at_once, [partial(one, prompt) for prompt in prompts])

    async def model() -> None:
        await _all(at_once, [partial(state.model.complete, prompt) for prompt in prompts])

    async def practised() -> None:
        with record() as run:
            _check(await practise(replace(state, model=run.model(state.model)), tasks, run), tasks)

    async def evaluated() -> None:
        with record() as run:
            _check((await evaluate(replace(state, model=run.model(state.model)), run, tasks=tasks)).experiences, tasks)

    async def arun() -> None:
        await _all(at_once, [partial(agent.arun, task) for task in tasks])

    return {"bare": bare, "model": model, "practise": practised, "evaluate": evaluated, "arun": arun}


async def _all(at_once: int, works: Sequence[Callable[[], Awaitable[object]]]) -> None:
    gate = asyncio.Semaphore(at_once)

    async def one(work: Callable[[], Awaitable[object]]) -> None:
        async with gate:
            await work()

    await asyncio.gather(*(one(work) for work in works))


def _check(done: Sequence[object], tasks: Sequence[Task]) -> None:
    if len(done) != len(tasks):
        raise SystemExit(f"{len(done)} of {len(tasks)} tasks were answered")


async def _timed(way: Way, calls: int) -> tuple[float, float]:
    await asyncio.sleep(SETTLING_S)  # let litellm's background logging of the calls before finish
    began, cpu = time.perf_counter(), time.process_time()
    await way()
    took_s, cpu_s = time.perf_counter() - began, time.process_time() - cpu
    return calls / took_s, cpu_s / calls * 1000


async def _prompt(state: State, task: Task) -> list[Message]:
    act = state.recipe.act
    assert isinstance(act, Loop)
    return list((await assembled(state, task, act.context)).messages)


def _model(url: str) -> LiteLLMModel:
    return LiteLLMModel(MODEL, api_base=url, api_key="none")


def _memory(house: House, items: int) -> Memory:
    memory = Memory.open(":memory:", embedder="hash")
    tasks = house.tasks("train")[:items]
    commands = [str(house.gold(task)[0]["content"]) for task in tasks]
    memory.insert(
        [f"{task.prompt}\n{command}" for task, command in zip(tasks, commands, strict=True)],
        kind="experience",
        metadata=[{"prompt": t.prompt, "answer": c} for t, c in zip(tasks, commands, strict=True)],
    )
    return memory


# --- the server


@contextmanager
def _serving() -> Iterator[str]:
    """Start the server in a process of its own and return its address."""
    with subprocess.Popen([sys.executable, __file__, "--serve"], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield f"http://127.0.0.1:{int(process.stdout.readline())}/v1"
        finally:
            process.terminate()


async def _serve() -> None:
    server = await asyncio.start_server(_answering, "127.0.0.1", 0, backlog=1024)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


async def _answering(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    message = {"role": "assistant", "content": "RXD Anna | Friday 3pm | rent"}
    body = {
        "id": "chatcmpl-1", "object": "chat.completion", "created": 0, "model": "test",
        "choices": [{"index": 0, "finish_reason": "stop", "message": message}],
        "usage": {"prompt_tokens": 100, "completion_tokens": 10, "total_tokens": 110},
    }  # fmt: skip
    said = json.dumps(body).encode()
    head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(said)}\r\n\r\n".encode()
    try:
        while True:
            asked = (await reader.readuntil(b"\r\n\r\n")).lower()
            await reader.readexactly(int(asked.partition(b"content-length:")[2].split(b"\r\n")[0]))
            await asyncio.sleep(LATENCY_S)
            writer.write(head + said)
            await writer.drain()
    except (ConnectionError, asyncio.IncompleteReadError):
        writer.close()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--at-once", type=int, default=64)
    parser.add_argument("--calls", type=int, default=512)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--items", type=int, default=300)
    parser.add_argument("--count", action="store_true", help="count function calls rather than time")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.serve:
        asyncio.run(_serve())
    sizes = {"at_once": given.at_once, "calls": given.calls, "items": given.items}
    with _serving() as url, tempfile.TemporaryDirectory() as folder:
        if given.count:
            return _told_counts(asyncio.run(count(url, Path(folder), **sizes)), is_json=given.json)
        figures = asyncio.run(measure(url, Path(folder), rounds=given.rounds, **sizes))
    return _told(figures, is_json=given.json)


def _told(figures: dict[str, float], *, is_json: bool) -> int:
    if is_json:
        print(json.dumps({**figures, "bar": BAR}))
    else:
        print(f"{'':10} calls a s  CPU ms a call  of bare  CPU of bare")
        for name in [key.removesuffix("_cpu_ms") for key in figures if key.endswith("_cpu_ms")]:
            ratio = figures.get(f"{name}_ratio", 1.0)
            speed, cpu = figures[f"{name}_calls_a_s"], figures[f"{name}_cpu_ms"]
            print(f"{name:10} {speed:9.1f}  {cpu:13.2f}  {ratio:6.0%}  {figures[f'{name}_cpu_of_bare']:11.2f}")
        print(f"{'bar':10} {'':9}  {'':13}  {BAR:6.0%}")
    return 0 if min(value for name, value in figures.items() if name.endswith("_ratio")) >= BAR else 1


def _told_counts(figures: dict[str, float], *, is_json: bool) -> int:
    if is_json:
        print(json.dumps(figures))
    else:
        print(f"{'':10} functions a call  of bare")
        for name, value in figures.items():
            print(f"{name:10} {value:16.0f}  {value / figures['bare']:7.2f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
