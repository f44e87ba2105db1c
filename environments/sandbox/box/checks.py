"""The styles of tests: which checks a source declares, and how each is run."""

from __future__ import annotations

import ast
import functools
import inspect
import unittest
from collections.abc import Callable, Iterator

from agentevo.environments.sandbox.box import asserts, pytest_shim
from agentevo.environments.sandbox.box.asserts import HOOK, Counter

STYLES = ("check", "asserts", "pytest", "unittest")

Names = dict[str, object]
Act = Callable[[], None]


class Plan:
    """The checks of one source, by name, in order."""

    def __init__(self, style: str) -> None:
        self.style, self.checks, self.counter = style, dict[str, Act](), Counter()

    def load(self, source: str, names: Names, entry: str) -> None:
        """Run what stands outside of the checks, and find them."""
        tree = asserts.rewritten(ast.parse(source))
        names[HOOK] = self.counter
        if self.style == "asserts":
            self.checks = dict(self._statements(ast.parse(source), tree, names))
            return
        with pytest_shim.importable():
            exec(compile(tree, "tests.py", "exec", dont_inherit=True), names)
        match self.style:
            case "check":
                self.checks = {"check": functools.partial(self._check, names, entry)}
            case "pytest":
                self.checks = dict(pytest_shim.collect(names))
            case "unittest":
                self.checks = dict(cases(names))

    def _check(self, names: Names, entry: str) -> None:
        check = names["check"]
        assert callable(check)
        check(*([names[entry]] if inspect.signature(check).parameters else []))
        if not self.counter.count:
            raise AssertionError("no assert was run")

    def _statements(self, tree: ast.Module, rewritten: ast.Module, names: Names) -> Iterator[tuple[str, Act]]:
        """Yield a check for each statement that asserts; what stands between runs with the check after it."""
        before: list[ast.stmt] = []
        number = 0
        for original, statement in zip(tree.body, rewritten.body, strict=True):
            if asserts.has_assert(original):
                number += 1
                yield f"assert {number}", functools.partial(self._execute, [*before, statement], names)
                before = []
            else:
                before.append(statement)
        if not number:
            yield "tests", functools.partial(self._execute, before, names)

    def _execute(self, statements: list[ast.stmt], names: Names) -> None:
        count = self.counter.count
        exec(compile(ast.Module(statements, []), "tests.py", "exec", dont_inherit=True), names)
        if self.counter.count == count:
            raise AssertionError("no assert was run")


def cases(names: Names) -> Iterator[tuple[str, Act]]:
    """Yield the test methods of the unittest cases that a source defines."""
    loader = unittest.TestLoader()
    for kind in [one for one in names.values() if isinstance(one, type) and issubclass(one, unittest.TestCase)]:
        if kind.__module__ != str(names["__name__"]):
            continue
        ready = functools.cache(kind.setUpClass)
        for method in loader.getTestCaseNames(kind):
            if not _is_skipped(kind, getattr(kind, method)):
                yield f"{kind.__name__}.{method}", functools.partial(_run_case, kind, method, ready)


def _is_skipped(*decorated: object) -> bool:
    return any(getattr(one, "__unittest_skip__", False) for one in decorated)


def _run_case(kind: type[unittest.TestCase], method: str, ready: Act) -> None:
    ready()
    result = unittest.TestResult()
    kind(method).run(result)
    for _, trace in (*result.errors, *result.failures):
        raise AssertionError(_last_line(trace))
    if not result.wasSuccessful() or result.skipped or result.testsRun != 1:
        raise AssertionError("the test did not run to its end")


def _last_line(trace: str) -> str:
    """Return the exception of a formatted traceback, which may have several lines, without the frames."""
    lines = trace.rstrip().splitlines()
    frames = [number for number, line in enumerate(lines) if line.startswith("  ")]
    return "\n".join(lines[frames[-1] + 1 :] if frames else lines).removeprefix("AssertionError: ")
