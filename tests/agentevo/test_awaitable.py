"""Strategies written without `async`: every slot that is awaited takes them, and a recipe describes them the same."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

import pytest
from cycles import moment

from agentevo.cycle import evolve
from agentevo.described import describe
from agentevo.memory import Memory
from agentevo.models import ScriptedModel
from agentevo.phases.act import Sample
from agentevo.phases.combine import Best, Refined
from agentevo.phases.practice import Hinted, Paired, Reuse, Same
from agentevo.position import attempt_id
from agentevo.protocols import Act, Recipe, State
from agentevo.record import Record
from agentevo.types import Attempt, Experience, Feedback, Item, Op, Report, Section, Task


def two_of_train(state: State) -> list[Task]:
    return list(state.environment.tasks("train"))[:2]


def guess(state: State, task: Task) -> list[Attempt]:
    return [Attempt(id=attempt_id(), task=task, answer=answer) for answer in ("1", "3")]


def by_rule(state: State, experience: Experience) -> Experience:
    told = (a.told(Feedback(score=float(a.answer == "3"), source="rule")) for a in experience.attempts)
    return experience.but(attempts=tuple(told))


def first_only(state: State, experiences: Sequence[Experience]) -> list[Experience]:
    return list(experiences)[:1]


def noted(state: State, experiences: Sequence[Experience]) -> list[Op]:
    item = Item(id="noted", text=f"{len(experiences)} seen", created_at=state.now, namespace=state.memory.namespace)
    return [Op(verb="insert", id=item.id, item=item)]


def shown(state: State, task: Task) -> Section:
    return Section(messages=({"role": "system", "content": "Be brief."},))


ANY: Any = guess
RULE: Any = by_rule
CHOSEN: Any = two_of_train


@dataclass(frozen=True)
class Guess:
    """An object that hands its work to an asynchronous strategy, and is none itself."""

    n: int = 1

    def __call__(self, state: State, task: Task) -> Awaitable[list[Attempt]]:
        return Sample(self.n)(state, task)


def run(recipe: Recipe, model: ScriptedModel) -> tuple[Report, list[str]]:
    async def main() -> tuple[Report, list[str]]:
        with Memory.open(":memory:", embedder="hash") as memory:
            (report,) = [r async for r in evolve(moment(memory, recipe, model), Record.open(), 1)]
            return report, [item.text for item in memory.list()]

    return asyncio.run(main())


def test_plain_functions_stand_in_every_slot_that_is_awaited() -> None:
    slots: dict[str, Any] = {
        "act": guess, "tasks": two_of_train, "practice": guess, "judge": [by_rule], "refine": [first_only],
        "update": [noted],
    }  # fmt: skip
    report, kept = run(Recipe(**slots), ScriptedModel([]))
    assert ([x.task.id for x in report.practised], kept) == (["0+1"], ["1 seen"])
    assert report.score == 0.25


@pytest.mark.parametrize("made", [Best, Refined])
def test_plain_functions_stand_in_acts_made_of_acts(made: Any) -> None:
    recipe = Recipe(act=made(guess, by=by_rule))
    report, _ = run(recipe, ScriptedModel(["3"] * 40))
    assert [x.task.id for x in report.experiences if x.score == 1] == ["1+2"]


@pytest.mark.parametrize("made", [lambda: Hinted(ANY, by=RULE), lambda: Paired(ANY, ANY), lambda: Reuse(ANY)])
def test_plain_functions_stand_in_acts_for_practising(made: Callable[[], Act]) -> None:
    report, _ = run(Recipe(act=Sample(), practice=made(), tasks=Same(CHOSEN)), ScriptedModel(["3"] * 40))
    assert [x.attempts[0].answer for x in report.practised] == ["1", "1"]


def test_a_plain_function_stands_in_a_prompt_and_an_object_may_hand_over_what_is_awaited() -> None:
    part: Any = shown
    model = ScriptedModel(["3"] * 8)
    report, _ = run(Recipe(act=Sample(context=[part]), practice=Guess()), model)
    assert [m["content"] for m in report.experiences[0].attempts[0].messages][:1] == ["Be brief."]
    assert report.practised[0].attempts[0].answer == "3"


def test_a_recipe_describes_plain_functions_as_it_does_others() -> None:
    slots: dict[str, Any] = {"act": guess, "practice": Guess(n=2), "judge": [by_rule]}
    assert describe(Recipe(**slots)) == (
        "Recipe(act=test_awaitable.guess, practice=Guess(n=2), judge=[test_awaitable.by_rule])"
    )


def test_a_plain_function_that_fails_raises_its_own_error() -> None:
    def broken(state: State, task: Task) -> list[Attempt]:
        raise ZeroDivisionError("a mistake of its own")

    act: Any = broken
    with pytest.raises(ZeroDivisionError, match="of its own"):
        run(Recipe(act=act), ScriptedModel([]))


def test_an_asynchronous_strategy_stays_what_it_is() -> None:
    act = Sample()
    assert Recipe(act=act).act is act
