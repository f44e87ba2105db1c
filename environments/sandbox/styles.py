"""Which style tests are written in, seen from their source."""

from __future__ import annotations

import ast
import keyword
from collections.abc import Sequence
from typing import Literal, TypeAlias

from agentevo.environments.sandbox.given import as_code
from agentevo.errors import Misuse

Style = Literal["check", "asserts", "pytest", "unittest"]
Cases: TypeAlias = Sequence[tuple[str, str]]
"""Pairs of standard input and the output that is expected for it."""
Tests: TypeAlias = str | bytes | Cases
KNOWN = (
    "`def check(candidate)`, assert statements, unittest cases, pytest-style `def test_...`, "
    "or a list of (stdin, stdout) pairs"
)


def as_tests(tests: str | bytes) -> tuple[str, Style]:
    """Return tests as text and their style; raise Misuse where they are in none that is known."""
    source = as_code(tests, "tests")
    try:
        return source, _style(ast.parse(source))
    except (SyntaxError, RecursionError, MemoryError) as error:
        raise Misuse(f"the tests are not Python: {error}; known styles: {KNOWN}") from None


def _style(tree: ast.Module) -> Style:
    functions = {one.name for one in tree.body if isinstance(one, ast.FunctionDef | ast.AsyncFunctionDef)}
    classes = [one for one in tree.body if isinstance(one, ast.ClassDef)]
    if "check" in functions:
        return "check"
    if any("TestCase" in ast.unparse(base) for one in classes for base in one.bases):
        return "unittest"
    if any(name.startswith("test") for name in functions) or any(one.name.startswith("Test") for one in classes):
        return "pytest"
    if any(isinstance(node, ast.Assert) for node in ast.walk(tree)):
        return "asserts"
    raise Misuse(f"the tests are in no style that is known, or hold no test; expected {KNOWN}")


def as_entry(name: str, style: Style) -> str:
    """Return the name of what is judged; raise Misuse where it is no name, or is needed and missing."""
    if style == "check" and not name:
        raise Misuse("`def check(candidate)` needs entry_point, the name of the solution's function")
    if name and (not name.isidentifier() or keyword.iskeyword(name)):
        raise Misuse(f"entry_point {name!r} is no name of a function or class; expected one such as 'add'")
    return name


def modules(files: Sequence[str]) -> list[str]:
    """Return the modules that tests may import from a solution: its files, and `solution`, which is its code."""
    own = {"solution", *(name.removesuffix(".py").replace("/", ".") for name in files if name.endswith(".py"))}
    packages = {name.removesuffix(".__init__") for name in own}
    packages |= {".".join(name.split(".")[:count]) for name in packages for count in range(1, name.count(".") + 1)}
    return sorted(packages)


def as_cases(tests: Cases) -> list[tuple[str, str]]:
    """Return pairs of input and expected output; raise Misuse for anything else."""
    found = []
    for case in tests:
        match case:
            case (str(stdin), str(expected)):
                found.append((stdin, expected))
            case _:
                raise Misuse(f"test {case!r:.100} is no pair of texts (stdin, stdout); known styles: {KNOWN}")
    if not found:
        raise Misuse(f"there are no tests in the list; known styles: {KNOWN}")
    return found
