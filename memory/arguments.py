"""What a caller hands to a verb, held against the verb's own annotations before anything is done with it."""

from __future__ import annotations

import functools
import inspect
import math
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeGuard, TypeVar, cast

import numpy as np

from agentevo.awaitable import is_asynchronous
from agentevo.errors import Misuse, UnknownName
from agentevo.memory.rank import Weights
from agentevo.types import Experience, Op

K = TypeVar("K", bound=str)
V = TypeVar("V", bound=Callable[..., object])

_LARGEST = 2**53
"""No count of anything is larger; from 2**63 on SQLite takes none."""


_LONGEST = 4_096
"""No system takes a longer path."""

_LONGEST_NAME = 80
"""No name that we know is longer, and looking for one like it would take long."""


class Rule(NamedTuple):
    """What an argument may be, in words, and the test of it."""

    expected: str
    holds: Callable[[Any], bool]

    def optional(self) -> Rule:
        """Return the rule that lets None pass, too."""
        return Rule(f"{self.expected}, or None", lambda value: value is None or self.holds(value))


def checked(verb: V) -> V:
    """Return the verb that raises Misuse, naming the argument, where one is not what its annotation says."""
    code = verb.__code__
    said = verb.__name__.removeprefix("a") if inspect.iscoroutinefunction(verb) else verb.__name__
    rules = {**{name: _RULES[kind] for name, kind in verb.__annotations__.items() if kind in _RULES}, **_NAMED}
    names = code.co_varnames[1 : code.co_argcount]

    @functools.wraps(verb)
    def asked(handle: object, *args: object, **kwargs: object) -> object:
        try:
            for name, value in (*zip(names, args, strict=False), *kwargs.items()):
                if name in rules:
                    _must_hold(f"{said}({name}=...)", value, rules[name])
            return verb(handle, *args, **kwargs)
        except RecursionError as error:
            raise Misuse(f"{said}(...) was given what is nested too deeply, or holds itself") from error

    return cast(V, asked)


def _must_hold(what: str, value: object, rule: Rule) -> None:
    """Raise Misuse where a value is not what the rule says."""
    if not rule.holds(value):
        raise Misuse(f"{what} got {value!r:.80}; expected {rule.expected}")


def must_be_plain(what: str, function: Callable[..., object]) -> None:
    """Raise Misuse for a function that nobody would await: what it returns is true, whatever it says."""
    if is_asynchronous(function):
        raise Misuse(f"{what} is asynchronous: {function!r:.80}; expected a plain function, made with def")


def is_true(what: str, answer: object) -> bool:
    """Return the answer of a caller's function; raise Misuse where it is neither True nor False."""
    if isinstance(answer, (bool, np.bool_)):
        return bool(answer)
    raise not_an_answer(what, answer, "True or False")


def not_an_answer(what: str, answer: object, expected: str) -> Misuse:
    """Return the error for what a caller's function should not have answered."""
    if inspect.iscoroutine(answer):
        answer.close()  # nobody will await it
    return Misuse(f"{what} gave {answer!r:.80}; expected {expected}")


def known_names(what: str, given: str | Sequence[str] | None, known: Sequence[K], default: Sequence[K]) -> Sequence[K]:
    """Return the names asked for, the default where there are none; raise UnknownName for one that is not known."""
    if given is None:
        return default
    chosen = [given] if isinstance(given, str) else given
    for name in chosen:
        must_be_known(what, name, known)
    return cast("Sequence[K]", chosen)


def must_be_known(what: str, name: str, known: Iterable[str]) -> None:
    """Raise UnknownName where a name is not known."""
    if name not in known:
        raise UnknownName(what, name, known)


def is_text(value: object) -> bool:
    """Say whether something is a text of whole characters."""
    if not isinstance(value, str):
        return False
    try:
        return value.isascii() or bool(value.encode())
    except UnicodeEncodeError:
        return False


def _is_name(value: object) -> bool:
    return is_text(value) and len(value) <= _LONGEST_NAME  # type: ignore[arg-type]


def is_whole(value: object) -> TypeGuard[int]:
    """Say whether something is a whole number that a ledger can hold."""
    return isinstance(value, int) and not isinstance(value, bool) and -_LARGEST <= value <= _LARGEST


def is_number(value: object) -> TypeGuard[float]:
    """Say whether something is a number at all; infinity is one."""
    return is_whole(value) or (isinstance(value, float) and not math.isnan(value))


def _is_list(value: object) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, (str, bytes, bytearray))


def _are(each: Callable[[object], bool]) -> Callable[[Any], bool]:
    return lambda value: _is_list(value) and all(map(each, value))


def _are_metadata(value: object) -> bool:
    return isinstance(value, Mapping) or _are(lambda one: isinstance(one, Mapping))(value)


def _are_numbers(value: object) -> bool:
    """Say whether a value may be an array; what it holds is looked at when it is made one."""
    return hasattr(value, "__len__") and not isinstance(value, (str, bytes, bytearray))


def _is_path(value: object) -> bool:
    if not isinstance(value, (str, Path)):
        return False
    try:
        return 0 < len(os.fsencode(value)) <= _LONGEST and "\0" not in str(value)  # names need not be UTF-8
    except UnicodeEncodeError:
        return False


TEXT = Rule("a text, of whole characters", is_text)
NUMBER = Rule("a number", is_number)
COUNT = Rule("a whole number from 0 up", lambda value: is_whole(value) and value >= 0)
SECONDS = Rule("seconds, from 0 to a million", lambda value: is_number(value) and 0 <= value <= 1e6)
PATH = Rule("a path", _is_path)
CALLABLE = Rule("something to call", callable)
_TEXTS = Rule("a list of texts", _are(is_text))
_IDS = Rule("an id, or a list of ids", lambda value: is_text(value) or _are(is_text)(value))
_NAME = Rule("a name", _is_name)
_NAMES = Rule("a name, a list of names", lambda value: _is_name(value) or _are(_is_name)(value)).optional()
_AMOUNT = Rule("a number from 0 up", lambda value: is_number(value) and 0 <= value < math.inf)
_SHARE = Rule("a number from 0 to 1", lambda value: is_number(value) and 0 <= value <= 1)

_RULES: Mapping[str, Rule] = {
    "str": TEXT,
    "str | None": TEXT.optional(),
    "str | Sequence[str]": Rule("a text, or a list of texts", lambda value: isinstance(value, str) or _is_list(value)),
    "Ids": _IDS,
    "Kind": _NAME,
    "Mode": _NAME,
    "Kinds": _NAMES,
    "Sequence[Kind]": Rule("a list of names", _are(_is_name)),
    "Statuses": _NAMES,
    "int": COUNT,
    "int | None": COUNT.optional(),
    "float": NUMBER,
    "float | None": NUMBER.optional(),
    "bool": Rule("True or False", lambda value: isinstance(value, bool)),
    "str | Path": PATH,
    "str | Path | None": PATH.optional(),
    "Iterable[str] | str | Path": Rule(
        "a path, or lines of text",
        lambda value: _is_path(value) or (isinstance(value, Iterable) and not isinstance(value, (str, bytes))),
    ),
    "Weights | None": Rule("Weights(...)", lambda value: isinstance(value, Weights)).optional(),
    "Callable[[str], int]": CALLABLE,
    "Callable[[], float]": CALLABLE,
    "Experience": Rule("an Experience", lambda value: isinstance(value, Experience)),
    "Sequence[Op]": Rule(
        "a list of Op", _are(lambda one: isinstance(one, Op))
    ),
}  # fmt: skip
"""By what the annotation says. What is not here has a check of its own."""

_NAMED: Mapping[str, Rule] = {
    "query": Rule("a text", lambda value: isinstance(value, str)),  # half a character is passed over
    "namespace": Rule("any text but the empty one", lambda value: is_text(value) and value != ""),
    "reason": TEXT,
    "source": TEXT,
    "key_text": TEXT.optional(),
    "ids": _IDS,
    "metadata": Rule("a mapping, or a list of one a text", _are_metadata).optional(),
    "vectors": Rule("a list of vectors", _are_numbers).optional(),
    "vector": Rule("a list of numbers", _are_numbers).optional(),
    "derived_from": _TEXTS,
    "links": _TEXTS,
    "created_at": Rule(
        "a number, or a list of one a text", lambda value: is_number(value) or _is_list(value)
    ).optional(),
    "order": _NAME,
    "by": _NAME,
    "seed": Rule("a whole number", is_whole),
    "now": Rule("a finite number", lambda value: is_number(value) and math.isfinite(value)).optional(),
    "wins": _AMOUNT,
    "losses": _AMOUNT,
    "strength": _AMOUNT,
    "busy_timeout_s": SECONDS,
    "mmr": _SHARE.optional(),
}
"""By the argument's name: what its type alone does not say, and fields that can be told with a text."""
