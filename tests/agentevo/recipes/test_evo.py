"""evo: corrections and successes are kept, what helped is credited, and what the model writes must prove itself."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from cycles import NOW, memory

from agentevo.cycle import evolve
from agentevo.environments.tool.house import House
from agentevo.memory import Memory
from agentevo.models import FunctionModel
from agentevo.phases.tasks.pool import Pool
from agentevo.protocols import State
from agentevo.recipes import load
from agentevo.record import Record
from agentevo.types import Message, Report


def copying(messages: Sequence[Message]) -> str:
    """Copy the example that stands nearest to the end of the prompt; know nothing without one."""
    if "Write at most three lessons" in str(messages[0]["content"]):
        return '{"lessons": [{"title": "Guess", "description": "Always", "content": "Say GUESS."}]}'
    return str(messages[-2]["content"]) if len(messages) > 3 else "no idea"


def evolved(store: Memory, cycles: int = 1, n: int = 6, **options: object) -> list[Report]:
    async def reports() -> list[Report]:
        from dataclasses import replace

        recipe = replace(load("evo", **options), tasks=Pool(n=n, select="in order"))
        state = State(FunctionModel(copying), store, House(tasks=20), recipe)
        return [report async for report in evolve(state, Record.open(clock=lambda: NOW), cycles)]

    return asyncio.run(reports())


def test_what_would_have_been_right_becomes_a_lesson() -> None:
    with memory() as store:
        (report,) = evolved(store)
        lessons = store.list(kind="lesson", order="oldest")
        assert report.accepted
        assert [item.metadata["answer"] for item in lessons] == [
            x.attempts[0].feedback[0].evidence["answer"] for x in report.practised
        ]


def test_what_stood_in_a_prompt_is_credited_with_what_came_of_it() -> None:
    with memory() as store:
        _, second = evolved(store, 2)
        used = {name for x in second.practised for a in x.attempts for name in a.used}
        counted = {item.id for item in store.list() if item.wins + item.losses}
        assert used
        assert counted == used


def test_lessons_that_the_model_writes_stay_only_if_they_help() -> None:
    with memory() as store:
        evolved(store, feedback="weak")
        assert store.list(kind="lesson") == []


def test_a_memory_that_is_full_forgets_the_least_useful() -> None:
    with memory() as store:
        evolved(store, 2, cap=5)
        assert (store.stats().live, len(store.list(status="forgotten"))) == (5, 7)
