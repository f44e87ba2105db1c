"""LeetCode problems as JSON lines, as the data sets on the hubs have them: a class Solution, and check(candidate)."""

from __future__ import annotations

import re
from pathlib import Path

from agentevo.environments.answers.rows import Row, rows_of
from agentevo.environments.code.formats.cases import from_check, parsed
from agentevo.environments.code.formats.columns import name_in, text_in, text_or_none
from agentevo.environments.code.task import CodeTask
from agentevo.errors import Misuse
from agentevo.types import Task

_LINKED = re.compile(r"\b(?:ListNode|TreeNode|Node)\b")
_ENTRY = re.compile(r"(?P<owner>[A-Za-z_]\w*)\(\)\.(?P<method>[A-Za-z_]\w*)")


def leetcode_tasks(path: str | Path) -> list[CodeTask]:
    """Return the tasks of a file; where its asserts can be told apart, the first may be seen, the others are hidden."""
    return [_task(_flat(row)) for row in rows_of(path)]


def _flat(row: Row) -> Row:
    """Return a row with what stands in its column `meta`, as in some editions, beside its other columns."""
    meta = row.columns.get("meta")
    return Row(row.where, {**meta, **row.columns}) if isinstance(meta, dict) else row


def _task(row: Row) -> CodeTask:
    name, given = name_in(row, "task_id", "question_id"), text_or_none(row, "prompt")
    entry = _ENTRY.fullmatch(text_in(row, "entry_point").strip())
    if entry is None:
        found = text_in(row, "entry_point")
        raise Misuse(f"{row.where} has the entry point {found!r:.60}; expected such as 'Solution().twoSum'")
    owner, method = entry["owner"], entry["method"]
    parsed(given, f"{row.where}, column 'prompt'")
    tests = from_check(text_in(row, "test"), method, f"{row.where}, column 'test'")
    visible, hidden = (tests[:1], tests[1:]) if len(tests) > 1 else ((), tests)
    starter = (text_or_none(row, "starter_code") or text_or_none(row, "lang_code")).rstrip()
    told = [text_in(row, "problem_description", "content", "question_title", "query").strip(), starter]
    return CodeTask(
        task=Task(
            id=f"leetcode-{name}", prompt="\n\n".join(filter(None, told)),
            data={"entry_point": method, "tests": list(visible), "group": text_or_none(row, "difficulty")},
            provenance="LeetCode",
        ),
        split=text_or_none(row, "split") or "test", entry_point=method, visible=visible, hidden=hidden,
        gold=text_or_none(row, "completion") or None, prologue=given, defines=owner, support=given,
        is_plain=_LINKED.search(starter) is None,
        epilogue=f"\n\ndef {method}(*args, **kwargs):\n    return {owner}().{method}(*args, **kwargs)",
    )  # fmt: skip
