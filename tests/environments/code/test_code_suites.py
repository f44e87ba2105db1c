"""Published sets as environments: what their own solutions score, in both modes, and how they are named."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from published import HUMAN_EVAL_ROW, LEAP, LEETCODE_ROW, MBPP_ROW, lines, written

from agentevo.environments import check_environment, load
from agentevo.environments.code import MBPP, Code, Exercism, HumanEval, LeetCode
from agentevo.environments.code.formats import humaneval
from agentevo.environments.sandbox import Sandbox
from agentevo.errors import MissingExtra
from agentevo.types import Attempt

STACK = {
    **LEAP,
    ".meta/config.json": json.dumps({"files": {"solution": ["stack.py"], "test": ["stack_test.py"]}}),
    "stack.py": "class Stack:\n    pass\n",
    "stack_test.py": "import unittest\nfrom stack import Stack, EmptyError\n\n\nclass StackTest(unittest.TestCase):\n"
    "    def test_last_comes_first(self):\n        stack = Stack()\n        stack.push(1)\n        stack.push(2)\n"
    "        self.assertEqual(stack.pop(), 2)\n\n"
    "    def test_empty(self):\n        with self.assertRaises(EmptyError) as caught:\n            Stack().pop()\n"
    "        self.assertEqual(caught.exception.args[0], 'empty')\n",
}
STACKED = """
class EmptyError(Exception):
    pass


class Stack:
    def __init__(self):
        self.items = []

    def push(self, item):
        self.items.append(item)

    def pop(self):
        if not self.items:
            raise EmptyError("empty")
        return self.items.pop()
"""


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox() as one:
        yield one


def made(name: str, folder: Path, sandbox: Sandbox, mode: Any = "answer") -> Code:
    if name == "exercism":
        return Exercism(str(written(folder / "track" / "leap", LEAP).parent), mode, sandbox=sandbox)
    kinds: dict[str, tuple[type[Any], Mapping[str, object]]] = {
        "humaneval": (HumanEval, HUMAN_EVAL_ROW), "mbpp": (MBPP, MBPP_ROW), "leetcode": (LeetCode, LEETCODE_ROW),
    }  # fmt: skip
    kind, row = kinds[name]
    environment: Code = kind(str(lines(folder, row)), mode, sandbox=sandbox)
    return environment


def score(environment: Code, answer: str) -> float | None:
    (task,) = environment.tasks("test")
    return asyncio.run(environment.verify(task, Attempt(id="a", task=task, answer=answer))).score


@pytest.mark.parametrize("mode", ["answer", "workspace"])
@pytest.mark.parametrize("name", ["humaneval", "mbpp", "leetcode", "exercism"])
def test_a_published_solution_is_right_and_the_contract_holds(
    name: str, mode: str, tmp_path: Path, sandbox: Sandbox
) -> None:
    environment = made(name, tmp_path, sandbox, mode)
    assert environment.card.gold_score == 1.0
    assert {"gold", "null", "actions"} <= set(check_environment(environment, episodes=2))


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        ("humaneval", "def double(x): return 0"),
        ("mbpp", "def add(a, b): return 1"),
        ("leetcode", "class Solution:\n    def twoSum(self, a): return a + [0]"),
        ("exercism", "def leap_year(year): return False\nOTHER = 1"),
    ],
)
def test_a_wrong_solution_scores_nothing(name: str, wrong: str, tmp_path: Path, sandbox: Sandbox) -> None:
    assert score(made(name, tmp_path, sandbox), wrong) == 0.0


def test_the_body_of_a_function_is_an_answer_too(tmp_path: Path, sandbox: Sandbox) -> None:
    environment = made("humaneval", tmp_path, sandbox)
    assert score(environment, "return x * 2") == 1.0
    assert score(environment, "def double(x):\n    return half(x) * 4") == 1.0


def test_classes_and_errors_of_a_solution_are_tested_across_the_walls(tmp_path: Path, sandbox: Sandbox) -> None:
    environment = Exercism(str(written(tmp_path / "stack", STACK)), sandbox=sandbox)
    assert environment.card.gold_score is None
    (task,) = environment.tasks("test")
    told = asyncio.run(environment.verify(task, Attempt(id="a", task=task, answer=STACKED)))
    assert (told.score, told.evidence) == (1.0, {"passed": 1, "of": 1})
    (seen,) = asyncio.run(environment.run_tests(task, STACKED))
    assert seen.score == 1.0
    assert score(environment, STACKED.replace('"empty"', '"full"')) == 0.0


def test_a_suite_is_named_with_its_path_and_mode(tmp_path: Path) -> None:
    environment, split = load(f'mbpp:path="{lines(tmp_path, MBPP_ROW)}",mode=workspace/test')
    assert (repr(environment), split) == ("MBPP('mbpp', mode='workspace', 1 tasks)", "test")
    assert load("humaneval")[0].card.splits == {"test": 164}
    assert load("library:level=2,tasks=20")[0].card.splits == {"train": 20, "dev": 6, "test": 20}


def test_without_the_package_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.path", [])
    monkeypatch.setattr("sys.path_importer_cache", {})
    with pytest.raises(
        MissingExtra, match=r"HumanEval needs packages that are not installed: pip install 'agentevo\[code\]'"
    ):
        humaneval.shipped()
