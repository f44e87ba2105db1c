"""A recipe or a strategy as a text that is the same wherever it runs: what keys, records and tables are named by."""

from __future__ import annotations

import dataclasses
import functools
import inspect
from collections.abc import Mapping
from typing import Any


def describe(value: object) -> str:
    """Return a stable text of a recipe or strategy: no addresses, defaults left out, functions as module.name."""
    if inspect.isfunction(value):
        value = inspect.unwrap(value)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        shown = (f"{f.name}={describe(v)}" for f in dataclasses.fields(value) if (v := _changed(value, f)) is not _SAME)
        return f"{type(value).__name__}({', '.join(shown)})"
    if isinstance(value, functools.partial):
        arguments = [describe(value.func), *map(describe, value.args)]
        arguments += [f"{k}={describe(v)}" for k, v in value.keywords.items()]
        return f"partial({', '.join(arguments)})"
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{describe(k)}: {describe(v)}" for k, v in value.items()) + "}"
    if isinstance(value, (set, frozenset)):
        return "{" + ", ".join(sorted(map(describe, value))) + "}"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(map(describe, value)) + "]"
    if callable(value) and hasattr(value, "__qualname__"):
        return f"{value.__module__}.{value.__qualname__}".replace(".<locals>", "")
    if type(value).__repr__ is object.__repr__:
        return f"{type(value).__module__}.{type(value).__qualname__}()"
    return repr(value)


_SAME = object()


def _changed(value: object, f: dataclasses.Field[Any]) -> object:
    """Return the field's value, or _SAME where it is hidden or still the default."""
    current = getattr(value, f.name)
    if not f.repr:
        return _SAME
    if f.default is not dataclasses.MISSING and _equal(current, f.default):
        return _SAME
    if f.default_factory is not dataclasses.MISSING and _equal(current, f.default_factory()):
        return _SAME
    return current


def _equal(a: object, b: object) -> bool:
    return a is b or (type(a) is type(b) and bool(a == b))
