"""Beside: tasks of others under their own names and instructions, opened and verified where they are from."""

from __future__ import annotations

import asyncio

import pytest
from moments import memory
from sums import somewhere

from agentevo.described import describe
from agentevo.environments.answers import Answers
from agentevo.environments.beside import Beside
from agentevo.environments.tool.house import House
from agentevo.errors import Misuse
from agentevo.models import ScriptedModel
from agentevo.phases.act import Sample
from agentevo.protocols import Environment, Golden
from agentevo.types import Attempt

ASKED = Answers({"test": [{"prompt": "Capital of Syldavia?", "answer": "Klow"}]}, instruction="Be brief.", name="facts")


def both() -> Beside:
    return Beside(House(tasks=50), facts=(ASKED, "test"))


def test_the_other_tasks_are_a_split_of_their_own() -> None:
    environment = both()
    (task,) = environment.tasks("facts")
    assert isinstance(environment, Environment)
    assert isinstance(environment, Golden)
    assert tuple(environment.splits()) == ("train", "dev", "test", "facts")
    assert environment.card.splits["facts"] == 1
    assert environment.task(task.id) == task
    assert task.data["suite"] == "facts"
    own = environment.tasks("dev")[0]
    assert environment.task(own.id) == own
    assert "facts=" in describe(environment)


def test_a_task_is_asked_under_its_own_instruction_and_verified_where_it_is_from() -> None:
    environment, model = both(), ScriptedModel(["Klow", "nonsense"])

    async def answered(id: str) -> tuple[Attempt, float | None]:
        with memory() as m:
            task = environment.task(id)
            (attempt,) = await Sample()(somewhere(m, environment, model), task)
            await (await environment.open(task)).close()
            return attempt, (await environment.verify(task, attempt)).score

    there, score = asyncio.run(answered(environment.tasks("facts")[0].id))
    assert (there.messages[0]["content"], score) == ("Be brief.", 1.0)
    house, score = asyncio.run(answered(environment.tasks("dev")[0].id))
    assert (house.messages[0]["content"], score) == ("Write the house command for the request.", 0.0)


@pytest.mark.parametrize(
    ("beside", "what"),
    [({"dev": (ASKED, "test")}, "a split 'dev' of its own"), ({"x": (ASKED, "dev")}, "no split 'dev'")],
)
def test_names_that_clash_or_are_not_there_are_refused(beside: dict[str, tuple[Environment, str]], what: str) -> None:
    with pytest.raises(Misuse, match=what):
        Beside(House(tasks=50), **beside)
