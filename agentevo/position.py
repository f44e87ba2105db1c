"""Where in a run something happens: the path that attempts and journaled replies are named by."""

from __future__ import annotations

import itertools
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Place:
    """A path such as 3/act/task-7, and the attempts numbered under it so far."""

    path: str
    _numbers: Iterator[int] = field(default_factory=itertools.count, compare=False, repr=False)

    def number(self) -> int:
        return next(self._numbers)


_here: ContextVar[Place | None] = ContextVar("agentevo_place", default=None)


@contextmanager
def at(path: str) -> Iterator[Place]:
    """Name what happens inside by this path: the same work in the same place gets the same names again."""
    place = Place(path)
    token = _here.set(place)
    try:
        yield place
    finally:
        _here.reset(token)


def here() -> str:
    """Return the path of the place this runs in; empty outside a run."""
    place = _here.get()
    return place.path if place else ""


def attempt_id() -> str:
    """Return the name of a new attempt: numbered by its place in a run, else one that nobody else has."""
    place = _here.get()
    return f"{place.path}#{place.number()}" if place else secrets.token_hex(8)
