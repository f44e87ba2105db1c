"""Published sets of programming tasks as environments: HumanEval, and MBPP, LeetCode and Exercism by path."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agentevo.environments.code.environment import Code, Mode
from agentevo.environments.code.formats.exercism import exercism_tasks
from agentevo.environments.code.formats.humaneval import human_eval_tasks
from agentevo.environments.code.formats.leetcode import leetcode_tasks
from agentevo.environments.code.formats.mbpp import mbpp_tasks

if TYPE_CHECKING:
    from agentevo.environments.sandbox import Sandbox

ASKED = "Write the Python function that is asked for, with the imports that it needs."


class HumanEval(Code):
    """HumanEval (Chen et al. 2021): of the package human-eval (extra `code`), or of a file in its format."""

    def __init__(self, path: str = "", mode: Mode = "answer", *, sandbox: Sandbox | None = None) -> None:
        super().__init__(
            human_eval_tasks(path or None), name="humaneval", licence="MIT", mode=mode, sandbox=sandbox,
            description="Functions to be written from signature and docstring", instruction=ASKED,
        )  # fmt: skip


class MBPP(Code):
    """Mostly Basic Python Problems (Austin et al. 2021), or a set in its format, from a JSONL file."""

    def __init__(self, path: str, mode: Mode = "answer", *, sandbox: Sandbox | None = None) -> None:
        super().__init__(
            mbpp_tasks(path), name="mbpp", licence="of the file given", mode=mode, sandbox=sandbox,
            description="Short programs described in a sentence", instruction=ASKED,
        )  # fmt: skip


class LeetCode(Code):
    """LeetCode problems in the form of LeetCodeDataset, from a JSONL file: the user's own copy."""

    def __init__(self, path: str, mode: Mode = "answer", *, sandbox: Sandbox | None = None) -> None:
        super().__init__(
            leetcode_tasks(path), name="leetcode", licence="of the file given", mode=mode, sandbox=sandbox,
            description="Methods of a class Solution", instruction="Write the Python class Solution.",
        )  # fmt: skip


class Exercism(Code):
    """Exercises of an Exercism track, from a folder: the user's own copy."""

    def __init__(self, path: str, mode: Mode = "answer", *, sandbox: Sandbox | None = None) -> None:
        super().__init__(
            exercism_tasks(path), name="exercism", licence="of the folder given", mode=mode, sandbox=sandbox,
            description="Exercises with instructions and tests", instruction="Write the Python module.",
        )  # fmt: skip
