"""Recipes and states: strategies are checked when a recipe is made, print alike everywhere, and roll their own dice."""

from __future__ import annotations

import functools
import os
import re
import subprocess
import sys
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentevo.described import describe
from agentevo.errors import Misuse
from agentevo.protocols import Recipe, State, unaimed
from agentevo.types import Attempt, Decision, Experience, Objective, Report, Task


async def act(state: State, task: Task) -> list[Attempt]:
    return []


async def judged(state: State, experience: Experience) -> Experience:
    return experience


def accept(before: Report, after: Report) -> Decision:
    return Decision(accepted=True, reason="")


@dataclass(frozen=True)
class Window:
    """A parameter of a strategy that is itself a value with parameters."""

    size: int = 3
    weights: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Sample:
    """A strategy as recipes hold them."""

    n: int = 1
    window: Window = Window()
    inner: Any = None
    secret: str = field(default="", repr=False)

    async def __call__(self, state: State, task: Task) -> list[Attempt]:
        return []


class Bare:
    """A strategy without a repr of its own."""

    async def __call__(self, state: State, task: Task) -> list[Attempt]:
        return []


HERE = __name__


@pytest.mark.parametrize(
    ("strategy", "text"),
    [
        (Sample(), "Sample()"),
        (Sample(n=4, secret="s"), "Sample(n=4)"),
        (
            Sample(window=Window(size=5, weights={"recency": 0.1})),
            "Sample(window=Window(size=5, weights={'recency': 0.1}))",
        ),
        (Sample(inner=Sample(n=2)), "Sample(inner=Sample(n=2))"),
        (Sample(inner=[act, (1, 2)]), f"Sample(inner=[{HERE}.act, [1, 2]])"),
        (Sample(inner={"b", "a"}), "Sample(inner={'a', 'b'})"),
        (Sample(inner=0), "Sample(inner=0)"),
        (act, f"{HERE}.act"),
        (Sample, f"{HERE}.Sample"),
        (functools.partial(accept, after=Report()), f"partial({HERE}.accept, after={Report()!r})"),
        (functools.partial(max, 1, key=len), "partial(builtins.max, 1, key=builtins.len)"),
        (Bare(), f"{HERE}.Bare()"),
        (lambda state, task: [], f"{HERE}.<lambda>"),
    ],
)
def test_strategies_are_described_by_what_they_are(strategy: object, text: str) -> None:
    assert describe(strategy) == text


def test_a_function_made_inside_another_is_named_without_its_surroundings_marks() -> None:
    async def local(state: State, task: Task) -> list[Attempt]:
        return []

    name = "test_a_function_made_inside_another_is_named_without_its_surroundings_marks"
    assert describe(local) == f"{HERE}.{name}.local"


def test_a_recipe_prints_what_differs_from_the_defaults() -> None:
    recipe = Recipe(name="evo", act=Sample(n=4), judge=[judged], gate=accept)
    assert repr(recipe) == f"Recipe(act=Sample(n=4), name='evo', judge=[{HERE}.judged], gate={HERE}.accept)"
    assert repr(Recipe(act=act)) == f"Recipe(act={HERE}.act)"


PRINT_A_RECIPE = """
import functools
from agentevo.protocols import Recipe
from test_protocols import Bare, Sample, Window, accept, act, judged
print(repr(Recipe(
    act=Sample(inner={"x", "y", "z", frozenset({"p", "q"})}, window=Window(weights={"b": 1.0, "a": 2.0})),
    practice=functools.partial(act, task=Bare()), judge=[judged, lambda s, e: e], gate=accept, refine=(Bare(),),
)))
"""


def test_a_recipe_prints_alike_in_every_process() -> None:
    def printed(hash_seed: str) -> str:
        environment = {**os.environ, "PYTHONHASHSEED": hash_seed, "PYTHONPATH": os.path.dirname(__file__)}  # noqa: PTH120
        command = [sys.executable, "-c", PRINT_A_RECIPE]
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout

    first = printed("1")
    assert first == printed("2") == printed("12345")
    assert not re.search(r" at 0x|object at", first)
    assert "{'x', 'y', 'z', {'p', 'q'}}" in first


def made(slots: dict[str, Any]) -> Recipe:
    return Recipe(**slots)


@pytest.mark.parametrize("slot", ["act", "objective", "tasks", "practice", "gate"])
def test_a_slot_refuses_what_cannot_be_called(slot: str) -> None:
    with pytest.raises(Misuse, match=f"recipe slot '{slot}' takes a callable strategy, not 'evo'"):
        made({"act": act, slot: "evo"})


@pytest.mark.parametrize("slot", ["act", "objective", "tasks", "practice", "gate"])
def test_a_slot_refuses_a_class_and_says_how_to_write_it(slot: str) -> None:
    with pytest.raises(Misuse, match=rf"recipe slot '{slot}' got the class Sample; write Sample\(\.\.\.\)"):
        made({"act": act, slot: Sample})


def test_only_act_and_objective_must_be_there() -> None:
    assert Recipe(act=act, tasks=None, practice=None, gate=None) == Recipe(act=act)
    for slot in ("act", "objective"):
        with pytest.raises(Misuse, match=f"recipe slot '{slot}'"):
            made({"act": act, slot: None})


@pytest.mark.parametrize("slot", ["judge", "refine", "update"])
def test_a_list_slot_takes_lists_and_checks_each_strategy(slot: str) -> None:
    assert getattr(made({"act": act, slot: [judged, judged]}), slot) == (judged, judged)
    with pytest.raises(Misuse, match=f"recipe slot '{slot}' takes a list of strategies"):
        made({"act": act, slot: judged})
    with pytest.raises(Misuse, match=f"recipe slot '{slot}' takes a callable strategy, not 3"):
        made({"act": act, slot: [judged, 3]})
    with pytest.raises(Misuse, match=f"recipe slot '{slot}' got the class Sample"):
        made({"act": act, slot: [Sample]})


def test_a_recipe_does_not_change_with_the_list_it_was_given() -> None:
    judges = [judged]
    recipe = Recipe(act=act, judge=judges)
    judges.clear()
    assert recipe.judge == (judged,)


def moment(seed: int = 0, history: tuple[Report, ...] = ()) -> State:
    nothing: Any = None  # the dice need no services
    return State(nothing, nothing, nothing, Recipe(act=act), history=history, seed=seed)


NAMES = st.text(max_size=6)


@given(st.integers(), st.lists(st.tuples(NAMES, NAMES), min_size=1, unique=True), st.randoms())
def test_dice_do_not_depend_on_the_order_of_throws(seed: int, throws: list[tuple[str, str]], shuffler: Any) -> None:
    state = moment(seed)
    first = {throw: state.dice(*throw).random() for throw in throws}
    again = list(throws)
    shuffler.shuffle(again)
    assert {throw: moment(seed).dice(*throw).random() for throw in again} == first


def test_dice_differ_by_seed_round_slot_and_id() -> None:
    draws = [
        moment().dice("act", "1").random(),
        moment(seed=1).dice("act", "1").random(),
        moment(history=(Report(),)).dice("act", "1").random(),
        moment().dice("judge", "1").random(),
        moment().dice("act", "2").random(),
    ]
    assert len(set(draws)) == len(draws)
    assert draws[0] == 0.9488381020947185  # whatever process or machine rolls it


def test_the_same_moment_over_another_memory() -> None:
    other: Any = object()
    state = moment(seed=7)
    moved = state.on(other)
    assert (moved.memory, moved.seed) == (other, 7)
    assert state.memory is not other


def test_the_default_objective_is_the_one_the_state_has() -> None:
    state = moment()
    assert unaimed(state) is state.objective == Objective()
