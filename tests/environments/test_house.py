"""House commands: what is drawn, what is kept from a prompt, and what counts as right."""

from __future__ import annotations

import asyncio
import hashlib
import json
import subprocess
import sys

import pytest

from agentevo.environments.tool.house import House
from agentevo.environments.tool.house.words import INTENTS, VALUES
from agentevo.errors import Misuse, UnknownName
from agentevo.protocols import FeedbackLevel
from agentevo.types import Attempt, Message, Outcome, Task

SPLITS = ("train", "dev", "test")


def command(house: House, task: Task) -> str:
    (action,) = house.gold(task)
    return str(action["content"])


def commands(house: House, split: str) -> list[str]:
    return [command(house, task) for task in house.tasks(split)]


def score(house: House, task: Task, answer: str) -> float | None:
    return asyncio.run(house.verify(task, Attempt(id="a", task=task, answer=answer))).score


def step(house: House, task: Task, action: Message, feedback: FeedbackLevel = "weak") -> Outcome:
    async def one() -> Outcome:
        episode = await house.open(task, feedback=feedback)
        return await episode.step(action)

    return asyncio.run(one())


def test_the_splits_have_the_tasks_that_the_card_names() -> None:
    house = House(tasks=50)
    assert house.card.splits == {"train": 50, "dev": 15, "test": 50}
    assert {split: len(house.tasks(split)) for split in house.splits()} == house.card.splits


@pytest.mark.parametrize("level", [1, 2, 3])
def test_nothing_is_asked_in_two_splits_or_twice(level: int) -> None:
    house = House(convention=3, level=level, tasks=1000)
    asked = [task.prompt for split in SPLITS for task in house.tasks(split)]
    right = [line for split in SPLITS for line in commands(house, split)]
    assert len(set(asked)) == len(asked) == 2300
    assert len(set(right)) == len(right)


def test_half_of_the_test_split_is_phrased_as_no_other_split_is() -> None:
    house = House()
    groups = {split: {str(task.data["group"]) for task in house.tasks(split)} for split in SPLITS}
    assert groups == {"train": {"seen phrasing"}, "dev": {"seen phrasing"}, "test": {"seen phrasing", "new phrasing"}}
    new = [task for task in house.tasks("test") if task.data["group"] == "new phrasing"]
    assert len(new) == 100
    assert {shape(task.prompt) for task in new}.isdisjoint(shape(task.prompt) for task in house.tasks("train"))


def shape(sentence: str) -> str:
    """Return a sentence without the values in it."""
    for values in VALUES.values():
        for value in values:
            sentence = sentence.replace(value, "_")
    return sentence


def test_each_intent_has_at_least_three_phrasings_and_new_ones_that_differ() -> None:
    assert len(INTENTS) == 8
    for intent in INTENTS:
        assert len(intent.seen) >= 3
        assert len(intent.new) >= 2
        assert not set(intent.seen) & set(intent.new)
        assert all(f"{{{slot}}}" in phrasing for phrasing in intent.seen + intent.new for slot in intent.slots)


def test_no_value_stands_for_two_slots() -> None:
    values = [value for values in VALUES.values() for value in values]
    assert len(set(values)) == len(values)


def test_level_one_takes_the_values_as_they_stand() -> None:
    house = House(convention=0, level=1)
    for task in house.tasks("train"):
        code, _, rest = command(house, task).partition(" ")
        assert len(code) == 3
        assert code.isupper()
        assert all(value in task.prompt for value in rest.split(" | "))


def test_higher_levels_ask_the_same_in_another_form() -> None:
    house, glued, converted = House(level=1), House(level=2), House(level=3)
    sentences = [[task.prompt for task in one.tasks("test")] for one in (house, glued, converted)]
    assert sentences[0] == sentences[1] == sentences[2]
    task = next(task for task in converted.tasks("test") if "pm" in task.prompt)
    clock = str(int(task.prompt.split("pm")[0].split()[-1]) + 12)
    assert f"{clock}:00" in commands(converted, "test")[converted.tasks("test").index(task)]
    assert not any(" " in line for one in (glued, converted) for line in commands(one, "test"))


@pytest.mark.parametrize("level", [1, 2, 3])
def test_conventions_differ(level: int) -> None:
    forms = {tuple(line.split()[0][:4] for line in commands(House(number, level, 16), "train")) for number in range(16)}
    assert len(forms) == 16


def test_a_smaller_house_has_the_first_tasks_of_a_larger_one() -> None:
    small, large = House(tasks=20), House(tasks=200)
    assert list(small.tasks("test")) == list(large.tasks("test"))[:20]


def digest(house: House) -> str:
    told = [[task.model_dump(mode="json"), command(house, task)] for split in SPLITS for task in house.tasks(split)]
    return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()


PROGRAM = """
import sys, runpy
from agentevo.environments.tool.house import House
names = runpy.run_path(sys.argv[1])
print(names["digest"](House(5, 3, 60)))
"""


@pytest.mark.parametrize("hash_seed", ["0", "7"])
def test_another_process_draws_the_same(hash_seed: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, __file__],
        env={"PYTHONHASHSEED": hash_seed}, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout.strip() == digest(House(5, 3, 60))


def test_version_one_stays_what_it_is() -> None:
    assert House().card.version == "1"
    assert digest(House()) == "b8a3258057291f45ebeb7ed43c0d4975e8d5f509995a7d8671b4eb00f5cb597b", (
        "other tasks are another version: raise the version of the card"
    )


def test_a_task_shows_no_part_of_its_command() -> None:
    house = House(level=2)
    for task in house.tasks("test"):
        kept = json.dumps(task.model_dump(mode="json"))
        assert command(house, task) not in kept
        assert command(house, task)[:3] not in kept
        assert set(task.data) == {"group"}


def test_only_the_first_line_counts_and_nothing_but_the_command_is_right() -> None:
    house = House()
    task = house.tasks("test")[0]
    right = command(house, task)
    for answer in (right, f"  {right}\t", f"\n{right}\nThat reminds her.", f"{right}\r\n"):
        assert score(house, task, answer) == 1.0, answer
    for answer in ("", right.lower(), f"`{right}`", f"{right}.", f"Sure:\n{right}", right.replace(" | ", " |")):
        assert score(house, task, answer) == 0.0, answer


def test_a_task_that_travelled_is_verified_in_a_house_made_anew() -> None:
    task = House(2).tasks("dev")[3]
    travelled = Task.model_validate_json(task.model_dump_json())
    assert score(House(2), travelled, command(House(2), task)) == 1.0


def test_tasks_of_another_house_are_refused() -> None:
    other = House(1).tasks("test")[0]
    with pytest.raises(Misuse, match=r"House\(convention=0, level=1, tasks=200\) has no task 'house-1-1-test-000'"):
        score(House(), other, "x")
    own = House().tasks("test")[0].but(prompt="Open the gates.")
    with pytest.raises(Misuse, match="it says 'Open the gates"):
        asyncio.run(House().open(own))
    with pytest.raises(UnknownName, match="unknown split of house 'tset'; known: test"):
        House().tasks("tset")


@pytest.mark.parametrize(
    ("feedback", "wrong", "right"),
    [
        ("none", Outcome(observation="", terminated=True), Outcome(observation="", terminated=True)),
        (
            "weak",
            Outcome(observation="wrong", terminated=True),
            Outcome(observation="right", reward=1, terminated=True),
        ),
        (
            "strong",
            Outcome(observation="wrong; the command is: {}", terminated=True),
            Outcome(observation="right", reward=1, terminated=True),
        ),
    ],
)
def test_the_step_tells_what_the_level_of_feedback_allows(
    feedback: FeedbackLevel, wrong: Outcome, right: Outcome
) -> None:
    house = House()
    task = house.tasks("train")[0]
    said = wrong.but(observation=wrong.observation.format(command(house, task)))
    assert step(house, task, {"role": "assistant", "content": "nonsense"}, feedback) == said
    assert step(house, task, house.gold(task)[0], feedback) == right


@pytest.mark.parametrize("content", [None, 7, ["x"], {"text": "x"}, "", "x" * 1_000_000])
def test_an_action_that_is_no_command_is_wrong(content: None) -> None:
    outcome = step(House(), House().tasks("train")[0], {"role": "assistant", "content": content})
    assert (outcome.observation, outcome.terminated) == ("wrong", True)


def test_a_second_step_and_a_step_after_close_are_refused() -> None:
    async def steps() -> None:
        episode = await House().open(House().tasks("dev")[0])
        await episode.step({"role": "assistant", "content": "x"})
        with pytest.raises(Misuse, match="has had its only step"):
            await episode.step({"role": "assistant", "content": "x"})
        await episode.close()
        await episode.close()
        with pytest.raises(Misuse, match="is closed"):
            await episode.step({"role": "assistant", "content": "x"})

    asyncio.run(steps())


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"convention": -1}, "convention is -1; expected the number of a convention, 0 or more"),
        ({"convention": "a"}, "convention is 'a'"),
        ({"level": 4}, "level is 4; expected 1"),
        ({"level": True}, "level is True"),
        ({"tasks": 9}, "tasks is 9; expected how many train and test have, from 10 to 1000"),
        ({"tasks": 1001}, "tasks is 1001"),
    ],
)
def test_impossible_houses_are_refused(options: dict[str, int], said: str) -> None:
    with pytest.raises(Misuse) as refusal:
        House(**options)
    assert said in str(refusal.value)


def test_an_unknown_level_of_feedback_is_refused() -> None:
    with pytest.raises(UnknownName, match="feedback level"):
        asyncio.run(House().open(House().tasks("dev")[0], feedback="loud"))  # type: ignore[arg-type]
