"""Training on this machine, really: a turn's adapter is trained, installed, gated, answered with, averaged, undone."""

from __future__ import annotations

import asyncio
import logging
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from cycles import NOW, Sums
from small_llama import install_llama

from agentevo import Agent
from agentevo.cycle import evolve
from agentevo.events import Event, Trained, listening
from agentevo.memory import Memory
from agentevo.models import as_model
from agentevo.models.installed import find
from agentevo.phases.act import Sample
from agentevo.phases.gate import HeldOut
from agentevo.phases.practice import Gold
from agentevo.protocols import Environment, Recipe, State, Update
from agentevo.record import Record
from agentevo.types import Attempt, Feedback, Json, Message, Report, Task
from agentevo.weights.adapters import adapters, name_of, scores_of
from agentevo.weights.averages import Average
from agentevo.weights.machine import train_here
from agentevo.weights.order import Order
from agentevo.weights.policies import Train
from agentevo.weights.rows import Row

SAID = {"0+1": "RMD Anna", "1+2": "PAY 12", "2+3": "LOG a b c", "3+4": "SHP the x"}
CONFIG: dict[str, Json] = {
    "steps": 6, "batch": 4, "learning_rate": 1e-2, "threads": 1, "rank": 4, "min_real": 0.0,
}  # fmt: skip


class Commands(Sums):
    """Made-up answers to learn by heart."""

    def gold(self, task: Task) -> list[Message]:
        return [{"role": "assistant", "content": SAID[task.id]}]

    async def verify(self, task: Task, attempt: Attempt) -> Feedback:
        return Feedback(score=float(attempt.answer == SAID[task.id]))


ACT = Sample(temperature=0.0, max_tokens=12)


def evolved(store: Memory, updates: list[Update], cycles: int = 1) -> list[Report]:
    async def all_of_it() -> list[Report]:
        environment: Environment = Commands()
        recipe = Recipe(act=ACT, practice=Gold(), update=updates, gate=HeldOut(), name="by heart")
        state = State(as_model("local/small"), store, environment, recipe)
        return [report async for report in evolve(state, Record.open(clock=lambda: NOW), cycles)]

    return asyncio.run(all_of_it())


def said(model: str, store: Memory | None = None) -> list[str]:
    """Return what an agent with this model and memory answers to each task."""
    with Memory.open(":memory:", embedder="hash") as empty:
        agent = Agent(model, memory=store or empty, recipe=Recipe(act=ACT))
        return [agent.run(task.prompt).answer for task in Commands().tasks("dev")]


def test_what_a_turn_practised_is_in_the_weights_until_it_is_undone(small: str, tmp_path: Path) -> None:
    train = Train(at_least=1, config=CONFIG)
    with Memory.open(tmp_path / "memory", embedder="hash") as store:
        before = said(small, store)
        (report,) = evolved(store, [train])
        (item,) = adapters(store)
        assert (item.status, report.accepted) == ("live", True)
        assert list(find("small").adapters) == [name_of(item)]
        assert item.metadata["scores"] == {
            "rows": 4, "synthetic": 4, "steps": 6, "held_out": 0.0,
            "first_loss": scores_of(item)["first_loss"], "last_loss": scores_of(item)["last_loss"],
        }  # fmt: skip
        after = said(small, store)
        assert (after == said(f"{small}+{name_of(item)}"), after == before) == (True, False)

        evolved(store, [replace(train, config={**CONFIG, "seed": 5}), Average("mean", 2)])
        (mean,) = store.list(kind="adapter")
        parts = {name_of(one) for one in adapters(store)} - {name_of(mean)}
        assert (name_of(mean)[:5], len(parts), parts & set(str(mean.metadata["config"]).split("'"))) == (
            "mean-",
            2,
            parts,
        )
        assert said(small, store) == said(f"{small}+{name_of(mean)}")

        store.undo()
        assert said(small, store) == after
        store.undo()
        assert said(small, store) == before


def test_once_the_base_is_another_under_its_name_the_same_turn_trains_another_adapter(
    small: str, tmp_path: Path
) -> None:
    train = Train(at_least=1, config=CONFIG)
    names: list[str] = []
    install_llama(tmp_path / "later", seed=1)
    for _ in range(2):
        with Memory.open(":memory:", embedder="hash") as store:
            evolved(store, [train])
            names += [name_of(item) for item in adapters(store)]
        for name in ("model.gguf", "card.json"):
            shutil.copy(tmp_path / "later" / "models" / "small" / name, find("small").path.parent / name)
    assert len(set(names)) == 2


def test_the_steps_of_a_training_are_told_with_their_losses(small: str, caplog: pytest.LogCaptureFixture) -> None:
    heard: list[Event] = []
    train = Train(at_least=1, config=CONFIG)
    caplog.set_level(logging.INFO, "agentevo.weights")
    with Memory.open(":memory:", embedder="hash") as store, listening(heard.append, pieces=False):
        evolved(store, [train])
        (item,) = adapters(store)
    told = [event for event in heard if isinstance(event, Trained)]
    assert [(event.adapter, event.step, event.steps) for event in told] == [(name_of(item), n, 6) for n in range(1, 7)]
    assert (told[0].loss, told[-1].loss) == (scores_of(item)["first_loss"], scores_of(item)["last_loss"])
    assert f"training {name_of(item)}: step 6 of 6, loss {told[-1].loss:.4f}" in caplog.messages


def test_a_long_training_is_told_of_some_fifty_times(small: str) -> None:
    heard: list[Event] = []
    rows: list[Row] = [{"prompt": prompt, "completion": said} for prompt, said in SAID.items()]

    async def all_of_it() -> None:
        await train_here(Order("long", small, rows, {**CONFIG, "steps": 103, "batch": 1, "rank": 1}))

    with listening(heard.append, pieces=False):
        asyncio.run(all_of_it())
    steps = [event.step for event in heard if isinstance(event, Trained)]
    assert steps == [*range(2, 103, 2), 103]


def test_a_training_that_nobody_waits_for_ends_at_its_next_step(small: str) -> None:
    rows: list[Row] = [{"prompt": prompt, "completion": said} for prompt, said in SAID.items()]
    order = Order("endless", small, rows, {**CONFIG, "steps": 1_000_000})

    async def cancelled() -> bool:
        training = asyncio.create_task(train_here(order))
        while not list(order.folder.parent.glob(".endless*")):  # noqa: ASYNC110 - a thread makes that folder
            await asyncio.sleep(0.01)
        training.cancel()
        return isinstance((await asyncio.gather(training, return_exceptions=True))[0], asyncio.CancelledError)

    assert asyncio.run(cancelled())  # which comes to its end only when the thread has
    assert not order.folder.exists()
