"""A programming task as the environment knows it: what is asked, and the tests, gold and files that go with it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

from agentevo.types import Task

SOLUTION = "solution.py"
Test: TypeAlias = str | tuple[str, str]
"""Python that calls what is asked for; or what a program is told on standard input, and what it is to print then."""


@dataclass(frozen=True, slots=True)
class CodeTask:
    """A task, and what only the environment knows of it.

    A test is a piece of Python: statements that call the entry point by its name, or a module with `test_` functions,
    a `unittest.TestCase`, or `check(candidate)`. Or it is an input and its output, for a program that reads and
    prints; such a task has no entry point. Each counts as one.
    """

    task: Task
    split: str
    entry_point: str
    """What the tests call: a function, or a class; empty where they only read what the program prints."""
    hidden: tuple[Test, ...]
    """The tests that score; nobody who answers ever sees them."""
    visible: tuple[Test, ...] = ()
    """The tests that may be shown, and whose output may be."""
    gold: str | None = None
    """A solution, whole, as its file would be."""
    prologue: str = ""
    """Stands before every solution: imports and helpers that the task gives."""
    starter: str = ""
    """The beginning of a solution, which an answer may go on from; a workspace starts with it."""
    defines: str = ""
    """The name that an answer must define, where that is not the entry point."""
    epilogue: str = ""
    """Stands after every solution: what gives the entry point its name."""
    support: str = ""
    """Trusted code that the tests need; it runs beside them, never beside a solution."""
    is_plain: bool = True
    """Whether solutions answer with plain values; where they do, one whose own objects decide a comparison cheats."""
    file: str = SOLUTION
    """Where a workspace keeps the solution."""
    files: Mapping[str, str] = field(default_factory=dict)
    """Other files that a solution finds, a library say."""

    @property
    def asked_for(self) -> str:
        """The name that an answer must define."""
        return self.defines or self.entry_point
