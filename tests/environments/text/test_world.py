"""The text world: gold does every task and nothing none, its rules can be tried out, and a wrong try costs."""

from __future__ import annotations

import asyncio
import hashlib
import json
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from agentevo.environments.load import load
from agentevo.environments.text.world import World
from agentevo.environments.text.world.facts import Fact, is_lost
from agentevo.environments.text.world.place import BAG, Exit, Place, Scene, Thing
from agentevo.environments.text.world.rules import Rules
from agentevo.environments.text.world.words import CHARM, COLOURS, CRAFTS, OPEN, PREPARE
from agentevo.environments.walk import attempt_of, walked
from agentevo.errors import Misuse, UnknownName
from agentevo.protocols import FeedbackLevel
from agentevo.types import Attempt, Message, Outcome, Task

SPLITS = ("train", "dev", "test")


def gold(world: World, task: Task) -> str:
    (action,) = world.gold(task)
    return str(action["content"])


def saying(*lines: str) -> Message:
    return {"role": "assistant", "content": "\n".join(lines)}


def score(world: World, task: Task, *texts: str) -> float | None:
    messages = tuple(saying(text) for text in texts)
    return asyncio.run(world.verify(task, Attempt(id="a", task=task, messages=messages))).score


def played(world: World, task: Task, *texts: str, feedback: FeedbackLevel = "weak") -> list[Outcome]:
    return list(asyncio.run(walked(world, task, [saying(text) for text in texts], feedback)).outcomes)


def first(world: World, start: str, split: str = "train") -> Task:
    """Return the first task whose gold begins so."""
    return next(task for task in world.tasks(split) if gold(world, task).startswith(start))


@pytest.mark.parametrize(("level", "convention"), [(1, 0), (2, 0), (3, 0), (3, 5)])
def test_gold_does_every_task_and_nothing_does_none(level: int, convention: int) -> None:
    world = World(convention, level)
    tasks = [task for split in SPLITS for task in world.tasks(split)]

    async def scores() -> Counter[tuple[float | None, float | None]]:
        found = Counter[tuple[float | None, float | None]]()
        for task in tasks:
            attempts = Attempt(id="gold", task=task, answer=gold(world, task)), Attempt(id="null", task=task)
            right, nothing = [(await world.verify(task, attempt)).score for attempt in attempts]
            found[right, nothing] += 1
        return found

    assert asyncio.run(scores()) == {(1.0, 0.0): 460}
    assert world.card.splits == {"train": 200, "dev": 60, "test": 200}


def test_levels_ask_for_more_and_more_commands() -> None:
    worlds = [World(level=level) for level in (1, 2, 3)]
    lengths = [{gold(world, task).count("\n") + 1 for task in world.tasks("test")} for world in worlds]
    assert lengths[:2] == [{1}, {5}]
    assert min(lengths[2]) > 10
    assert max(lengths[2]) < 60


@pytest.mark.parametrize("level", [1, 2, 3])
def test_nothing_is_wished_in_two_splits_and_no_right_command_comes_twice(level: int) -> None:
    world = World(convention=3, level=level, tasks=300)
    tasks = [task for split in SPLITS for task in world.tasks(split)]
    assert len({task.prompt for task in tasks}) == len({gold(world, task) for task in tasks}) == len(tasks) == 690


def test_half_of_the_test_split_is_worded_as_no_other_and_about_other_things() -> None:
    world = World()
    groups = {split: Counter(str(task.data["group"]) for task in world.tasks(split)) for split in SPLITS}
    assert groups["train"] == {"seen": 200}
    assert groups["dev"] == {"seen": 60}
    assert groups["test"] == {"seen": 100, "new wording and things": 100}
    new_nouns = {noun for craft in CRAFTS for noun in craft.new_nouns}
    told = {task.data["group"]: set[str]() for task in world.tasks("test")}
    for task in world.tasks("test"):
        told[task.data["group"]] |= new_nouns & set(gold(world, task).split())
    assert told == {"seen": set(), "new wording and things": new_nouns}


def test_splits_share_the_rules_and_worlds_differ_in_them() -> None:
    def said(world: World, split: str) -> set[str]:
        return {" ".join(gold(world, task).split()[:2]) for task in world.tasks(split)}

    assert said(World(), "train") == said(World(), "test")
    assert len(said(World(), "train")) == len(OPEN.kinds) + len(PREPARE.kinds) + len(CHARM.kinds)
    rules = {(*r.keys.values(), *r.tools.values(), *r.words.values()) for r in map(Rules.of, range(16))}
    assert len(rules) == 16


def test_no_rule_stands_in_a_prompt() -> None:
    world = World(level=3)
    words = {*Rules.of(0).words.values(), *(f"{colour} key" for colour in COLOURS)}
    assert not [word for word in words for split in SPLITS for task in world.tasks(split) if word in task.prompt]


def test_a_wrong_key_tool_or_word_spoils_the_thing_for_good() -> None:
    world, rules = World(), Rules.of(0)
    for start in ("use", "say"):
        for task in [task for task in world.tasks("train") if gold(world, task).startswith(start)][:20]:
            right = gold(world, task)
            instrument = right.removeprefix("use ").removeprefix("say ").split(" on ")[0].split(" to ")[0]
            known = next(
                group for group in (rules.keys, rules.tools, rules.words) if instrument.split()[0] in group.values()
            )
            wrong = [right.replace(instrument.split()[0], other, 1) for other in known.values()]
            assert [score(world, task, other, right) for other in wrong] == [float(other == right) for other in wrong]


def test_a_wrong_try_says_what_happened_and_ends_the_episode() -> None:
    world, rules = World(), Rules.of(0)
    task = first(world, "say")
    right = gold(world, task)
    _, word, _, thing = right.split(" ", 3)
    effect, other = next((effect, other) for effect, other in rules.words.items() if other != word)
    (outcome,) = played(world, task, f"say {other} to {thing}")
    assert outcome.observation == f"The {thing} becomes {effect}.\nThis can never be put right."
    assert (outcome.terminated, outcome.reward) == (True, 0.0)


def test_rewards_add_up_to_the_score_and_actions_are_shown() -> None:
    world = World(level=2)
    task = world.tasks("train")[0]
    outcomes = played(world, task, *gold(world, task).splitlines())
    assert sum(outcome.reward for outcome in outcomes) == 1.0
    assert [outcome.terminated for outcome in outcomes] == [False] * 4 + [True]
    for outcome, command in zip(outcomes, gold(world, task).splitlines()[1:], strict=False):
        assert command in outcome.info["actions"]  # type: ignore[operator]
    assert outcomes[-1].info["actions"] == []


def test_each_action_that_is_shown_does_something() -> None:
    world = World(level=3)
    task = world.tasks("train")[3]

    async def said() -> list[str]:
        episode = await world.open(task)
        for command in gold(world, task).splitlines()[:6]:
            await episode.step(saying(command))
        found = []
        for action in episode.actions:
            other = await world.open(task)
            outcome = await other.step(saying(*gold(world, task).splitlines()[:6], action))
            found.append(outcome.observation.splitlines()[6])
        return found

    refusals = ("There is no", "You have no", "Nothing happens", "That is no command", "cannot be taken", "already")
    assert not [line for line in asyncio.run(said()) if any(refusal in line for refusal in refusals)]


def test_part_of_a_wish_scores_its_share() -> None:
    world = World(level=2)
    task = first(world, "go")
    *most, _ = gold(world, task).splitlines()
    assert score(world, task, *most) == 0.5


def test_food_takes_a_word_at_one_moment_alone() -> None:
    world, rules = World(level=3), Rules.of(0)
    for task in world.tasks("train"):
        commands = gold(world, task).splitlines()
        done = [c for c in commands if " of " in c and c.startswith(("use", "say"))]
        if len(done) == 2:
            use, say = sorted(done, reverse=True)
            kind = use.rsplit(" ", 1)[1]
            assert (done[0] == say) == (kind in rules.charmed_first)
            places = [commands.index(line) for line in done]
            commands[places[0]], commands[places[1]] = commands[places[1]], commands[places[0]]
            found = score(world, task, *commands)
            assert found is not None
            assert found < 1


def test_a_thing_takes_one_word_in_its_life() -> None:
    world, rules = World(level=2), Rules.of(0)
    task = next(task for task in world.tasks("train") if "\nsay " in gold(world, task))
    way, say, *rest = gold(world, task).splitlines()
    other = next(word for word in rules.words.values() if word not in say)
    again = f"say {other} to {say.split(' to ')[1]}"
    assert played(world, task, way, say, again)[2].observation == "Nothing happens."
    assert score(world, task, "\n".join([way, say, again, *rest])) == 1.0


def test_what_is_locked_in_cannot_be_taken() -> None:
    world = World(level=2)
    task = next(task for task in world.tasks("train") if "\ntake" in gold(world, task) and " key " in gold(world, task))
    way, _, take, *_ = gold(world, task).splitlines()
    treasure = take.removeprefix("take ")
    assert played(world, task, way, take)[1].observation == f"There is no {treasure} to take here."


def test_a_locked_door_is_in_the_way_and_a_jammed_one_loses() -> None:
    rules = Rules.of(0)
    things = [Thing(f"{colour} key", "key", colour, BAG) for colour in COLOURS]
    things += [Thing("oak door", "door", "oak", "hall"), Thing("old cup", "ware", "", "attic")]
    ways = {"hall": {"north": Exit("attic", "oak door")}, "attic": {"south": Exit("hall", "oak door")}}
    place, facts = Place(Scene("hall", ways, tuple(things)), rules), [Fact("old cup", mark="warm")]
    assert place.do("go north") == "The oak door is locked."
    place.do(f"use {rules.keys['oak']} key on oak door")
    assert place.do("go north").startswith("You are in the attic. You see: old cup.")
    for colour in COLOURS:
        other = Place(Scene("hall", ways, tuple(things)), rules)
        other.do(f"use {colour} key on oak door")
        assert is_lost(other, facts) == (colour != rules.keys["oak"])


def test_what_is_spoiled_where_it_is_to_be_scores_nothing() -> None:
    world, rules = World(level=2), Rules.of(0)
    task = next(task for task in world.tasks("train") if " of " in gold(world, task))
    way, use, *rest = gold(world, task).splitlines()
    tool = use.split()[1]
    other = next(known for known in rules.tools.values() if known != tool)
    assert score(world, task, "\n".join([way, *rest])) == 0.5
    assert score(world, task, "\n".join([way, *rest, use.replace(tool, other, 1)])) == 0.0


def test_time_runs_out() -> None:
    world = World()
    task = world.tasks("train")[0]
    outcomes = played(world, task, "look", "dance", "")
    assert [(o.truncated, o.terminated) for o in outcomes] == [(False, False), (False, False), (True, False)]
    assert outcomes[1].observation == "That is no command here; `commands` lists what can be done."
    assert outcomes[2].observation.endswith("There is no time left.")
    assert score(world, task, "look\nlook\nlook", gold(world, task)) == 0.0
    assert score(world, task, "look\nlook", gold(world, task)) == 1.0


def test_levels_of_feedback() -> None:
    world = World()
    task = first(world, "use")
    ends = {level: played(world, task, "look\nlook\nlook", feedback=level)[-1] for level in ("none", "weak", "strong")}
    assert ends["none"].observation + "\nThere is no time left." == ends["weak"].observation
    assert ends["strong"].observation == f"{ends['weak'].observation}\nWhat would have been right:\n{gold(world, task)}"
    assert [played(world, task, gold(world, task), feedback=level)[-1].reward for level in ("none", "weak")] == [0, 1]
    with pytest.raises(UnknownName, match="feedback level"):
        asyncio.run(world.open(task, feedback="loud"))  # type: ignore[arg-type]


def test_it_says_what_is_there() -> None:
    world = World(level=3)
    task = next(task for task in world.tasks("train") if " through " in played(world, task, "look")[0].observation)
    (looked,), (held,), (listed,) = (played(world, task, command) for command in ("look", "bag", "commands"))
    assert looked.observation.startswith(f"You are in the {task.prompt.rsplit(' ', 1)[1]} You see: ")
    assert " door (locked)" in looked.observation
    assert held.observation == "In your bag: nothing."
    assert listed.observation.startswith("You could: look, bag, go ")


@pytest.mark.parametrize(
    "command", ["go up", "take table", "take moon", "put moon on table", "use moon on table", "say x to moon"]
)
def test_what_cannot_be_done_is_said(command: str) -> None:
    said = played(World(level=2), World(level=2).tasks("train")[0], command)[0].observation
    assert any(word in said for word in ("There is no", "You have no", "cannot be taken"))


def test_a_smaller_world_has_the_first_tasks_of_a_larger_one() -> None:
    assert list(World(level=3, tasks=20).tasks("test")) == list(World(level=3).tasks("test"))[:20]


def digest(number: int) -> str:
    world = World(number, 3, 20)
    told = [[task.model_dump(mode="json"), gold(world, task)] for split in SPLITS for task in world.tasks(split)]
    return hashlib.sha256(json.dumps(told).encode()).hexdigest()


def test_another_process_makes_up_the_same() -> None:
    folder = str(Path(__file__).parent)
    code = f"import sys; sys.path.insert(0, {folder!r}); import test_world; print(test_world.digest(4))"
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, env={"PYTHONHASHSEED": "1"}, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == digest(4)


def test_it_is_loaded_by_name() -> None:
    world, split = load("world:level=2,convention=1,tasks=10@1/train")
    assert (repr(world), split) == ("World(convention=1, level=2, tasks=10)", "train")
    with pytest.raises(Misuse, match=r"expected 1 \(one command\), 2 \(two rooms\) or 3 \(five rooms\)"):
        World(level=4)
    with pytest.raises(Misuse, match="from 10 to 300"):
        World(tasks=301)


def test_an_attempt_is_scored_by_what_it_did_and_not_by_its_prompt() -> None:
    world = World()
    one, other = world.tasks("train")[:2]
    recalled: tuple[Message, ...] = (saying(gold(world, one)), {"role": "user", "content": one.prompt})
    attempt = Attempt(id="a", task=one, messages=(*recalled, saying("look")), prompt=2, answer=gold(world, one))
    assert asyncio.run(world.verify(one, attempt)).score == 0.0
    assert asyncio.run(world.verify(one, attempt_of(one, [saying(gold(world, one))]))).score == 1.0
    with pytest.raises(Misuse, match="is not the one of"):
        asyncio.run(world.verify(one.but(prompt=other.prompt), attempt))
