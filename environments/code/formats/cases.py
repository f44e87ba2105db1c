"""Published tests taken apart, so that each counts: a `check(candidate)` into its asserts, a TestCase into its methods.

What is parsed here comes from the data set, never from who answers.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator

from agentevo.errors import Misuse

CANDIDATE = "candidate"


def parsed(source: str, where: str) -> ast.Module:
    """Return Python as a tree. Raise Misuse with the place where it is none."""
    try:
        return ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        line = f", line {error.lineno} of it" if isinstance(error, SyntaxError) and error.lineno else ""
        raise Misuse(f"{where}{line} is not Python: {error}") from error


def from_check(source: str, entry_point: str, where: str) -> tuple[str, ...]:
    """Return the tests in a module with `check(candidate)`: its asserts one by one, or where they hang together, whole.

    An assert that does not ask the candidate is none: anything would pass it.
    """
    tree = parsed(source, where)
    check = next((node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name == "check"), None)
    if check is None or len(check.args.args) != 1:
        raise Misuse(f"{where} has no function check(candidate); expected the tests in one")
    name = check.args.args[0].arg
    asking = [node for node in check.body if _asks(node, name)]
    if not asking:
        raise Misuse(f"{where} has a check that never asks the candidate; expected at least one assert about it")
    rest = (node for node in check.body if node not in asking)
    if not all(isinstance(node, ast.Assert) for node in asking) or not all(map(_is_idle, rest)):
        return (source.strip() + "\n",)
    before = [ast.unparse(node) for node in tree.body if isinstance(node, ast.Import | ast.ImportFrom)]
    return tuple("\n".join([*before, f"{name} = {entry_point}", ast.unparse(node)]) for node in asking)


def _asks(node: ast.AST, name: str) -> bool:
    return any(isinstance(inner, ast.Name) and inner.id == name for inner in ast.walk(node))


def _is_idle(node: ast.stmt) -> bool:
    """Say whether a statement without the candidate can be left out: an assert, a constant, a pass."""
    is_constant = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    return is_constant or isinstance(node, ast.Assert | ast.Pass)


def from_module(source: str, module: str, where: str) -> tuple[list[str], tuple[str, ...]]:
    """Return the names that a test module takes from the solution, and its tests one by one.

    A test is a `test_` method or function, with all that stands around it; the solution's module is called `solution`.
    """
    tree = parsed(source, where)
    names = list(dict.fromkeys(_imported(tree, module)))
    if not names:
        raise Misuse(f"{where} takes nothing from the module {module!r}; expected `from {module} import ...`")
    tree = ast.fix_missing_locations(_Moved(module).visit(tree))
    tests = tuple(ast.unparse(ast.Module(body, [])) for body in _apart(tree.body))
    if not tests:
        raise Misuse(f"{where} has no tests; expected test_ functions, or test_ methods of a unittest.TestCase")
    return names, tests


def _imported(tree: ast.Module, module: str) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module == module:
            yield from (alias.name for alias in node.names)
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == module:
            yield node.attr


class _Moved(ast.NodeTransformer):
    """Import the solution by the name that it has here, and take out what only pytest understands."""

    def __init__(self, module: str) -> None:
        self._module = module

    def visit_ImportFrom(self, node: ast.ImportFrom) -> ast.AST:
        return ast.ImportFrom("solution", node.names, 0) if node.module == self._module else node

    def visit_Import(self, node: ast.Import) -> ast.AST | None:
        own = [ast.alias("solution", alias.asname or alias.name) for alias in node.names if alias.name == self._module]
        left = [alias for alias in node.names if alias.name not in (self._module, "pytest")]
        return ast.Import([*own, *left]) if own or left else None

    def visit_ClassDef(self, node: ast.ClassDef) -> ast.AST:
        node.decorator_list = _without_marks(node.decorator_list)
        return self.generic_visit(node)

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        node.decorator_list = _without_marks(node.decorator_list)
        return self.generic_visit(node)

    def visit_If(self, node: ast.If) -> ast.AST | None:
        return None if "__name__" in ast.unparse(node.test) else self.generic_visit(node)


def _without_marks(decorators: list[ast.expr]) -> list[ast.expr]:
    return [one for one in decorators if not ast.unparse(one).startswith("pytest.mark.")]


def _apart(body: list[ast.stmt]) -> Iterator[list[ast.stmt]]:
    """Yield the statements of a module with one of its tests each."""
    for place, node in enumerate(body):
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test"):
            yield [other for other in body if other is node or not _has_tests(other)]
        elif isinstance(node, ast.ClassDef):
            for method in node.body:
                if _is_test(method):
                    alone = [inner for inner in node.body if inner is method or not _is_test(inner)]
                    kept = [other for other in [*body[:place], *body[place + 1 :]] if not _has_tests(other)]
                    made = ast.ClassDef(node.name, node.bases, node.keywords, alone, node.decorator_list)
                    yield [*kept, ast.fix_missing_locations(made)]


def _is_test(node: ast.stmt) -> bool:
    return isinstance(node, ast.FunctionDef) and node.name.startswith("test")


def _has_tests(node: ast.stmt) -> bool:
    return _is_test(node) or (isinstance(node, ast.ClassDef) and any(map(_is_test, node.body)))
