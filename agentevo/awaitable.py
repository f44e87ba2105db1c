"""A user's plain function as a strategy: what the engine awaits may be written without `async`."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Awaitable, Callable
from typing import ParamSpec, TypeVar, cast

P = ParamSpec("P")
T = TypeVar("T")


def is_asynchronous(function: Callable[..., object]) -> bool:
    """Say whether a function, or a callable object, is one to be awaited."""
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(type(function).__call__)


def awaitable(strategy: Callable[P, Awaitable[T]]) -> Callable[P, Awaitable[T]]:
    """Return a strategy that can be awaited, also of one that gives its value at once; an asynchronous one as it is.

    A plain function keeps everything waiting while it runs, so one that takes long is better asynchronous.
    """
    if is_asynchronous(strategy):
        return strategy

    @functools.wraps(strategy)
    async def awaited(*args: P.args, **kwargs: P.kwargs) -> T:
        value: object = strategy(*args, **kwargs)
        return cast(T, await value if inspect.isawaitable(value) else value)

    return awaited
