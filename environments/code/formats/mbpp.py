"""MBPP: short programs with a few asserts each, as JSON lines; also the sanitized edition, and MBPP+ of that form."""

from __future__ import annotations

import ast
import re
from pathlib import Path

from agentevo.environments.answers.rows import Row, rows_of
from agentevo.environments.code.formats.cases import parsed
from agentevo.environments.code.formats.columns import name_in, text_in, text_or_none, texts_in
from agentevo.environments.code.task import CodeTask
from agentevo.errors import Misuse
from agentevo.types import Task

SPLITS = ((10, "prompt"), (510, "test"), (600, "validation"), (974, "train"))
"""Up to which number of a task which split goes, as the authors cut it."""


def mbpp_tasks(path: str | Path) -> list[CodeTask]:
    """Return the tasks of a file; the first assert of each may be seen, the others are hidden."""
    return [_task(row) for row in rows_of(path)]


def _task(row: Row) -> CodeTask:
    name, code, tests = name_in(row, "task_id"), text_in(row, "code"), texts_in(row, "test_list")
    tests += texts_in(row, "challenge_test_list", may_lack=True)
    for test in tests:
        if not any(isinstance(node, ast.Assert) for node in parsed(test, f"{row.where}, column 'test_list'").body):
            raise Misuse(f"{row.where} has the test {test!r:.60}; expected an assert")
    entry_point = _called(code, tests[0], row)
    visible, hidden = (tuple(tests[:1]), tuple(tests[1:])) if len(tests) > 1 else ((), tuple(tests))
    told = [text_in(row, "text", "prompt").strip(), f"Name the function `{entry_point}`."]
    told += ["For example, this must hold:", *visible] if visible else []
    setup = [*texts_in(row, "test_imports", may_lack=True), text_or_none(row, "test_setup_code")]
    return CodeTask(
        task=Task(
            id=f"mbpp-{name}", prompt="\n".join(told), data={"entry_point": entry_point, "tests": list(visible)},
            provenance="MBPP",
        ),
        split=text_or_none(row, "split") or _split(name), entry_point=entry_point, visible=visible, hidden=hidden,
        gold=code.replace("\r\n", "\n"), support="\n".join(filter(None, setup)),
    )  # fmt: skip


def _called(code: str, test: str, row: Row) -> str:
    """Return the function of the solution that a test calls."""
    defined: list[str] = re.findall(r"^(?:async )?def (\w+)", code, re.MULTILINE)
    called: list[str] = re.findall(r"\b(\w+)\s*\(", test)
    for name in called:
        if name in defined:
            return name
    raise Misuse(
        f"{row.where} has a test that calls {', '.join(called) or 'nothing'}, and code that defines "
        f"{', '.join(defined) or 'nothing'}; expected a test of a function in it"
    )


def _split(name: str) -> str:
    if not name.isdecimal():
        return "test"
    return next((split for last, split in SPLITS if int(name) <= last), "test")
