"""Replay: so many rows of other origin that they are a share of all; earlier turns; tasks that the base wrote."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from cycles import NOW, Sums, answers
from wearing import Wearing, Weights, says

from agentevo.errors import Misuse
from agentevo.memory import Memory
from agentevo.models import FunctionModel
from agentevo.models.fakes import Scripted
from agentevo.phases.act import Sample
from agentevo.phases.tasks.generate import Generate, Written
from agentevo.protocols import Model, Recipe, State
from agentevo.types import Attempt, Experience, Feedback, Message, Report, Task
from agentevo.weights.replay import Earlier, Replay, Rows, Synthesise, diverse, mixed, must_be_replays
from agentevo.weights.rows import Row

GIVEN = [{"prompt": f"q{n}", "completion": f"a{n}"} for n in range(10)]


def replayed(replay: Replay, own: int, model: Model | None = None, history: Sequence[Report] = ()) -> list[Row]:
    async def awaited() -> list[Row]:
        with Memory.open(":memory:", embedder="hash", clock=lambda: NOW) as store:
            state = State(model or FunctionModel(answers), store, Sums(), Recipe(act=Sample()))
            return await replay(replace(state, history=tuple(history)), own)

    return asyncio.run(awaited())


@pytest.mark.parametrize(
    ("share", "own", "count"), [(0.25, 6, 2), (0.5, 3, 3), (0.9, 6, 10), (1.0, 1, 10), (0.3, 0, 0)]
)
def test_as_many_rows_are_drawn_as_are_a_share_of_all(share: float, own: int, count: int) -> None:
    assert len(replayed(Rows(GIVEN, share), own)) == count


def test_rows_are_read_from_a_file_and_the_same_are_drawn_again(tmp_path: Path) -> None:
    file = tmp_path / "rows.jsonl"
    file.write_text("\n".join(json.dumps(row) for row in GIVEN))
    assert replayed(Rows(file, 0.5), 4) == replayed(Rows(GIVEN, 0.5), 4)


def practised(*scores: float) -> Report:
    task = Task(id="t", prompt="What?")
    attempts = tuple(
        Attempt(id=f"a{n}", task=task, answer=f"answer {n}", feedback=(Feedback(score=score),))
        for n, score in enumerate(scores)
    )
    return Report(practised=(Experience(task=task, attempts=attempts, pairs=(("a0", "a1"),)),))


def test_earlier_turns_are_replayed_as_attempts_or_as_preferences() -> None:
    history = [practised(1.0, 0.0)]
    assert sorted(says(row)[-1][1] for row in replayed(Earlier(0.5), 9, history=history)) == ["answer 0", "answer 1"]
    assert [says(row)[-1][1] for row in replayed(Earlier(0.5, least=0.5), 9, history=history)] == ["answer 0"]
    (pair,) = replayed(Earlier(0.5, pairs=True), 9, history=history)
    assert [text for _, text in says(pair)] == ["What?", "answer 0", "answer 1"]


def test_the_base_writes_the_tasks_and_the_latest_model_answers_them() -> None:
    asked = list[str]()

    class Named(Wearing):
        async def complete(self, messages: Sequence[Message], **options: object) -> object:  # type: ignore[override]
            asked.append(self.name)
            return await super().complete(messages, **options)  # type: ignore[arg-type]

        def adapted(self, adapter: str) -> Named:
            return Named(self.weights, self.otherwise, super().adapted(adapter).name)

    def says_so(messages: Sequence[Message], schema: object) -> Scripted:
        return Written(tasks=["Name one big river.", "How do cats greet people?"]) if schema is Written else "so"

    model = Named(Weights(), FunctionModel(says_so), "small+new")
    found = replayed(Synthesise(Generate(2), 2), 4, model=model)  # type: ignore[arg-type]
    assert [row["synthetic"] for row in found] == [True, True]
    assert asked == ["small", "small+new", "small+new"]


def test_plain_functions_may_write_and_answer_what_is_replayed() -> None:
    def river(state: State) -> list[Task]:
        return [Task(id="r", prompt="Name a river.")]

    def rhine(state: State, task: Task) -> list[Attempt]:
        return [Attempt(id="a", task=task, answer="The Rhine.")]

    chosen: dict[str, Any] = {"tasks": river, "act": rhine}
    (row,) = replayed(Synthesise(**chosen), 4)
    assert row["completion"] == [{"role": "assistant", "content": "The Rhine."}]


def test_what_is_unlike_the_rest_is_taken_first() -> None:
    texts = ["name a river", "name a river now", "count the moons of mars", "count the moons of venus"]
    assert diverse(texts, 2) == [0, 2]
    assert diverse(texts, 9) == [0, 2, 3, 1]


def test_rows_are_mixed_in_an_order_that_is_drawn() -> None:
    async def awaited() -> list[Row]:
        with Memory.open(":memory:", embedder="hash") as store:
            state = State(FunctionModel(answers), store, Sums(), Recipe(act=Sample()))
            return await mixed(state, [dict(row) for row in GIVEN], [Rows(GIVEN[:2], 1.0)])

    found = asyncio.run(awaited())
    assert found == asyncio.run(awaited())
    assert len(found) == 12
    assert found[:10] != GIVEN


@pytest.mark.parametrize(
    "make",
    [
        lambda: Rows(GIVEN, 0),
        lambda: Earlier(2),
        lambda: Synthesise(keep=0),
        lambda: Synthesise(Generate),  # type: ignore[arg-type]  # which is refused
        lambda: must_be_replays([3]),
    ],
)
def test_what_makes_no_sense_is_refused(make: object) -> None:
    assert callable(make)
    with pytest.raises(Misuse):
        make()
