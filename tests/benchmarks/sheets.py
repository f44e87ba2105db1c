"""Benchmarks on a sheet of sums, for a model that adds only where a reflection in its prompt tells it to."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import aclosing
from pathlib import Path

from agentevo.benchmarks.matrix import Plan, Row, run
from agentevo.models import FunctionModel
from agentevo.protocols import Model, Recipe
from agentevo.types import Message

SUMS = ("0+1", "1+2", "2+3", "3+4")


def sheet(folder: Path, **wrong: str) -> str:
    """Write the sums to a file, the same ones for practice and for the test, and return it as a suite."""
    rows = ["question,answer,split"]
    for split in ("train", "test"):
        rows += [f"What is {sum_}?,{wrong.get(f'of_{sum_[0]}', right(sum_))},{split}" for sum_ in SUMS]
    path = folder / "sums.csv"
    path.write_text("\n".join(rows) + "\n", "utf-8")
    return suite_of(folder)


def suite_of(folder: Path) -> str:
    return f'answers:source="{folder / "sums.csv"}",split=split,check=number'


def right(sum_: str) -> int:
    return sum(int(part) for part in sum_.split("+"))


class Adding(FunctionModel):
    """Counts how often it is asked."""

    def __init__(self) -> None:
        super().__init__(self._answer, "adding")
        self.asked = 0

    def _answer(self, messages: Sequence[Message]) -> str:
        self.asked += 1
        said = "\n".join(str(message["content"]) for message in messages)
        if "Write one reflection" in said:
            return '{"texts": ["Next time ADD the numbers."]}'
        question = str(messages[-1]["content"]).removeprefix("What is ").removesuffix("?")
        return str(right(question)) if "ADD the numbers" in said else "no idea"


def ran(
    folder: Path, recipe: Recipe, model: Model | None = None, most: int | None = None, **options: object
) -> list[Row]:
    """Run a plan on the sheet in a folder, all of it or so many rows."""
    suite = suite_of(folder) if (folder / "sums.csv").exists() else sheet(folder)
    plan = Plan(suite, recipe, model or Adding(), embedder="hash", **options)  # type: ignore[arg-type]

    return rows_of(plan, folder / "run", most)


def rows_of(plan: Plan, folder: Path, most: int | None = None) -> list[Row]:
    """Run a plan into a folder, all of it, or until there are so many rows."""

    async def rows() -> list[Row]:
        found = []
        async with aclosing(run(plan, folder)) as following:
            async for row in following:
                found.append(row)
                if len(found) == most:
                    break
        return found

    return asyncio.run(rows())
