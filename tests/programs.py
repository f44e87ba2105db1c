"""A task to write a program for, with visible and hidden tests, run in the real sandbox."""

from __future__ import annotations

import asyncio

from moments import memory
from sums import somewhere

from agentevo.environments.code import Code, CodeTask
from agentevo.environments.code.environment import Mode
from agentevo.models import ScriptedModel
from agentevo.protocols import Recipe
from agentevo.types import Attempt, Task

VISIBLE = ("assert area(2, 3) == 6", "assert area(1, 1) == 1")
HIDDEN = ("assert area(4, 5) == 20", "assert area(7, 1) == 7")
RIGHT = "def area(a, b): return a * b"
SUM = "def area(a, b): return a + b"


def area(*, visible: tuple[str, ...] = VISIBLE, mode: Mode = "answer") -> Code:
    data = {"entry_point": "area", "tests": [*visible]}
    asked = Task.model_validate({"id": "area", "prompt": "area(a, b): the area of a rectangle.", "data": data})
    one = CodeTask(asked, "test", "area", HIDDEN, visible, gold=RIGHT)
    return Code([one], name="areas", description="Areas", licence="CC0-1.0", mode=mode)


def done(recipe: Recipe, environment: Code, model: ScriptedModel) -> tuple[Attempt, float | None]:
    """Have a recipe answer the task; return its attempt, and what the hidden tests say of it."""

    async def awaited() -> tuple[Attempt, float | None]:
        with memory() as m:
            asked = environment.task("area")
            (attempt,) = await recipe.act(somewhere(m, environment, model), asked)
            return attempt, (await environment.verify(asked, attempt)).score

    return asyncio.run(awaited())
