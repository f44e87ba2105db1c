"""What a strategy gave, checked where it comes back: the engine's errors name the slot, not a line of the engine."""

from __future__ import annotations

from typing import TypeVar

from agentevo.errors import Misuse

T = TypeVar("T")


def single(slot: str, value: object, kind: type[T]) -> T:
    """Return what the strategy in a slot gave. Raise Misuse where it is something else than its kind."""
    if not isinstance(value, kind):
        raise _wrong(slot, value, kind.__name__)
    return value


def listed(slot: str, value: object, kind: type[T]) -> list[T]:
    """Return the list that the strategy in a slot gave. Raise Misuse where it is something else."""
    if not isinstance(value, list | tuple):
        raise _wrong(slot, value, f"a list of {kind.__name__}")
    for element in value:
        if not isinstance(element, kind):
            raise _wrong(slot, element, f"nothing but {kind.__name__} in its list")
    return list(value)


def _wrong(slot: str, value: object, expected: str) -> Misuse:
    return Misuse(f"the strategy in the recipe's slot {slot!r} gave {value!r:.80}; expected {expected}: correct it")
