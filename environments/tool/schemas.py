"""Arguments checked against the JSON schema that a server gave for them."""

from __future__ import annotations

import json
from collections.abc import Mapping

from agentevo.environments.tool.served import BadCall
from agentevo.quote import clean, cut
from agentevo.types import Json

_FREE = ("description", "title", "$comment")
"""What a schema says to whoever reads it; all else of it is for checking."""
_REGEXES = ("pattern", "patternProperties")


class Checker:
    """Checks arguments as far as the schema can be trusted: nothing is fetched for it, and no pattern of it is run."""

    def __init__(self, name: str, schema: Mapping[str, Json]) -> None:
        from jsonschema import Draft202012Validator
        from jsonschema.exceptions import SchemaError
        from referencing import Registry

        self._name, self._schema = name, schema
        try:
            Draft202012Validator.check_schema(schema)
            self._validator = Draft202012Validator(_without_patterns(dict(schema)), registry=Registry())
        except (SchemaError, RecursionError):  # the server checks what nobody else can
            self._validator = Draft202012Validator({})

    def check(self, arguments: Mapping[str, Json]) -> None:
        """Raise BadCall, with what was expected, where the arguments do not fit."""
        from referencing.exceptions import Unresolvable

        self._check_can_be_sent(arguments)
        try:
            found = next(self._validator.iter_errors(dict(arguments)), None)
        except (Unresolvable, RecursionError):
            return
        if found is not None:
            place = ".".join(map(str, found.absolute_path))
            why = f"{place}: {found.message}" if place else found.message
            expected = clean(cut(json.dumps(self._schema, ensure_ascii=False), 2_000))
            raise BadCall(f"the arguments of {self._name!r} do not fit: {clean(why, 800)}. Expected: {expected}")

    def _check_can_be_sent(self, arguments: Mapping[str, Json]) -> None:
        """Raise BadCall for what a connection would break on: halves of surrogate pairs, NaN, no end of brackets."""
        try:
            json.dumps(dict(arguments), ensure_ascii=False, allow_nan=False).encode()
        except (ValueError, RecursionError) as error:
            why = clean(str(error), 200)
            raise BadCall(f"the arguments of {self._name!r} cannot be sent: {why}. Expected: JSON in UTF-8") from error


def fit(schema: Mapping[str, Json], limit: int) -> dict[str, Json]:
    """Return a server's schema as a model may be told it: words cleaned; nothing of it where it is long, or no schema.

    What must stay as it is, to be sent back so, is left out where a prompt cannot hold it: the server checks it anyway.
    """
    try:
        text = json.dumps(schema)
        fitting = _cleaned(dict(schema)) if len(text) <= limit else {}
    except RecursionError:
        fitting = {}
    is_object = isinstance(fitting, dict) and fitting.get("type", "object") == "object"
    return {**fitting, "type": "object"} if isinstance(fitting, dict) and is_object else {"type": "object"}


def _cleaned(part: Json) -> Json:
    if isinstance(part, list):
        return [_cleaned(one) for one in part]
    if not isinstance(part, dict):
        return part
    cleaned: dict[str, Json] = {}
    for key, value in part.items():
        if key in _FREE and isinstance(value, str):
            cleaned[key] = clean(value)
        elif _is_clean(key) and (isinstance(value, dict) or _is_clean(value)):
            cleaned[key] = _cleaned(value)
    return cleaned


def _is_clean(value: Json) -> bool:
    """Say whether the texts in a value can stand in a prompt; those of schemas inside it are looked at there."""
    if isinstance(value, list):
        return all(map(_is_clean, value))
    return not isinstance(value, str) or clean(value) == value


def _without_patterns(schema: Json) -> Json:
    """Leave out regular expressions: one made for it holds a process up for hours."""
    if isinstance(schema, list):
        return [_without_patterns(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    return {
        key: _without_patterns(value)
        for key, value in schema.items()
        if key not in _REGEXES or (isinstance(value, dict) and key == "pattern")
    }
