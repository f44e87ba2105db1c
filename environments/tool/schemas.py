"""Arguments checked against the JSON schema that a server gave for them."""

from __future__ import annotations

import json
from collections.abc import Mapping

from agentevo.environments.tool.served import BadCall
from agentevo.quote import clean, cut
from agentevo.types import Json

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

        try:
            found = next(self._validator.iter_errors(dict(arguments)), None)
        except (Unresolvable, RecursionError):
            return
        if found is not None:
            place = ".".join(map(str, found.absolute_path))
            why = f"{place}: {found.message}" if place else found.message
            expected = clean(cut(json.dumps(self._schema, ensure_ascii=False), 2_000))
            raise BadCall(f"the arguments of {self._name!r} do not fit: {clean(why, 800)}. Expected: {expected}")


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
