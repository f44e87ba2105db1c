"""Reflexion: a failure leaves a note, the note is in the next prompt of the same task, and success leaves none."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from cycles import NOW, Sums, memory

from agentevo.cycle import evolve
from agentevo.memory import Memory
from agentevo.models import FunctionModel
from agentevo.protocols import State
from agentevo.recipes import load
from agentevo.record import Record
from agentevo.types import Message, Report


class Practice(Sums):
    """The same tasks with nothing held out: reflections are about the tasks themselves."""

    def splits(self) -> Sequence[str]:
        return ("train",)


def actor(messages: Sequence[Message]) -> str:
    """Add only where the prompt says to: what a reflection of its own will say."""
    said = "\n".join(str(message["content"]) for message in messages)
    if "Write one reflection" in said:
        return '{"texts": ["Next time ADD the numbers."]}'
    question = str(messages[-1]["content"]).removeprefix("What is ").removesuffix("?")
    return str(sum(map(int, question.split("+")))) if "ADD the numbers" in said else "no idea"


def evolved(store: Memory, cycles: int, **options: object) -> list[Report]:
    async def reports() -> list[Report]:
        state = State(FunctionModel(actor), store, Practice(), load("reflexion", **options))
        return [report async for report in evolve(state, Record.open(clock=lambda: NOW), cycles)]

    return asyncio.run(reports())


def test_the_second_trial_succeeds_with_the_note_of_the_first() -> None:
    with memory() as store:
        first, second = evolved(store, 2)
        assert [x.score for x in first.practised] == [0, 0, 0, 0]
        assert [x.score for x in second.practised] == [1, 1, 1, 1]
        notes = store.list(kind="note", order="oldest")
        assert notes[0].text == "On task 0+1 (What is 0+1?): Next time ADD the numbers."
        assert len(notes) == 4
        assert second.practised[0].attempts[0].used


def test_success_writes_nothing_and_is_not_tried_again() -> None:
    with memory() as store:
        *_, second, third = evolved(store, 3)
        before = {item.id for item in store.list(kind="note")}
        assert (third.practised, len(before)) == ((), len(store.list(kind="note")))
        assert second.practised


def test_a_task_is_given_up_after_so_many_trials() -> None:
    with memory() as store:
        reports = evolved(store, 3, trials=1)
        assert [len(report.practised) for report in reports] == [4, 0, 0]
