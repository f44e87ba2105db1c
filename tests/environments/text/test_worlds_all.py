"""Every game, experiment and set of the text engines, against what the engines themselves say."""

from __future__ import annotations

import asyncio
import importlib.util
import os
import shutil
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest

from agentevo.environments import check_environment
from agentevo.environments.engine import Engine
from agentevo.environments.text import ReasoningGym, ScienceWorld, TextWorldExpress
from agentevo.environments.text.commands import commands_of
from agentevo.environments.text.express import FOLDS, GOALS, SEEDS
from agentevo.environments.text.java import find_java, runtime_of
from agentevo.environments.text.science import KINDS, variations
from agentevo.environments.text.sets import SETS
from agentevo.environments.text.worlds import Worlds
from agentevo.environments.walk import attempt_of, walked
from agentevo.environments.walls import Walls
from agentevo.protocols import Environment
from agentevo.types import Attempt, Json, Message, Task

CLAUSES = (
    "card", "splits", "disjoint", "lookup", "travels", "deterministic", "order", "closes", "cancelled", "together",
    "actions", "verify", "null", "gold",
)  # fmt: skip


def missing(*packages: str, java: bool = True) -> bool:
    return (java and shutil.which("java") is None) or any(importlib.util.find_spec(name) is None for name in packages)


AT_ONCE = os.cpu_count() or 1

UNWON = {
    "sw-freeze-11", "sw-freeze-19",
    "sw-measure-melting-point-known-substance-211", "sw-measure-melting-point-known-substance-226",
    "sw-measure-melting-point-unknown-substance-10", "sw-measure-melting-point-unknown-substance-60",
    *(f"sw-test-conductivity-{n}" for n in (603, 606, 607, 611, 615, 616, 619, 622, 624)),
}  # fmt: skip
"""What the engine takes for gold does not win these, and is not given."""

pytestmark = [pytest.mark.soak, pytest.mark.timeout(7200)]
needs_express = pytest.mark.skipif(missing("textworld_express"), reason="needs Java and textworld-express")
needs_science = pytest.mark.skipif(missing("scienceworld"), reason="needs Java and scienceworld")
needs_reasoning = pytest.mark.skipif(missing("reasoning_gym", java=False), reason="needs reasoning-gym")


@pytest.fixture(scope="module")
def express() -> Iterator[TextWorldExpress]:
    environment = TextWorldExpress()
    yield environment
    asyncio.run(environment.aclose())


@pytest.fixture(scope="module")
def science() -> Iterator[ScienceWorld]:
    environment = ScienceWorld(workers=AT_ONCE)
    yield environment
    asyncio.run(environment.aclose())


@pytest.fixture(scope="module")
def reasoning() -> Iterator[ReasoningGym]:
    environment = ReasoningGym()
    yield environment
    asyncio.run(environment.aclose())


def unlike(environment: Environment, task: Task, right: Sequence[Message]) -> list[str]:
    """Name a task whose gold does not score 1, or where nothing does not score 0."""
    told: list[Message] = [{"role": "user", "content": ""}, *right]
    attempts = [attempt_of(task, told), Attempt(id="null", task=task)]
    gold, null = (asyncio.run(environment.verify(task, attempt)).score for attempt in attempts)
    return [] if (gold, null) == (1.0, 0.0) else [f"{task.id}: gold {gold}, null {null}"]


@needs_express
@pytest.mark.parametrize("fold", FOLDS)
@pytest.mark.parametrize("game", GOALS)
def test_gold_wins_every_game_of_textworld_express(express: TextWorldExpress, game: str, fold: str) -> None:
    tasks = [task for task in express.tasks(fold) if task.data["group"] == game]
    assert [name for task in tasks for name in unlike(express, task, express.gold(task))] == []


@needs_science
@pytest.mark.timeout(12 * 3600)  # a processor has seven hours of work with all kinds, most of them with the last two
@pytest.mark.parametrize("kind", KINDS)
def test_gold_wins_the_experiments_of_scienceworld(science: ScienceWorld, kind: str) -> None:
    def lost(variation: int) -> list[str]:
        task = science.task(f"sw-{kind}-{variation}")
        gold = science.gold(task)
        return unlike(science, task, gold) if gold or task.id not in UNWON else []

    with ThreadPoolExecutor(AT_ONCE) as threads:
        assert [name for names in threads.map(lost, range(KINDS[kind].variations)) for name in names] == []


@needs_science
@pytest.mark.parametrize(
    ("kind", "variation"),
    [("mendelian-genetics-known-plant", 7), ("test-conductivity", 605), *(("grow-fruit", n) for n in (6, 8, 78, 87))],
)
def test_where_the_order_of_things_decides_gold_is_found_in_another_way_and_the_same_each_time(
    science: ScienceWorld, kind: str, variation: int
) -> None:
    task = science.task(f"sw-{kind}-{variation}")
    gold = science.gold(task)
    assert unlike(science, task, gold) == []
    assert ScienceWorld(kinds=kind).gold(task) == gold


@needs_reasoning
def test_the_sets_of_reasoning_gym_find_their_own_answers_right(reasoning: ReasoningGym) -> None:
    tasks = [task for split in reasoning.splits() for task in reasoning.tasks(split)]
    assert {task.data["group"] for task in tasks} == {*SETS}
    assert len({task.prompt for task in tasks}) == len(tasks) == 6 * len(SETS)
    assert [name for task in tasks for name in unlike(reasoning, task, reasoning.gold(task))] == []


@needs_reasoning
def test_the_questions_of_reasoning_gym_are_the_same_in_each_worker() -> None:
    each = [ReasoningGym(tasks=8) for _ in range(2)]
    one, other = ([task for split in gym.splits() for task in gym.tasks(split)] for gym in each)
    assert len(one) == 24 * len(SETS)
    assert [task.id for task, again in zip(one, other, strict=True) if task != again] == []


# --- the contract


@needs_express
def test_textworld_express_keeps_the_contract() -> None:
    assert check_environment(TextWorldExpress(), again=TextWorldExpress, tasks=8, limit_s=1800) == CLAUSES


@needs_express
def test_words_instead_of_tools_keep_the_contract() -> None:
    def make() -> Worlds:
        return TextWorldExpress(games="simonsays,coin", way="words", workers=2)

    assert check_environment(make(), again=make, tasks=2, limit_s=1800) == CLAUSES


@needs_science
def test_scienceworld_keeps_the_contract() -> None:
    assert check_environment(ScienceWorld(), again=ScienceWorld, tasks=2, limit_s=1800) == CLAUSES


@needs_reasoning
def test_reasoning_gym_keeps_the_contract() -> None:
    def make() -> Environment:
        return ReasoningGym(sets="gcd,maze,chain_sum,countdown,n_queens", tasks=4)

    assert check_environment(make(), again=make, tasks=8, limit_s=1800) == CLAUSES


# --- beside the packages


def asked(factory: str, *calls: tuple[str, dict[str, Json]]) -> list[Json]:
    """Return what a package's own environment says, in a worker: they leave open what pytest would complain about."""

    async def run() -> list[Json]:
        engine = Engine(factory, walls=Walls(readable=[runtime_of(find_java("a package"))]))
        try:
            return [await engine.ask(method, **arguments) for method, arguments in calls]
        finally:
            await engine.aclose()

    return asyncio.run(run())


@needs_express
def test_the_seeds_of_textworld_express_are_those_of_its_package() -> None:
    games, *seeds = asked(
        "textworld_express:TextWorldExpressEnv", ("getGameNames", {}), ("getValidSeedsTrain", {}),
        ("getValidSeedsDev", {}), ("getValidSeedsTest", {}),
    )  # fmt: skip
    assert isinstance(games, list)
    assert set(map(str, games)) == {*GOALS}
    assert seeds == [[*range(first, first + SEEDS)] for first in FOLDS.values()]


@needs_express
@pytest.mark.parametrize("game", GOALS)
def test_an_episode_of_textworld_express_shows_and_scores_what_its_package_does(
    express: TextWorldExpress, game: str
) -> None:
    task = express.task(f"twx-{game}-17")
    gold = express.gold(task)
    walk = asyncio.run(walked(express, task, gold))
    begin: dict[str, Json] = {"gameName": game, "seed": 17, "gameFold": "train", "gameParams": ""}
    commands = commands_of(attempt_of(task, gold), "tools")[: len(walk.outcomes)]
    steps: list[tuple[str, dict[str, Json]]] = [("step", {"inputStr": command}) for command in commands]
    _, *own = asked("textworld_express:TextWorldExpressEnv", ("reset", begin), *steps)
    shown, rewards, *_ = zip(*(one for one in own if isinstance(one, list)), strict=True)
    ours = [outcome.observation.removesuffix("\n\nThe score is 1.00 of 1.") for outcome in walk.outcomes]
    assert ours == [str(text).strip() for text in shown]
    assert [outcome.reward for outcome in walk.outcomes] == pytest.approx(rewards)


@needs_express
@pytest.mark.parametrize("game", GOALS)
def test_games_of_one_seed_at_once_go_as_each_does_alone(express: TextWorldExpress, game: str) -> None:
    tasks = [express.task(f"twx-{game}-{n % 8}") for n in range(24)]
    gold = {task.id: express.gold(task) for task in tasks}

    async def run() -> list[bool]:
        alone = {task.id: await walked(express, task, gold[task.id]) for task in tasks}
        at_once = await asyncio.gather(*(walked(express, task, gold[task.id]) for task in tasks))
        return [walk == alone[task.id] for task, walk in zip(tasks, at_once, strict=True)]

    assert asyncio.run(run()) == [True] * 24


@needs_science
def test_the_variations_of_scienceworld_are_those_of_its_package() -> None:
    splits = ("train", "dev", "test")
    listed: list[tuple[str, dict[str, Json]]] = [("get_task_names", {})]
    for kind in KINDS:
        listed += [("load", {"taskName": kind}), *((f"get_variations_{split}", {}) for split in splits)]
    names, *own = asked("scienceworld:ScienceWorldEnv", *listed)
    assert isinstance(names, list)
    assert set(map(str, names)) == {*KINDS}
    assert own == [one for kind in KINDS for one in (None, *([*variations(kind, split)] for split in splits))]


@needs_science
@pytest.mark.parametrize("kind", ["power-component", "find-plant", "boil"])
def test_an_experiment_ends_the_same_each_time_in_each_worker(science: ScienceWorld, kind: str) -> None:
    task = science.task(f"sw-{kind}-0")
    gold = science.gold(task)
    walks = [asyncio.run(walked(science, task, gold)) for _ in range(3)]
    other = ScienceWorld()
    walks.append(asyncio.run(walked(other, task, gold)))
    asyncio.run(other.aclose())
    assert walks == [walks[0]] * 4
