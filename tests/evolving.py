"""A run of the cycle as a process of its own, to be killed: python evolving.py FOLDER [KILL_AT]."""

from __future__ import annotations

import asyncio
import itertools
import os
import signal
import sys
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import ParamSpec, TypeVar

from cycles import LEARNING, NOW, answers, by_heart, moment, remember, verify

from agentevo.cycle import evolve
from agentevo.memory import Memory
from agentevo.models import FunctionModel
from agentevo.phases.gate import HeldOut
from agentevo.protocols import Recipe
from agentevo.record import Record

P = ParamSpec("P")
T = TypeVar("T")
CYCLES = 2


def main(folder: Path, kill_at: int) -> None:
    steps = itertools.count()

    def boundary() -> None:
        if next(steps) == kill_at:
            os.kill(os.getpid(), signal.SIGKILL)

    def bounded(strategy: Callable[P, Awaitable[T]]) -> Callable[P, Awaitable[T]]:
        async def between(*args: P.args, **kwargs: P.kwargs) -> T:
            boundary()
            value = await strategy(*args, **kwargs)
            boundary()
            return value

        return between

    def asked(messages: Sequence[object]) -> str:
        with (folder / "asked").open("a") as file:
            file.write(f"{messages[-1]}\n")
        return answers(messages)

    recipe: Recipe = replace(
        LEARNING, act=bounded(by_heart), judge=[bounded(verify)], update=[bounded(remember)], gate=HeldOut()
    )
    asyncio.run(run(folder, recipe, FunctionModel(asked), boundary))
    boundary()
    print(next(steps))


async def run(folder: Path, recipe: Recipe, model: FunctionModel, boundary: Callable[[], None]) -> None:
    with Memory.open(folder / "memory", embedder="hash", clock=lambda: NOW) as memory:
        boundary()
        with Record.open(folder / "run", id="run", clock=lambda: NOW) as record:
            async for _ in evolve(moment(memory, recipe, model), record, CYCLES):
                boundary()


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else -1)
