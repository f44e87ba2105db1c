"""Which kinds of tasks an environment is asked for by name, and how many of each."""

from __future__ import annotations

from collections.abc import Collection

from agentevo.errors import Misuse, UnknownName


def chosen(what: str, named: str, known: Collection[str]) -> tuple[str, ...]:
    """Return the kinds of `a,b` or `a+b`, once each; all, in their order, for "all". Raise UnknownName for others."""
    if named == "all":
        return tuple(known)
    found = tuple(dict.fromkeys(name.strip() for name in named.replace("+", ",").split(",")))
    for name in found:
        if name not in known:
            raise UnknownName(what, name, ["all", *known])
    return found


def per_kind(tasks: object, most: int) -> int:
    """Return how many tasks of each kind a split has."""
    if type(tasks) is not int or not 1 <= tasks <= most:
        raise Misuse(f"tasks is {tasks!r}; expected how many tasks of each kind a split has, from 1 to {most}")
    return tasks
