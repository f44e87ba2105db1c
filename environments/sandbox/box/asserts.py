"""Assert statements turned into calls that count, and that say what was got where a comparison fails."""

from __future__ import annotations

import ast
import builtins
import operator
from collections.abc import Callable, Set

HOOK = "__agentevo_assert__"
SHOWN = 300
OPERATORS: dict[str, Callable[..., object]] = {
    "==": operator.eq, "!=": operator.ne, "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge,
    "is": operator.is_, "is not": operator.is_not,
    "in": lambda one, many: operator.contains(many, one),
    "not in": lambda one, many: not operator.contains(many, one),
}  # fmt: skip
SIGNS = {
    ast.Eq: "==", ast.NotEq: "!=", ast.Lt: "<", ast.LtE: "<=", ast.Gt: ">", ast.GtE: ">=",
    ast.Is: "is", ast.IsNot: "is not", ast.In: "in", ast.NotIn: "not in",
}  # fmt: skip


class Counter:
    """What assert statements call; `count` is how many were true."""

    def __init__(self) -> None:
        self.count = 0

    def compare(self, left: object, sign: str, right: object, source: str, message: Callable[[], object]) -> None:
        """Assert that a comparison holds."""
        if not OPERATORS[sign](left, right):
            told = _told(message, source)
            raise AssertionError(f"{told}: got {_short(left)}, expected it {sign} {_short(right)}")
        self.count += 1

    def truth(self, value: object, source: str, message: Callable[[], object]) -> None:
        """Assert that a value is true."""
        if not value:
            raise AssertionError(_told(message, source))
        self.count += 1


def _told(message: Callable[[], object], source: str) -> str:
    told = message()
    return f"assert {source[:SHOWN]}" if told is None else f"{str(told)[:SHOWN]} (assert {source[:SHOWN]})"


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}..."


class Rewriter(ast.NodeTransformer):
    """Turns `assert` into a call of the hook, evaluating what it did, in the same order."""

    def visit_Assert(self, node: ast.Assert) -> ast.AST:
        """Return the statement that stands for an assert."""
        self.generic_visit(node)
        source, test = ast.Constant(ast.unparse(node.test)), node.test
        nothing = ast.arguments([], [], None, [], [], None, [])
        message = ast.Lambda(nothing, node.msg or ast.Constant(None))
        if isinstance(test, ast.Compare) and len(test.ops) == 1:
            sign = ast.Constant(SIGNS[type(test.ops[0])])
            call = _call("compare", [test.left, sign, test.comparators[0], source, message])
        else:
            call = _call("truth", [test, source, message])
        return ast.copy_location(ast.Expr(call), node)


def _call(method: str, arguments: list[ast.expr]) -> ast.Call:
    return ast.Call(ast.Attribute(ast.Name(HOOK, ast.Load()), method, ast.Load()), arguments, [])


def rewritten(tree: ast.Module) -> ast.Module:
    """Return tests with their asserts rewritten; their names must hold a Counter under HOOK."""
    Rewriter().visit(tree)
    return ast.fix_missing_locations(tree)


def has_assert(node: ast.AST) -> bool:
    """Say whether a statement asserts when it runs; what is in the functions it defines does not run yet."""
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.Lambda):
        return False
    return isinstance(node, ast.Assert) or any(has_assert(child) for child in ast.iter_child_nodes(node))


def undefined(source: str, known: Set[str]) -> list[str]:
    """Return the names that tests use and nobody defines, in the order of their first use."""
    used: dict[str, None] = {}
    bound = set(known) | set(dir(builtins)) | {"__file__", "__name__"}
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Name(id=name, ctx=ast.Load()):
                used[name] = None
            case ast.Name(id=name) | ast.arg(arg=name) | ast.ExceptHandler(name=str(name)):
                bound.add(name)
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                bound.add(name)
            case ast.alias(name=name, asname=other):
                bound.add((other or name).partition(".")[0])
            case ast.MatchAs(name=str(name)) | ast.MatchStar(name=str(name)):
                bound.add(name)
    return [name for name in used if name not in bound]
