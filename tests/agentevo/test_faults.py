"""Faults: models that talk nonsense, tools that hang, full disks, locked ledgers, strategies that fail, cancellation.

Whatever happens, memory verifies, nothing is half-written or left running, and the same run goes on to the same end.
"""

from __future__ import annotations

import asyncio
import random
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from cycles import LEARNING, NOW, Sums, answers, moment
from worlds import World

from agentevo.agent import Agent
from agentevo.cycle import evolve
from agentevo.environments.anything import Answering
from agentevo.environments.tool.house import House
from agentevo.errors import BadReply, LedgerBusy, Misuse, ModelUnavailable
from agentevo.memory import Insert, Memory, succeeded
from agentevo.models import FunctionModel
from agentevo.models.fakes import Scripted
from agentevo.phases.gate import HeldOut
from agentevo.phases.loop import Loop
from agentevo.protocols import Episode, FeedbackLevel, Recipe, State
from agentevo.recipes.in_context.evo import evo
from agentevo.record import Record
from agentevo.types import (
    Attempt,
    Decision,
    Experience,
    Feedback,
    Item,
    Message,
    Op,
    Reply,
    Report,
    Task,
    ToolCall,
)

ROOT = Path(__file__).parent.parent.parent


def store(path: str | Path = ":memory:") -> Memory:
    return Memory.open(path, embedder="hash", clock=lambda: NOW)


def exported(memory: Memory) -> list[str]:
    lines = memory.export()
    assert not isinstance(lines, int)
    return list(lines)


def known(memory: Memory) -> list[Item]:
    return memory.list(status=None, order="oldest")


# --- a model that cannot be relied on

NONSENSE: tuple[Scripted, ...] = (
    "", "   \n", "\x00\x07\ufffd\u202e ``` <|im_end|> [/INST]", "x" * 100_000, '{"name": "look", "arguments": {',
    ToolCall(id="1", name="no_such_tool", arguments={"at": [None]}), ToolCall(id="", name="look", arguments={}),
    ModelUnavailable("the provider is down"), BadReply("cut off", Reply(texts=("half of an",))),
)  # fmt: skip


class Unreliable:
    """Answers as told, but 30 of 100 times with nonsense, nothing, or an error, each kind in turn."""

    def __init__(self, otherwise: Callable[[list[Message]], Scripted]) -> None:
        self._otherwise, self._dice, self.faults, self.calls = otherwise, random.Random(7), 0, 0

    def __call__(self, messages: list[Message]) -> Scripted:
        self.calls += 1
        if self._dice.random() >= 0.3:
            return self._otherwise(messages)
        self.faults += 1
        return NONSENSE[self.faults % len(NONSENSE)]


def asked(messages: Sequence[Message]) -> str:
    return next(str(m["content"]) for m in reversed(messages) if m["role"] == "user")


def resumed(agent: Agent) -> list[Report]:
    """Evolve; where the model is gone while lessons are written, go on with the same run."""
    for _ in range(20):
        reports = list(agent.evolve(cycles=2, run="run"))
        if "model" not in reports[-1].alarms:
            return reports
    raise AssertionError("the run never ended")


def test_house_commands_are_learned_from_a_model_that_fails_in_a_third_of_its_calls(tmp_path: Path) -> None:
    house = House(tasks=20)
    right = {t.prompt: str(house.gold(t)[0]["content"]) for split in house.splits() for t in house.tasks(split)}
    model = Unreliable(lambda messages: right.get(asked(messages), "LESSON: no idea"))
    with store(tmp_path / "memory") as memory:
        agent = Agent(FunctionModel(model), memory=memory, environment=house, runs=tmp_path)
        reports = resumed(agent)
        assert memory.verify().ok
    stopped = {x.attempts[0].stopped.partition(":")[0] for r in reports for x in r.practised}
    assert (len(reports), stopped) == (2, {"", "model"})
    assert sum(x.score for x in reports[0].practised) > 5
    assert model.faults / model.calls == pytest.approx(0.3, abs=0.12)


@dataclass
class Desks(World):
    """A world with tasks: the key of each desk is what looking at it shows."""

    def splits(self) -> Sequence[str]:
        return ("train", "dev")

    def tasks(self, split: str) -> Sequence[Task]:
        return [Task(id=f"{split}-{n}", prompt=f"Which key lies on desk {n}?") for n in range(12)]

    async def verify(self, task: Task, attempt: Attempt) -> Feedback:
        return Feedback(score=float(attempt.answer == f"key {task.id.partition('-')[2]}"), source="environment")


def looks(name: str, given: dict[str, Any]) -> str:
    return f"key {given['at']}"


def test_a_world_of_tools_is_practised_in_with_a_model_that_fails_in_a_third_of_its_calls() -> None:
    def act(messages: list[Message]) -> Scripted:
        if messages[-1]["role"] == "tool":
            return str(messages[-1]["content"])
        desk = asked(messages).rpartition(" ")[2].removesuffix("?")
        return ToolCall(id="1", name="look", arguments={"at": desk})

    world, model = Desks(looks), Unreliable(act)
    with store() as memory:
        agent = Agent(FunctionModel(model), memory=memory, environment=world, recipe=evo(reflect=False))
        reports = list(agent.evolve(cycles=2))
        assert memory.verify().ok
    assert len(reports) == 2
    assert any(r.score > 0.2 for r in reports)
    stopped = {x.attempts[0].stopped for r in reports for x in (*r.practised, *r.experiences)}
    assert any(why.startswith("environment: KeyError") for why in stopped)
    assert any(why.startswith("model: the provider is down") for why in stopped)
    assert model.faults > len(NONSENSE)
    assert world.closed == len(world.opened) > 40


# --- a tool that hangs


def test_a_tool_that_hangs_ends_its_attempts_and_the_run_goes_on() -> None:
    async def hangs(name: str, given: dict[str, Any]) -> str:
        if given["at"] == "3":
            await asyncio.Event().wait()
        return looks(name, given)

    def act(messages: list[Message]) -> Scripted:
        if messages[-1]["role"] == "tool":
            return str(messages[-1]["content"])
        return ToolCall(id="1", name="look", arguments={"at": asked(messages).rpartition(" ")[2].removesuffix("?")})

    world = Desks(lambda name, given: hangs(name, given))
    recipe = Recipe(act=Loop(step_timeout_s=0.05))

    async def run() -> tuple[Report, int]:
        with store() as memory:
            agent = Agent(FunctionModel(act), memory=memory, environment=world, recipe=recipe)
            (report,) = [report async for report in agent.aevolve()]
            assert memory.verify().ok
        return report, len(asyncio.all_tasks())

    report, running = asyncio.run(run())
    ended = {x.task.id: x.attempts[0].stopped for x in report.practised}
    assert {name for name, why in ended.items() if why} == {"train-3"}
    assert ended["train-3"] == "environment: timed out after 0.05 s"
    assert (running, world.closed) == (1, len(world.opened) == 24 and 24)


def test_a_recipe_whose_model_is_gone_in_an_update_goes_on_when_it_is_back(tmp_path: Path) -> None:
    is_gone = True

    def model(messages: list[Message]) -> Scripted:
        return ModelUnavailable("the provider is down") if is_gone and "lesson" in str(messages) else answers(messages)

    async def update(state: State, experiences: list[Experience]) -> list[Op]:
        reply = await state.model.complete([{"role": "user", "content": "What is 1+1? It is for a lesson."}])
        return [Op(verb="insert", id="a", item=Item(id="a", text=reply.text, created_at=state.now))]

    def told(messages: list[Message]) -> Scripted:
        return "2" if not is_gone and "lesson" in str(messages) else model(messages)

    async def run(memory: Memory) -> list[Report]:
        with Record.open(tmp_path / "run", id="run", clock=lambda: NOW) as record:
            state = moment(memory, replace(LEARNING, update=[update]), FunctionModel(told))
            return [report async for report in evolve(state, record, 1)]

    with store() as memory:
        for _ in range(2):
            (report,) = asyncio.run(run(memory))
            assert (report.accepted, report.alarms, memory.list()) == (False, ("model",), [])
            assert report.reason == "the model failed outside of an attempt: the provider is down"
        is_gone = False
        (report,) = asyncio.run(run(memory))
        assert (report.score, [item.text for item in memory.list()]) == (1.0, ["2"])


# --- a locked ledger


def test_a_ledger_locked_by_another_process_is_an_error_and_the_run_goes_on_when_it_is_free(tmp_path: Path) -> None:
    def learned(memory: Memory) -> list[Report]:
        async def run() -> list[Report]:
            with Record.open(tmp_path / "run", id="run", clock=lambda: NOW) as record:
                return [report async for report in evolve(moment(memory), record, 1)]

        return asyncio.run(run())

    path = tmp_path / "memory"
    with Memory.open(path, embedder="hash", clock=lambda: NOW, busy_timeout_s=0.1) as memory:
        other = sqlite3.connect(path / "ledger.db", isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(LedgerBusy):
            learned(memory)
        other.execute("ROLLBACK")
        other.close()
        assert (known(memory), memory.verify().ok) == ([], True)
        (report,) = learned(memory)
        assert (report.score, len(known(memory))) == (1.0, 4)


# --- strategies that fail, and strategies that give something else

SLOTS = ("tasks", "practice", "judge", "refine", "update", "gate", "objective")


def filled(slot: str, gives: Callable[[], object]) -> Recipe:
    """Return a recipe with a strategy in a slot that gives what it is told to."""

    async def strategy(*_: object) -> object:
        return gives()

    def plain(*_: object) -> object:
        return gives()

    chosen: Any = plain if slot in ("gate", "objective") else strategy
    changed: Any = {slot: [chosen] if slot in ("judge", "refine", "update") else chosen}
    return replace(LEARNING, **changed)


@pytest.mark.parametrize("slot", SLOTS)
def test_an_error_of_a_strategy_is_raised_as_it_is_and_after_mending_the_run_goes_on(tmp_path: Path, slot: str) -> None:
    paid: list[object] = []

    def model(messages: list[Message]) -> str:
        paid.append(messages)
        return answers(messages)

    async def run(memory: Memory, recipe: Recipe) -> list[Report]:
        with Record.open(tmp_path / "run", id="run", clock=lambda: NOW) as record:
            return [report async for report in evolve(moment(memory, recipe, FunctionModel(model)), record, 1)]

    def broken() -> object:
        raise ZeroDivisionError("a mistake in a strategy")

    with store(tmp_path / "memory") as memory:
        before = exported(memory)
        with pytest.raises(ZeroDivisionError, match="a mistake in a strategy"):
            asyncio.run(run(memory, filled(slot, broken)))
        assert (exported(memory), memory.verify().ok) == (before, True)
        (report,) = asyncio.run(run(memory, LEARNING))
        tested = 4 if slot == "gate" else 0  # a gate looks at what there was before, too
        assert (report.score, len(known(memory)), len(paid)) == (1.0, 4, 4 + tested)


@pytest.mark.parametrize("slot", SLOTS)
@pytest.mark.parametrize("rubbish", [None, 7, "text", [None], [Decision]])
def test_what_a_strategy_must_not_give_is_an_error_that_names_its_slot(slot: str, rubbish: object) -> None:
    async def run(memory: Memory) -> list[Report]:
        state = moment(memory, filled(slot, lambda: rubbish))
        return [report async for report in evolve(state, Record.open(), 1)]

    with store() as memory:
        with pytest.raises(Misuse, match=f"slot '{slot}' gave .*; expected "):
            asyncio.run(run(memory))
        assert known(memory) == []


# --- cancellation


class Counted(Sums):
    """Sums whose episodes are counted: how many are open."""

    def __init__(self) -> None:
        self.open_now = 0

    async def open(self, task: Task, seed: int = 0, feedback: FeedbackLevel = "weak") -> Episode:
        world = self
        self.open_now += 1

        class Sum(Answering):
            async def close(self) -> None:
                await asyncio.sleep(0)
                world.open_now -= 1

        return Sum(task.prompt)


REMEMBERING = replace(LEARNING, act=Loop(), update=[Insert(when=succeeded)], gate=HeldOut())


async def cancelled(folder: Path, at: int | None) -> tuple[int, bool, list[object]]:
    """Cancel a run after so many turns of the loop; return how many there were, if it was over, and what it left."""
    world = Counted()
    with store(folder / "memory") as memory, Record.open(folder / "run", id="run", clock=lambda: NOW) as record:
        before = exported(memory)

        async def run() -> Report:
            (report,) = [r async for r in evolve(replace(moment(memory, REMEMBERING), environment=world), record, 1)]
            return report

        task, turns = asyncio.create_task(run()), 0
        while not task.done() and turns != at:
            await asyncio.sleep(0)
            turns += 1
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        assert task.cancelled() or task.result().score == 1.0
        assert (world.open_now, asyncio.all_tasks(), memory.verify().ok) == (0, {asyncio.current_task()}, True)
        items = [item.model_dump(exclude={"id"}) for item in known(memory)]
        assert (len(items), len(list(memory.experiences()))) == (4, 4) or exported(memory) == before
        return turns, not task.cancelled(), [*items]


def test_a_run_cancelled_at_any_moment_leaves_memory_as_it_was_or_as_it_should_be(tmp_path: Path) -> None:
    turns, is_over, whole = asyncio.run(cancelled(tmp_path / "whole", None))
    assert (is_over, len(whole)) == (True, 4)
    for at in sorted({*range(12), *range(12, turns, max(1, turns // 24))}):
        folder = tmp_path / str(at)
        asyncio.run(cancelled(folder, at))
        assert asyncio.run(cancelled(folder, None))[1:] == (True, whole)


# --- several at once, and what is odd


def test_two_runs_at_once_on_one_memory_and_feedback_between_them_all_learn(tmp_path: Path) -> None:
    async def run(name: str, memory: Memory) -> list[Report]:
        with Record.open(tmp_path / name, id=name, clock=lambda: NOW) as record:
            return [r async for r in evolve(moment(memory, REMEMBERING), record, 2)]

    async def both(memory: Memory) -> None:
        agent = Agent(FunctionModel(answers), memory=memory, recipe=evo(reflect=False), clock=lambda: NOW)

        async def told() -> None:
            await agent.afeedback(await agent.arun("What is 20+22?"), score=1.0)

        one, other, _ = await asyncio.gather(run("one", memory), run("other", memory), told())
        assert [r.score for r in [*one, *other]] == [1.0] * 4

    with store(tmp_path / "memory") as memory:
        asyncio.run(both(memory))
        assert memory.verify().ok
        prompts = {item.metadata["prompt"] for item in memory.list()}
        assert prompts == {f"What is {n}+{n + 1}?" for n in range(4)} | {"What is 20+22?"}


def test_an_agent_answers_inside_a_running_loop_and_in_a_forked_process() -> None:
    with store() as memory:
        agent = Agent(FunctionModel(answers), memory=memory)

        async def notebook() -> str:
            return agent.run("What is 1+2?").answer

        assert asyncio.run(notebook()) == "3"
    code = """
import os
from agentevo.agent import Agent
from agentevo.memory import Insert, Memory, succeeded
from agentevo.models import FunctionModel
with Memory.open(":memory:", embedder="hash") as memory:
    Agent(FunctionModel(lambda messages: "yes"), memory=memory).run("first")
child = os.fork()
if child == 0:
    with Memory.open(":memory:", embedder="hash") as memory:
        answer = Agent(FunctionModel(lambda messages: "yes"), memory=memory).run("again").answer
    os._exit(0 if answer == "yes" else 1)
assert os.waitpid(child, 0)[1] == 0
"""
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, timeout=60)


@pytest.mark.parametrize("answer", ["x" * 1_000_000, "\U0001f600 \u05d0\u0000\x1b[2J", "\n".join("{}[]`" * 50)])
def test_odd_answers_are_kept_as_they_are_and_learned_from(tmp_path: Path, answer: str) -> None:
    async def run(memory: Memory) -> list[Report]:
        with Record.open(tmp_path / "run", id="run", clock=lambda: NOW) as record:
            state = moment(memory, replace(REMEMBERING, gate=None), FunctionModel(lambda messages: answer))
            return [r async for r in evolve(state, record, 1)]

    with store(tmp_path / "memory") as memory:
        (first,) = asyncio.run(run(memory))
        (again,) = asyncio.run(run(memory))
        assert {x.attempts[0].answer for x in first.practised} == {answer.strip()}
        assert again == first
        assert memory.verify().ok


def test_a_clock_that_goes_backwards_stops_nothing() -> None:
    times = iter(range(10**6, 0, -1000))
    with store() as memory:
        agent = Agent(FunctionModel(answers), memory=memory, environment=Sums(), clock=lambda: float(next(times)))
        reports = list(agent.evolve(cycles=2))
        assert ([r.score for r in reports], memory.verify().ok) == ([1.0, 1.0], True)
