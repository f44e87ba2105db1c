"""The closed set of types that cross between a judge and a solution, rebuilt as exactly those types.

None, bool, int, float, complex, str, bytes, list, tuple, set, frozenset, dict, and nesting; of the standard library's
values range, Decimal, Fraction, date and datetime, but no subclasses of these. A subclass of the others crosses as the
plain value it holds; anything else is left to the caller, who may send a handle in its place.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator
from datetime import date, datetime
from decimal import Decimal
from fractions import Fraction
from typing import Any

DEPTH = 100
"""So deep may values nest."""
SMALL = 1 << 63

Encoded = object
Other = Callable[[object], Encoded]


class Unfit(TypeError):
    """A value that cannot cross: of another type, nested too deeply, or badly encoded."""


def encode(value: object, other: Other, depth: int = 0) -> Encoded:
    """Return a value as JSON can carry it; `other` says what stands for a value of any other type."""
    if depth > DEPTH:
        raise Unfit(f"nested more than {DEPTH} deep, or within itself")
    match value:
        case None | bool():
            return value
        case int():
            exact = int.__add__(value, 0)
            return exact if -SMALL < exact < SMALL else {"@": "int", "v": hex(exact)}
        case float():
            return float.__pos__(value)
        case str():
            return str.__str__(value)
        case list():
            return [encode(one, other, depth + 1) for one in list.__iter__(value)]
        case dict():
            pairs = [[encode(key, other, depth + 1), encode(one, other, depth + 1)] for key, one in dict.items(value)]
            return {"@": "dict", "v": pairs}
        case tuple() | set() | frozenset():
            name, elements = _elements(value)
            return {"@": name, "v": [encode(one, other, depth + 1) for one in elements]}
    return _special(value) or other(value)


def _elements(value: tuple[object, ...] | set[object] | frozenset[object]) -> tuple[str, Iterator[object]]:
    """Return the plain type behind a value, and what is really in it whatever its own type says."""
    if isinstance(value, tuple):
        return "tuple", tuple.__iter__(value)
    if isinstance(value, set):
        return "set", set.__iter__(value)
    return "frozenset", frozenset.__iter__(value)


def _special(value: object) -> Encoded:
    """Return a value of one of the rarer types as JSON can carry it, or None for any other type."""
    if isinstance(value, bytes):
        return {"@": "bytes", "v": base64.b64encode(value).decode("ascii")}
    if isinstance(value, complex):
        return {"@": "complex", "v": [value.real, value.imag]}
    if type(value) in STANDARD:
        return {"@": type(value).__name__, "v": str(value)}
    if type(value) is range:
        return {"@": "range", "v": [hex(value.start), hex(value.stop), hex(value.step)]}
    return None


def decode(coded: Encoded, other: Callable[[dict[str, object]], object], depth: int = 0) -> object:
    """Return the value that was encoded; `other` rebuilds what is none of the plain types."""
    if depth > DEPTH:
        raise Unfit(f"nested more than {DEPTH} deep")
    match coded:
        case None | bool() | int() | float() | str():
            return coded
        case list():
            return [decode(one, other, depth + 1) for one in coded]
        case {"@": "tuple" | "set" | "frozenset" as kind, "v": list(elements)}:
            return KINDS[kind](decode(one, other, depth + 1) for one in elements)
        case {"@": "dict", "v": list(pairs)}:
            return {decode(key, other, depth + 1): decode(one, other, depth + 1) for key, one in pairs}
        case {"@": str(kind), "v": value} if kind in REBUILT:
            return REBUILT[kind](value)
        case dict():
            return other(coded)
    raise Unfit(f"{type(coded).__name__} stands for nothing")


STANDARD = (Decimal, Fraction, date, datetime)
REBUILT: dict[str, Callable[[Any], object]] = {
    "int": lambda digits: int(digits, 16),
    "complex": lambda parts: complex(*parts),
    "bytes": base64.b64decode,
    "range": lambda ends: range(*(int(end, 16) for end in ends)),
    "Decimal": Decimal,
    "Fraction": Fraction,
    "date": date.fromisoformat,
    "datetime": datetime.fromisoformat,
}
"""How the rarer types are made again; each refuses what is not of the form that `encode` gives."""
KINDS: dict[str, Callable[..., object]] = {"tuple": tuple, "set": set, "frozenset": frozenset}
