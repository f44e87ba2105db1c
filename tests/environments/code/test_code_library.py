"""The library of the house: what is drawn, what is kept from a prompt, and what its conventions are."""

from __future__ import annotations

import ast
import hashlib
import json
import re
import subprocess
import sys
from collections.abc import Mapping

import pytest

from agentevo.environments.code.library import HouseLibrary
from agentevo.environments.code.library.convention import Convention
from agentevo.environments.code.library.requests import requests
from agentevo.environments.code.library.words import OPERATIONS, VALUES
from agentevo.environments.code.task import CodeTask
from agentevo.errors import Misuse, UnknownName

SPLITS = ("train", "dev", "test")
LEVELS = (1, 2, 3)


def drawn(level: int = 1, split: str = "train", count: int = 200, number: int = 0) -> list[CodeTask]:
    return list(requests(number, level, split, count))


def shape(sentence: str) -> str:
    """Return a sentence without the values in it."""
    for values in VALUES.values():
        for value in values:
            sentence = re.sub(rf"\b{value}\b", "_", sentence)
    return sentence


def test_the_splits_have_the_tasks_that_the_card_names() -> None:
    library = HouseLibrary(tasks=50)
    assert library.card.splits == {"train": 50, "dev": 15, "test": 50}
    assert {split: len(library.tasks(split)) for split in library.splits()} == library.card.splits


@pytest.mark.parametrize("level", LEVELS)
def test_nothing_is_asked_in_two_splits_or_twice(level: int) -> None:
    library = HouseLibrary(convention=3, level=level, tasks=240)
    tasks = [task for split in SPLITS for task in library.tasks(split)]
    assert len({task.prompt for task in tasks}) == len(tasks) == 552
    gold = [str(library.gold(task)[0]["content"]) for task in tasks]
    assert len(set(gold)) == len(gold)


def test_half_of_the_test_split_is_phrased_as_no_other_split_is() -> None:
    groups = {split: {str(one.task.data["group"]) for one in drawn(split=split)} for split in SPLITS}
    assert groups == {"train": {"seen phrasing"}, "dev": {"seen phrasing"}, "test": {"seen phrasing", "new phrasing"}}
    new = [one.task for one in drawn(split="test") if one.task.data["group"] == "new phrasing"]
    assert len(new) == 100
    assert {shape(task.prompt) for task in new}.isdisjoint(shape(one.task.prompt) for one in drawn())


def test_new_tasks_of_level_three_have_steps_that_never_came_one_after_the_other() -> None:
    def pairs(split: str, group: str) -> set[str]:
        return {one.entry_point for one in drawn(3, split) if one.task.data["group"] == group}

    known = pairs("train", "seen phrasing") | pairs("dev", "seen phrasing") | pairs("test", "seen phrasing")
    assert pairs("test", "new phrasing").isdisjoint(known)
    assert len(pairs("test", "new phrasing")) >= 8


def test_levels_one_and_two_ask_the_same_and_level_three_goes_on() -> None:
    one, two, three = ([t.task.prompt for t in drawn(level, "test", 60)] for level in LEVELS)
    assert one == two
    sentences = [prompt.partition(": ")[2] for prompt in one]
    assert all(
        longer.partition(": ")[2].startswith(sentence) for sentence, longer in zip(sentences, three, strict=True)
    )


def test_level_one_is_one_call_with_the_words_of_the_task_as_they_stand() -> None:
    for one in drawn():
        assert one.gold is not None
        (function,) = ast.parse(one.gold).body
        assert isinstance(function, ast.FunctionDef)
        (returned,) = function.body
        assert isinstance(returned, ast.Return)
        assert isinstance(returned.value, ast.Call)
        words = [a.value for a in returned.value.args if isinstance(a, ast.Constant)]
        names = [a.id for a in returned.value.args if isinstance(a, ast.Name)]
        assert all(str(word) in one.task.prompt for word in words)
        assert [*map(str, names)] == [argument.arg for argument in function.args.args]


def test_level_two_marks_every_word_and_counts_in_other_units() -> None:
    for one in drawn(2):
        assert one.gold is not None
        assert re.search(r" \* \d+[,)]", one.gold)
        assert all(not word[0].isalnum() for word in re.findall(r'"([^"]+)"', one.gold))


def test_every_function_of_the_library_is_a_name_that_python_takes() -> None:
    for number in range(300):
        convention = Convention.of(number, 2)
        names = [*convention.functions.values()]
        assert len(set(names)) == len(OPERATIONS)
        ast.parse(convention.source() + "\n" + "\n".join(f"x.{name}()" for name in [*names, convention.library]))


def test_the_documentation_tells_names_and_arguments_and_no_marks_units_or_refusals() -> None:
    convention = Convention.of(0, 3)
    told = convention.documentation()
    assert all(f"{convention.library}.{name}(" in told for name in convention.functions.values())
    factors = {str(factor) for factor in convention.factors.values()}
    assert convention.refusal not in told
    assert not factors & set(re.findall(r"\d+", told))


def test_conventions_differ() -> None:
    assert len({Convention.of(number, 1).source() for number in range(32)}) == 32


def test_a_task_shows_no_part_of_its_solution_and_no_hidden_test() -> None:
    for one in drawn(3, "test", 40):
        kept = json.dumps(one.task.model_dump(mode="json"))
        calls = re.findall(r"\w+\.\w+\(", one.gold or "")
        assert len(calls) == 2
        assert not any(call in kept for call in calls)
        assert not any(json.dumps(test) in kept for test in one.hidden)
        assert one.task.data["tests"] == [*one.visible]


def test_a_test_never_asks_for_a_refusal_alone() -> None:
    tests = [str(test) for one in drawn(3, "test", 60) for test in (*one.visible, *one.hidden)]
    assert any(test.endswith("is None") for test in tests)
    assert not any(test.split("\n")[0].endswith("is None") for test in tests)


def test_a_smaller_library_has_the_first_tasks_of_a_larger_one() -> None:
    assert list(HouseLibrary(tasks=20).tasks("test")) == list(HouseLibrary(tasks=200).tasks("test"))[:20]


def digest() -> str:
    told = [
        [one.task.model_dump(mode="json"), one.gold, one.hidden, *one.files.values()]
        for level in LEVELS
        for split in SPLITS
        for one in drawn(level, split, 60, number=5)
    ]
    return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()


def test_version_one_stays_what_it_is() -> None:
    assert HouseLibrary().card.version == "1"
    assert digest() == "98da44b321b9b0b6cd9cde751cb6c082407c197012d5a4ccc4b197f0943184dc", (
        "other tasks are another version: raise the version of the card"
    )


PROGRAM = "import sys, runpy; print(runpy.run_path(sys.argv[1])['digest']())"


@pytest.mark.parametrize("hash_seed", ["0", "7"])
def test_another_process_draws_the_same(hash_seed: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, __file__],
        env={"PYTHONHASHSEED": hash_seed}, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout.strip() == digest()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"convention": -1}, "convention is -1; expected the number of a convention, 0 or more"),
        ({"level": 4}, "level is 4; expected 1"),
        ({"level": True}, "level is True"),
        ({"tasks": 9}, "tasks is 9; expected how many train and test have, from 10 to 240"),
        ({"tasks": 241}, "tasks is 241"),
    ],
)
def test_impossible_libraries_are_refused(options: Mapping[str, int], said: str) -> None:
    with pytest.raises(Misuse) as refusal:
        HouseLibrary(**options)  # type: ignore[arg-type]
    assert said in str(refusal.value)


def test_an_unknown_mode_is_refused() -> None:
    with pytest.raises(UnknownName, match="unknown mode 'chat'; known: answer, workspace"):
        HouseLibrary(mode="chat")  # type: ignore[arg-type]
