"""Which program a reply amounts to."""

from __future__ import annotations

import pytest

from agentevo.environments.code.reply import LONGEST_REPLY, program_in
from agentevo.environments.code.task import CodeTask
from agentevo.types import Task

ADD = "def add(a, b):\n    return a + b"
HELPED = "def one():\n    return 1"


def asked(
    *, prologue: str = "", starter: str = "", epilogue: str = "", defines: str = "", entry_point: str = "add"
) -> CodeTask:
    return CodeTask(
        Task(id="t", prompt="p"), "test", entry_point, ("assert add(1, 2) == 3",), prologue=prologue, starter=starter,
        epilogue=epilogue, defines=defines,
    )  # fmt: skip


@pytest.mark.parametrize(
    "reply",
    [
        ADD,
        f"\n{ADD}\n",
        f"```python\n{ADD}\n```",
        f"Here it is:\n```py\n{ADD}\n```\nIt adds.",
        f"~~~\n{ADD}\n~~~",
        "1. So:\n   ```python\n   def add(a, b):\n       return a + b\n   ```",
        f"````\n{ADD}\n````",
        f"```python\n{ADD}",
        f"First a draft.\n```\ndef draft(): ...\n```\nThen:\n```\n{ADD}\n```",
        f"```\ndef add(a, b):\n    return 0\n```\nNo, better:\n```\n{ADD}\n```",
        f"```\n{ADD}\n```\nUse it so:\n```\nprint(add(1, 2))\n```",
        f"Sure, here is the function.\n\n{ADD}",
    ],
)
def test_a_program_is_found_however_it_is_wrapped(reply: str) -> None:
    assert program_in(reply, asked()) == f"{ADD}\n"


@pytest.mark.parametrize("first", ["limit = 3", "LIMIT = 3", "Limit: int = 3", "# Adds.", '"""Adds."""', "print(1)"])
def test_what_stands_before_the_function_is_part_of_the_program(first: str) -> None:
    assert program_in(f"{first}\n{ADD}", asked()) == f"{first}\n{ADD}\n"


def test_one_line_between_backticks_is_a_program() -> None:
    assert program_in("`add = lambda a, b: a + b`", asked()) == "add = lambda a, b: a + b\n"


@pytest.mark.parametrize(
    "code",
    ["async def add(a): ...", "class add: ...", "add = max", "add: object = max", "from operator import add"],
)
def test_whatever_gives_the_name_defines_it(code: str) -> None:
    assert program_in(code, asked()) == f"{code}\n"


@pytest.mark.parametrize(
    "reply",
    ["", "   \n", "I cannot do that.", "print(add(1, 2))", "def added(a): ...", "    def add(a): ...", "add == 3",
     "def add\0(a): ...", "def add(a): return '\ud800'", f"{ADD}\n" + "#" * LONGEST_REPLY],
)  # fmt: skip
def test_what_does_not_define_the_name_is_no_program(reply: str) -> None:
    assert program_in(reply, asked()) is None


def test_where_nothing_is_to_be_defined_any_reply_is_a_program() -> None:
    assert program_in("print(input())", asked(entry_point="")) == "print(input())\n"
    assert program_in("So:\n```\nprint(1)\n```", asked(entry_point="")) == "print(1)\n"
    assert program_in("  \n", asked(entry_point="")) is None


def test_pieces_that_hold_together_are_joined() -> None:
    reply = f"```\n{HELPED}\n```\nand\n```\nadd = one\n```\nthat is all"
    assert program_in(reply, asked(defines="one")) == f"{HELPED}\n"
    assert program_in("```\nx = 1\n```\n```\ny = 2\nadd = 3\n```", asked()) == "y = 2\nadd = 3\n"


@pytest.mark.parametrize(
    "body",
    ["    return a + b", "return a + b", "```python\n    return a + b\n```", "total = a + b\n    return total",
     "total = a + b\nreturn total"],
)  # fmt: skip
def test_a_reply_can_go_on_where_the_task_left_off(body: str) -> None:
    program = program_in(body, asked(starter='def add(a, b):\n    """Add."""\n'))
    assert program is not None
    space: dict[str, object] = {}
    exec(program, space)  # a program of this test's own
    add = space["add"]
    assert callable(add)
    assert add(1, 2) == 3


def test_what_is_wanted_of_the_future_comes_first() -> None:
    program = program_in(f"from __future__ import annotations\n{ADD}", asked(prologue="import math"))
    assert program == f"from __future__ import annotations\nimport math\n{ADD}\n"


def test_a_reply_of_fences_and_blanks_takes_no_time() -> None:
    for reply in (
        "`" * 99_000,
        "```\n" * 24_000,
        " " * 99_000 + "```",
        "from " + " import" * 14_000,
        "add" + " " * 99_000,
    ):
        assert program_in(reply, asked()) is None


def test_what_a_task_gives_stands_around_every_solution() -> None:
    program = program_in(ADD, asked(prologue="import math\n", epilogue="plus = add"))
    assert program == f"import math\n{ADD}\nplus = add\n"
