"""A row or a folder of each published format, small enough to be read, and the files they are kept in."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

HUMAN_EVAL_ROW = {
    "task_id": "H/0", "entry_point": "double",
    "prompt": "import math\n\ndef half(x):\n    return x / 2\n\n"
    'def double(x):\n    """Twice.\n    >>> double(2)\n    4\n    """\n',
    "canonical_solution": "    return x * 2\n",
    "test": "METADATA = {}\n\ndef check(candidate):\n    assert candidate(1) == 2\n    assert True, 'fine'\n"
    "    assert candidate(3) == 6, 'six'\n",
}  # fmt: skip
MBPP_ROW = {
    "task_id": 12, "text": "Add two numbers. ", "code": "def helper(): ...\r\ndef add(a, b):\r\n    return a + b",
    "test_list": ["assert add(1, 2) == 3", "assert add(0, 0) == 0"], "challenge_test_list": ["assert add(-1, 1) == 0"],
    "test_setup_code": "import math",
}  # fmt: skip
LEETCODE_ROW = {
    "task_id": "two-sum", "prompt": "from typing import *\n", "entry_point": "Solution().twoSum", "difficulty": "Easy",
    "problem_description": "Find two.", "starter_code": "class Solution:\n    def twoSum(self, a):\n        ",
    "completion": "class Solution:\n    def twoSum(self, a):\n        return a",
    "test": "def check(candidate):\n    assert candidate(a = [1]) == [1]\n    assert candidate(a = [2]) == [2]\n",
}  # fmt: skip
LEAP = {
    ".meta/config.json": json.dumps(
        {"files": {"solution": ["leap.py"], "test": ["leap_test.py"], "example": [".meta/example.py"]}}
    ),
    ".meta/example.py": "OTHER = 1\n\n\ndef leap_year(year):\n    return year % 4 == 0\n",
    ".docs/instructions.md": "# Leap\n\nIs it one?\n",
    "leap.py": "def leap_year(year):\n    pass\n",
    "leap_test.py": "import unittest\n\nimport pytest\n\nfrom leap import (\n    leap_year,\n    OTHER,\n)\n\n\n"
    "class LeapTest(unittest.TestCase):\n    def setUp(self):\n        self.year = 2015\n\n"
    "    @pytest.mark.task(taskno=1)\n    def test_one(self):\n        self.assertIs(leap_year(self.year), False)\n\n"
    "    def test_two(self):\n        self.assertIs(leap_year(2016), True)\n\n\n"
    "if __name__ == '__main__':\n    unittest.main()\n",
}


def lines(folder: Path, *rows: Mapping[str, object]) -> Path:
    path = folder / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    return path


def written(folder: Path, files: Mapping[str, str]) -> Path:
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")
    return folder
