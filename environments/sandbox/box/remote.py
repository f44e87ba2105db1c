"""What stands on one side for an object of the other: each operation on it is done over there."""

from __future__ import annotations

import operator
from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol

OPERATORS = (
    "__len__", "__getitem__", "__setitem__", "__delitem__", "__contains__", "__iter__", "__next__", "__reversed__",
    "__str__", "__repr__", "__int__", "__float__", "__index__", "__bool__", "__hash__",
    "__eq__", "__ne__", "__lt__", "__le__", "__gt__", "__ge__", "__neg__", "__abs__",
    "__add__", "__radd__", "__sub__", "__rsub__", "__mul__", "__rmul__", "__truediv__", "__rtruediv__",
    "__floordiv__", "__mod__", "__pow__", "__and__", "__or__", "__xor__", "__enter__", "__exit__",
)  # fmt: skip
"""The operations that cross."""
COMPARING = frozenset(("__eq__", "__ne__", "__lt__", "__le__", "__gt__", "__ge__"))
"""Two objects of the other side are compared over there; with anything else one has nothing in common."""
CARRYING = frozenset(
    ("__iter__", "__next__", "__reversed__", "__getitem__", "__setitem__", "__delitem__", "__enter__", "__exit__")
)
"""What leads to other values, which are then looked at; any other operation decides on the word of the other side."""
BY_FUNCTION: dict[str, Callable[..., object]] = {
    "__bool__": bool, "__hash__": hash, "__str__": str, "__repr__": repr, "__iter__": iter, "__reversed__": reversed,
    "__contains__": operator.contains, "__eq__": operator.eq, "__ne__": operator.ne,
}  # fmt: skip
"""What has a meaning also where a type does not define it."""


class Asked(Protocol):
    """The end of a channel that a stand-in speaks through."""

    noted: Callable[[str], None]

    def ask(self, verb: str, **fields: object) -> object: ...


class Remote:
    """An object of the other side."""

    def __init__(self, peer: Asked, number: int, label: str) -> None:
        self.__dict__.update(_peer=peer, _number=number, _label=label)

    def __call__(self, *args: object, **kwargs: object) -> object:
        """Call it over there."""
        return self._ask("call", args=[*args], kwargs=kwargs)

    def __getattr__(self, name: str) -> object:
        if name.startswith("_"):
            raise AttributeError(f"{self._label} object: {name!r} does not cross")
        return self._ask("get", name=name)

    def __setattr__(self, name: str, value: object) -> None:
        self._ask("set", name=name, value=value)

    def __instancecheck__(self, instance: object) -> bool:
        return self._deciding("isinstance", instance) is True

    def _deciding(self, name: str, *args: object) -> object:
        result = self._ask("operate", name=name, args=[*args])
        if name not in CARRYING:
            self.__dict__["_peer"].noted(f"{name} of a {self._label} was decided by the solution")
        return result

    def _ask(self, verb: str, **fields: object) -> object:
        peer: Asked = self.__dict__["_peer"]
        return peer.ask(verb, target=self, **fields)


def _operator(name: str) -> Callable[..., object]:
    def method(self: Remote, *args: object) -> object:
        if name in COMPARING and not isinstance(args[0], Remote):
            return NotImplemented
        return self._deciding(name, *args)

    return method


def operate(target: object, name: str, args: Sequence[object]) -> object:
    """Do an operation on an object of one's own; TypeError where it has none of that name."""
    if name in BY_FUNCTION:
        return BY_FUNCTION[name](target, *args)
    method = getattr(type(target), name, None)
    if method is None:
        raise TypeError(f"a {type(target).__name__} has no {name}")
    result: object = method(target, *args)
    return result


for _name in OPERATORS:
    setattr(Remote, _name, _operator(_name))


def coroutine_function(remote: Remote) -> Callable[..., Awaitable[object]]:
    """Return a coroutine function that has the other side run its own to the end."""

    async def function(*args: object, **kwargs: object) -> object:
        return remote._ask("run", args=[*args], kwargs=kwargs)

    return function
