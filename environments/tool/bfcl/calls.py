"""A call as BFCL writes it, `mv(source='a', destination='b')`: read, never run."""

from __future__ import annotations

import ast
from collections.abc import Sequence

from agentevo.types import Json


class NoCall(ValueError):
    """A text that is not one call with plain values."""


def parsed(text: str, names: Sequence[str]) -> tuple[str, dict[str, Json]]:
    """Return the function and the arguments of a call; `names` are its parameters, for values without a name."""
    try:
        call = ast.parse(text.strip(), mode="eval").body
        if not isinstance(call, ast.Call) or not isinstance(call.func, ast.Name):
            raise NoCall(f"{text!r:.200} is no call of a function by its name")
        arguments = dict(zip(names, map(ast.literal_eval, call.args), strict=False))
        arguments |= {given.arg: ast.literal_eval(given.value) for given in call.keywords if given.arg is not None}
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise NoCall(f"{text!r:.200} is not one call with plain values: {error}") from error
    if len(arguments) != len(call.args) + len(call.keywords):
        raise NoCall(f"{text!r:.200} has other arguments than {', '.join(names)}")
    return call.func.id, arguments
