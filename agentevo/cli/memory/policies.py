"""The grammar of `agentevo memory sweep --policy`: NAME, then its parameters after colons."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from agentevo.cli.memory.given import where_given
from agentevo.errors import Misuse, UnknownName

if TYPE_CHECKING:
    from agentevo.protocols import Update

GRAMMAR = (
    "decay:scale_days=30:floor=0.05 (what has faded), evict:1000:lru (all but 1000; or lfu, fifo, utility, help, near, "
    "importance, retention), discard:team=old (what a --where filter finds), expire (what is past its date); "
    "kind=note:... names another kind."
)


def policy_given(given: str) -> Update:
    """Return the policy that a text such as evict:1000:lru stands for; raise Misuse where it stands for none."""
    from agentevo.memory import Decay, Discard, Evict, Expire

    name, colon, rest = given.strip().partition(":")
    if name == "discard":
        found = where_given([rest]) if rest else None
        if not found:
            raise Misuse(f"policy {given!r} finds nothing; expected a filter, such as discard:team=old")
        return Discard(found)
    known = {"decay": Decay, "evict": Evict, "expire": Expire}
    if name not in known:
        raise UnknownName("policy", name, [*known, "discard"])
    return _made(known[name], rest.split(":") if colon else [], given)


def _made(policy: Any, parameters: list[str], given: str) -> Update:
    """Make a policy from parameters: those without a name come first, as they would in Python."""
    fields = {field.name: field for field in dataclasses.fields(policy)}
    unnamed = [name for name, field in fields.items() if not field.kw_only]
    values: dict[str, Any] = {}
    for n, parameter in enumerate(parameters):
        name, sign, value = parameter.partition("=")
        if not sign:
            if n >= len(unnamed):
                raise Misuse(_too_many(given, unnamed, fields))
            name, value = unnamed[n], parameter
        if name not in fields:
            raise UnknownName(f"parameter of {given!r}", name, fields)
        values[name] = _value(fields[name], value, given)
    missing = [n for n, f in fields.items() if f.default is dataclasses.MISSING and n not in values]
    if missing:
        raise Misuse(f"policy {given!r} lacks {missing[0]}; such as evict:1000:lru")
    made: Update = policy(**values)
    return made


def _too_many(given: str, unnamed: Sequence[str], fields: Iterable[str]) -> str:
    if not unnamed:
        return f"policy {given!r} has too many parameters; it takes none"
    named = ", ".join(f"{name}=" for name in fields if name not in unnamed)
    return (
        f"policy {given!r} has too many parameters without a name: only {' and '.join(unnamed)} may stand without one; "
        f"the others need theirs: {named}"
    )


def _value(field: dataclasses.Field[Any], text: str, given: str) -> Any:
    """Return a parameter as the field takes it: a number, a filter or a text."""
    if field.name == "where":
        return where_given([text])
    numbers: dict[str, type] = {"int": int, "float": float}
    if str(field.type) not in numbers:
        return text
    try:
        return numbers[str(field.type)](json.loads(text) if str(field.type) == "float" else text)
    except (ValueError, TypeError) as error:
        raise Misuse(f"policy {given!r}: {field.name} is {text!r}; expected a number") from error
