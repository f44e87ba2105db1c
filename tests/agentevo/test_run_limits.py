"""What a budget does to a run: it ends with a report, whatever it waits for, and nothing is left open or hidden."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from cycles import LEARNING, NOW, memory, moment
from worlds import TASK, World

from agentevo.agent import Agent
from agentevo.cycle import evolve
from agentevo.errors import BudgetExceeded
from agentevo.events import Ended, Event, Started, listening
from agentevo.memory import Memory
from agentevo.models import FunctionModel
from agentevo.models.fakes import Scripted
from agentevo.models.usage import Budget, spending, tightest, timed, uncut
from agentevo.phases.act import Sample
from agentevo.phases.combine import Refined
from agentevo.phases.judge import Critique
from agentevo.phases.loop import Loop
from agentevo.protocols import Act, Recipe, State
from agentevo.record import Record
from agentevo.steps import unfinished
from agentevo.types import Attempt, Message, Report, Task, ToolCall

SOON = Budget(max_seconds=0.15)


async def hangs(name: str, given: dict[str, Any]) -> str:
    await asyncio.Event().wait()
    return ""


def calls(messages: list[Message]) -> Scripted:
    return ToolCall(id="1", name="look", arguments={"at": "desk"})


class Practised(World):
    """A world with something to practise."""

    def splits(self) -> Sequence[str]:
        return ("train",)

    def tasks(self, split: str) -> Sequence[Task]:
        return [TASK.but(id=f"find-{n}") for n in range(3)]


def hanging() -> Practised:
    return Practised(lambda name, given: hangs(name, given))


async def evolved(state: State, record: Record, budget: Budget | None) -> list[Report]:
    return [report async for report in evolve(state, record, 1, budget)]


# --- seconds


def test_seconds_cut_off_a_step_that_hangs_and_the_run_ends_with_its_report(tmp_path: Path) -> None:
    world = hanging()

    async def run(store: Memory) -> tuple[list[Report], int]:
        state = replace(moment(store, Recipe(act=Loop()), FunctionModel(calls)), environment=world)
        with Record.open(tmp_path / "run") as record:
            reports = await evolved(state, record, SOON)
        return reports, len(asyncio.all_tasks())

    with memory() as store:
        (report,), running = asyncio.run(run(store))
        assert (store.list(), store.verify().ok) == ([], True)
    assert (report.accepted, report.alarms, report.cost.calls, running) == (False, ("budget",), 3, 1)
    assert "max_seconds=0.15" in report.reason
    assert (world.closed, len(world.opened)) == (3, 3)
    assert unfinished(tmp_path / "run" / "steps.jsonl") == []


@pytest.mark.parametrize("act", [Loop(context=["You are told."]), Refined(Loop(context=["You are told."]), Critique())])
def test_seconds_cut_off_one_answer_too_and_it_says_what_there_is_of_it(act: Act) -> None:
    world = hanging()
    with memory() as store:
        agent = Agent(FunctionModel(calls), memory=store, recipe=Recipe(act=act), environment=world)
        attempt = agent.run("Find the key.", budget=SOON)
    assert attempt.stopped.startswith("limit: the budget of 'run' is used up: max_seconds=0.15")
    assert [m["role"] for m in attempt.messages] == ["system", "user", "assistant", "tool"]
    assert (attempt.prompt, attempt.usage.calls, world.closed) == (2, 1, 1)


def test_what_is_short_is_let_come_to_its_end_though_time_is_up() -> None:
    ended: list[str] = []

    async def work() -> None:
        async with timed(meter):
            with uncut():
                await asyncio.sleep(0.05)
                ended.append("short")
            await asyncio.sleep(60)
            ended.append("long")

    with spending(budget=Budget(max_seconds=0.01)) as meter, pytest.raises(BudgetExceeded, match="max_seconds"):
        asyncio.run(work())
    assert ended == ["short"]


def test_a_timeout_that_is_not_the_budgets_is_left_alone() -> None:
    async def work() -> None:
        async with timed(meter):
            raise TimeoutError("of something else")

    with spending(budget=Budget(max_seconds=60)) as meter, pytest.raises(TimeoutError, match="of something else"):
        asyncio.run(work())


class Slow(Memory):
    """A memory that keeps an experience when time is up, and not before."""

    async def arecord(self, *given: Any, **named: Any) -> str:
        timed = tightest()
        await asyncio.sleep(max(0.0, timed[0]) + 0.01 if timed else 0)
        return await super().arecord(*given, **named)


def test_a_commit_is_not_cut_off_so_that_the_report_says_what_was_kept() -> None:
    with Slow.open(":memory:", embedder="hash", clock=lambda: NOW) as store:
        (report,) = asyncio.run(evolved(moment(store), Record.open(), Budget(max_seconds=2)))
        assert (report.accepted, len(store.list())) == (True, 4)


# --- whose budget it is


def test_a_budget_around_a_run_is_its_owners(tmp_path: Path) -> None:
    with memory() as store, spending(budget=Budget(max_calls=2)):
        with pytest.raises(BudgetExceeded, match="max_calls=2"), Record.open(tmp_path / "run") as record:
            asyncio.run(evolved(moment(store), record, Budget(max_calls=100)))
        assert store.list() == []


# --- what there is of an attempt that its run ended


def recalled(store: Memory) -> Recipe:
    from agentevo.phases.context import Recalled

    store.insert("The key lies under the mat.", kind="fact")
    return Recipe(act=Loop(context=[Recalled()]))


def test_an_attempt_ended_by_the_budget_says_what_stood_in_its_prompt() -> None:
    heard: list[Event] = []
    with memory() as store, listening(heard.append):
        agent = Agent(FunctionModel(calls), memory=store, recipe=recalled(store), environment=World())
        attempt = agent.run("Where is the key?", budget=Budget(max_calls=2))
        assert attempt.used == tuple(item.id for item in store.list())
    assert (attempt.prompt, len(attempt.steps), attempt.usage.calls) == (2, 2, 2)
    (ended,) = [event.attempt for event in heard if isinstance(event, Ended)]
    assert ended.but(usage=attempt.usage) == attempt


@pytest.mark.parametrize("act", [Loop(), Sample(), Sample(2)])
def test_what_is_cancelled_is_told_to_have_ended(act: Act, tmp_path: Path) -> None:
    heard: list[Event] = []

    async def run(store: Memory) -> None:
        asked, all_asked = list[object](), asyncio.Event()

        async def forever(messages: list[object]) -> str:
            asked.append(messages)
            if len(asked) == 4:
                all_asked.set()
            await asyncio.Event().wait()
            return ""

        state = moment(store, replace(LEARNING, act=act), FunctionModel(forever))
        with Record.open(tmp_path / "run") as record, listening(heard.append):
            running = asyncio.create_task(evolved(state, record, None))
            await all_asked.wait()
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)

    with memory() as store:
        asyncio.run(run(store))
    begun = [event.attempt for event in heard if isinstance(event, Started)]
    ended = {event.attempt.id: event.attempt.stopped for event in heard if isinstance(event, Ended)}
    assert ended == dict.fromkeys(begun, "cancelled")
    assert unfinished(tmp_path / "run" / "steps.jsonl") == []


def test_an_attempt_that_an_error_ends_is_told_to_have_ended() -> None:
    async def broken(state: State, task: Task) -> list[Attempt]:
        raise AssertionError("unreachable")

    def model(messages: list[Message]) -> Scripted:
        raise ZeroDivisionError("a mistake in a model")

    heard: list[Event] = []
    with memory() as store, listening(heard.append), pytest.raises(ZeroDivisionError):
        Agent(FunctionModel(model), memory=store, recipe=Recipe(act=Sample(), practice=broken)).run("hi")
    (ended,) = [event.attempt for event in heard if isinstance(event, Ended)]
    assert ended.stopped == "error: ZeroDivisionError: a mistake in a model"
