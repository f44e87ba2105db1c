"""As much of pytest as tests of solutions use: functions, classes, parametrize, fixtures, raises, approx.

The real pytest is not loaded: it would be far more code inside the walls, and slow to start for a single check.
"""

from __future__ import annotations

import contextlib
import functools
import inspect
import itertools
import math
import pathlib
import re
import sys
import tempfile
import types
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field

Act = Callable[[], None]
Values = dict[str, object]
FIXTURE, MARKS = "_fixture_of_tests", "_marks_of_tests"


@contextmanager
def importable() -> Iterator[None]:
    """Have `import pytest` find what is here."""
    module = types.ModuleType("pytest")
    module.__dict__.update(
        raises=raises, approx=approx, fixture=fixture, mark=Marks(), fail=fail, skip=skip, param=param
    )
    sys.modules["pytest"] = module
    yield


@dataclass
class Raised:
    """What `raises` caught."""

    value: BaseException | None = None

    @property
    def type(self) -> type[BaseException] | None:
        """The type of the exception."""
        return type(self.value) if self.value is not None else None

    def match(self, pattern: str) -> bool:
        """Assert that the message matches."""
        if not re.search(pattern, str(self.value)):
            raise AssertionError(f"{str(self.value)!r} does not match {pattern!r}")
        return True


def raises(
    expected: type[BaseException] | tuple[type[BaseException], ...],
    call: Callable[..., object] | None = None,
    *args: object,
    match: str | None = None,
    **kwargs: object,
) -> AbstractContextManager[Raised] | Raised:
    """Assert that a block, or a call, raises."""
    if call is None:
        return _raises(expected, match)
    with _raises(expected, match) as caught:
        call(*args, **kwargs)
    return caught


@contextmanager
def _raises(expected: type[BaseException] | tuple[type[BaseException], ...], match: str | None) -> Iterator[Raised]:
    caught = Raised()
    try:
        yield caught
    except expected as error:
        caught.value = error
    else:
        raise AssertionError(f"did not raise {expected!r}")
    if match is not None:
        caught.match(match)


class approx:  # noqa: N801 - pytest's name
    """A number, or numbers, that others are equal to within a tolerance."""

    def __init__(self, expected: object, rel: float | None = None, abs: float | None = None) -> None:
        self.expected, self.rel, self.abs = expected, 1e-6 if rel is None else rel, 1e-12 if abs is None else abs

    def __eq__(self, other: object) -> bool:
        match self.expected:
            case list() | tuple() if isinstance(other, list | tuple):
                return len(other) == len(self.expected) and all(
                    self._near(one, two) for one, two in zip(self.expected, other, strict=True)
                )
            case dict() if isinstance(other, dict):
                return other.keys() == self.expected.keys() and all(
                    self._near(self.expected[key], other[key]) for key in other
                )
        return self._near(self.expected, other)

    def _near(self, expected: object, other: object) -> bool:
        if isinstance(expected, int | float) and isinstance(other, int | float):
            return math.isclose(expected, other, rel_tol=self.rel, abs_tol=self.abs)
        return expected == other

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"{self.expected!r} within {self.rel:g}"


@dataclass
class Param:
    """A value of parametrize with a name."""

    values: tuple[object, ...]
    id: str | None = None


def param(*values: object, id: str | None = None, marks: object = ()) -> Param:
    """Give a case of parametrize a name."""
    return Param(values, id)


@dataclass
class Marks:
    """`pytest.mark`: parametrize is understood; a skipped test is left out; any other mark changes nothing."""

    def parametrize(self, names: str | Sequence[str], cases: Sequence[object], **_: object) -> Callable[..., object]:
        """Run a test once for each case."""
        listed = [name.strip() for name in names.split(",")] if isinstance(names, str) else [*names]
        return functools.partial(_marked, mark=[dict(_named(listed, case)) for case in cases])

    def __getattr__(self, name: str) -> Callable[..., object]:
        if name.startswith("__"):
            raise AttributeError(name)
        mark: list[Values] | None = None if name == "skip" else []

        def decorate(*args: object, **_: object) -> object:
            if args and callable(args[0]):
                return _marked(args[0], mark)
            return functools.partial(_marked, mark=mark)

        return decorate


def _named(names: list[str], case: object) -> Iterator[tuple[str, object]]:
    values = case.values if isinstance(case, Param) else case if len(names) > 1 else (case,)
    assert isinstance(values, list | tuple)
    yield from zip(names, values, strict=True)


def _marked(function: object, mark: list[Values] | None) -> object:
    """Remember cases with a function; None has it left out."""
    marks = [*getattr(function, MARKS, []), mark] if mark != [] else getattr(function, MARKS, [])
    setattr(function, MARKS, marks)
    return function


def fixture(function: Callable[..., object] | None = None, **_: object) -> object:
    """Mark a function whose result tests ask for by its name."""
    if function is None:
        return fixture
    setattr(function, FIXTURE, True)
    return function


def fail(reason: str = "") -> None:
    """Fail the test."""
    raise AssertionError(reason)


def skip(reason: str = "", **_: object) -> None:
    """Give up a test; it counts as one that did not run to its end."""
    raise AssertionError(f"skipped: {reason}")


def collect(names: Values) -> Iterator[tuple[str, Act]]:
    """Yield the tests of a source: functions `test_...`, and such methods of classes `Test...`."""
    fixtures = {name: one for name, one in names.items() if hasattr(one, FIXTURE)}
    for name, one in [*names.items()]:
        if name.startswith("test") and inspect.isfunction(one):
            yield from _cases(name, one, one, fixtures)
        elif name.startswith("Test") and isinstance(one, type):
            for method, function in vars(one).items():
                if method.startswith("test") and inspect.isfunction(function):
                    yield from _cases(f"{name}.{method}", function, functools.partial(_on_new, one, method), fixtures)


def _on_new(kind: type, method: str, **values: object) -> None:
    instance = kind()
    for name in ("setup_method", "setUp"):
        if hasattr(instance, name):
            getattr(instance, name)()
    getattr(instance, method)(**values)


def _cases(name: str, marked: object, call: Callable[..., object], fixtures: Values) -> Iterator[tuple[str, Act]]:
    marks: list[list[Values] | None] = getattr(marked, MARKS, [])
    if None in marks:
        return
    wanted = [one for one in inspect.signature(marked).parameters if one != "self"]  # type: ignore[arg-type]
    combined = [*itertools.product(*[mark for mark in marks if mark is not None])]
    for number, chosen in enumerate(combined):
        given = {key: value for case in chosen for key, value in case.items()}
        shown = f"{name}[{number}]" if marks else name
        yield shown, functools.partial(_run, call, given, wanted, fixtures)


def _run(call: Callable[..., object], given: Values, wanted: list[str], fixtures: Values) -> None:
    with contextlib.ExitStack() as stack:
        setting = Setting(fixtures, stack)
        call(**{name: given[name] if name in given else setting.value(name) for name in wanted})


@dataclass
class Setting:
    """The fixtures of one test, each made once."""

    fixtures: Values
    stack: contextlib.ExitStack
    made: Values = field(default_factory=dict)

    def value(self, name: str) -> object:
        """Return what a fixture gives, made now if it was not yet."""
        if name not in self.made:
            self.made[name] = self._make(name)
        return self.made[name]

    def _make(self, name: str) -> object:
        function = self.fixtures.get(name)
        if name == "tmp_path" and function is None:
            return pathlib.Path(tempfile.mkdtemp())
        if not inspect.isfunction(function):
            raise LookupError(f"no fixture {name!r}; known: {', '.join(['tmp_path', *self.fixtures])}")
        arguments = {one: self.value(one) for one in inspect.signature(function).parameters}
        if inspect.isgeneratorfunction(function):
            return self.stack.enter_context(contextmanager(function)(**arguments))
        return function(**arguments)
