"""The filter grammar: a mapping becomes one SQL condition, and the same mapping can judge an item by itself.

{"team": "billing"}                        equal; of a list in the metadata any element counts
{"team": ["billing", "sales"]}             any of these
{"price": {"$gt": 3, "$lte": 5}}           $gt $gte $lt $lte $ne $exists
{"$or": [{...}, {...}], "$and": [...]}     combined; several keys side by side mean and
{"address.city": "Oslo"}                   nested metadata by dotted keys
{"$source": "user", "$created_at": {...}}  an item's own fields, with a dollar sign; times as seconds or as dates
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from agentevo.errors import Misuse, UnknownName
from agentevo.memory import rows
from agentevo.memory.dates import seconds_of
from agentevo.types import Item, Json

Where: TypeAlias = Mapping[str, Any]

OWN = ("id", "kind", "text", "source", "trust", "status", "pinned", "created_at", "expires_at", "strength",
       "last_used_at", "uses", "importance", "wins", "losses", "supersedes")  # fmt: skip
_TIMES = ("$created_at", "$expires_at", "$last_used_at")
_SIGNS = {"$gt": ">", "$gte": ">=", "$lt": "<", "$lte": "<="}
_COMPARE: Mapping[str, Callable[[Any, Any], bool]] = {
    "$gt": operator.gt, "$gte": operator.ge, "$lt": operator.lt, "$lte": operator.le,
}  # fmt: skip
_OPERATORS = (*_SIGNS, "$ne", "$exists")
_MAX_VALUES, _MAX_TESTS, _MAX_DEPTH = 30_000, 500, 20  # what SQLite takes in one question, with room to spare


@dataclass(frozen=True, slots=True)
class Test:
    """One comparison: a key, an operator, and what to compare with."""

    key: str
    operator: str
    value: Any

    @property
    def own(self) -> str | None:
        return self.key[1:] if self.key.startswith("$") else None


Node: TypeAlias = "Test | tuple[str, list[Node]]"


def parse(where: Where | None) -> Node | None:
    """Return the filter as a tree; raise Misuse, saying what is allowed, where it makes no sense."""
    node = _parsed(where, 0)
    if node is not None and _size(node) > _MAX_VALUES:
        raise Misuse(f"where: it compares with more than {_MAX_VALUES:,} values; ask in several parts")
    if node is not None and _tests(node) > _MAX_TESTS:
        raise Misuse(
            f"where: it makes more than {_MAX_TESTS} comparisons; ask in several parts, or give a key a list of values"
        )
    return node


def unexpired(where: Where | None, now: float) -> Where:
    """Return a filter that passes over what is past its date, too."""
    return {"$and": [where or {}, {"$or": [{"$expires_at": {"$exists": False}}, {"$expires_at": {"$gt": now}}]}]}


def _parsed(where: Where | None, depth: int) -> Node | None:
    if where is None:
        return None
    if not isinstance(where, Mapping):
        raise Misuse(f"where takes a mapping such as {{'team': 'billing'}}, not {where!r:.80}")
    if depth > _MAX_DEPTH:
        raise Misuse(f"where: $and and $or are nested deeper than {_MAX_DEPTH} levels")
    nodes = [node for key, wanted in where.items() for node in _nodes(key, wanted, depth)]
    if len(nodes) < 2:
        return nodes[0] if nodes else None
    return ("and", nodes)


def _size(node: Node) -> int:
    if isinstance(node, tuple):
        return sum(map(_size, node[1]))
    return 2 + len(node.value) if node.operator == "in" else 3


def _tests(node: Node) -> int:
    return sum(map(_tests, node[1])) if isinstance(node, tuple) else 1


def _nodes(key: object, wanted: object, depth: int) -> list[Node]:
    if not isinstance(key, str):
        raise Misuse(f"where: {key!r} is no key; keys are texts")
    if key in ("$and", "$or"):
        if not isinstance(wanted, Sequence) or isinstance(wanted, str) or not wanted:
            raise Misuse(f"where: {key} takes a list of filters, not {wanted!r}")
        parts = [_parsed(part, depth + 1) for part in wanted]
        if key == "$or" and None in parts:  # an empty filter lets everything pass
            return []
        some = [part for part in parts if part is not None]
        return [(key[1:], some)] if some else []
    if key.startswith("$") and key[1:] not in OWN:
        raise Misuse("where: " + str(UnknownName("field", key, [f"${name}" for name in OWN] + ["$and", "$or"])))
    if isinstance(wanted, Mapping):
        if not wanted:
            raise Misuse(f"where: {key!r} is compared with nothing; expected a value or one of {', '.join(_OPERATORS)}")
        return [_test(key, sign, value) for sign, value in wanted.items()]
    if isinstance(wanted, (list, tuple, set, frozenset)):
        return [Test(key, "in", tuple(_scalar(key, value) for value in wanted))]
    return [Test(key, "in", (_scalar(key, wanted),))]


def _test(key: str, sign: object, value: object) -> Test:
    if sign not in _OPERATORS:
        raise Misuse(f"where: unknown operator {sign!r} for {key!r}; known: {', '.join(_OPERATORS)}")
    if sign == "$exists":
        if not isinstance(value, bool):
            raise Misuse(f"where: $exists takes true or false, not {value!r}")
        return Test(key, "$exists", value)
    compared = _scalar(key, value)
    if sign in _SIGNS and (not isinstance(compared, (int, float, str)) or compared is None):
        raise Misuse(f"where: {sign} compares numbers or texts, not {value!r}")
    return Test(key, str(sign), compared)


def _scalar(key: str, value: object) -> Any:
    if value is not None and not isinstance(value, (str, int, float, bool)):
        raise Misuse(f"where: {key!r} is compared with {value!r}; expected a text, a number, true, false or null")
    if isinstance(value, float) and math.isnan(value):
        raise Misuse(f"where: {key!r} is compared with NaN, which nothing equals")
    if key in _TIMES and isinstance(value, str):
        return _seconds(key, value)
    if key.startswith("$") and (value is None or isinstance(value, bool)):
        return None if value is None else int(value)
    return rows.scalar(value)


def _seconds(key: str, value: str) -> float:
    try:
        return seconds_of(value)
    except Misuse as error:
        raise Misuse(f"where: {key} is compared with seconds since 1970 or with a date, and {error}") from error


# --- as SQL


def to_sql(node: Node, ns: int) -> tuple[str, list[Any]]:
    """Return a condition on the table `items` and its parameters."""
    if isinstance(node, tuple):
        joined, parameters = [], []
        for part in node[1]:
            condition, values = to_sql(part, ns)
            joined.append(condition)
            parameters += values
        return "(" + f" {node[0].upper()} ".join(joined) + ")", parameters
    return _own_sql(node, node.own) if node.own else _field_sql(node, ns)


MOVING = ("strength", "last_used_at", "uses", "wins", "losses")
"""Own fields that change without a new version of the item."""


def rows_sql(test: Test, ns: int) -> tuple[str, list[Any], bool]:
    """Return a query for the rows one comparison keeps, and whether it rather finds those it drops."""
    if test.own:
        condition, parameters = _own_sql(test, test.own)
        return f"SELECT row FROM items WHERE ns = ? AND {condition}", [ns, *parameters], False
    some = "SELECT row FROM fields WHERE ns = ? AND key = ?"
    if test.operator == "$exists":
        return some, [ns, test.key], not test.value
    if test.operator == "$ne":
        return f"{some} AND value = ?", [ns, test.key, test.value], True
    if test.operator == "in":
        return f"{some} AND value IN ({', '.join('?' * len(test.value))})", [ns, test.key, *test.value], False
    condition = f"value {_SIGNS[test.operator]} ? AND typeof(value) {_like(test.value)}"
    return f"{some} AND {condition}", [ns, test.key, test.value], False


def _own_sql(test: Test, column: str) -> tuple[str, list[Any]]:
    name = f"items.{column}"
    if test.operator == "$exists":
        return f"{name} IS {'NOT ' if test.value else ''}NULL", []
    if test.operator == "$ne":
        return f"+{name} IS NOT ?", [test.value]
    if test.operator == "in":  # the plus keeps a column from turning texts into numbers, or numbers into texts
        some = f"+{name} IN ({', '.join('?' * len(test.value))})"
        return (f"({some} OR {name} IS NULL)" if None in test.value else f"ifnull({some}, 0)"), list(test.value)
    return f"({name} {_SIGNS[test.operator]} ? AND typeof({name}) {_like(test.value)})", [test.value]


def _field_sql(test: Test, ns: int) -> tuple[str, list[Any]]:
    some = "items.row IN (SELECT row FROM fields WHERE ns = ? AND key = ?"
    if test.operator == "$exists":
        return ("" if test.value else "NOT ") + some + ")", [ns, test.key]
    if test.operator == "$ne":
        return f"NOT {some} AND value = ?)", [ns, test.key, test.value]
    if test.operator == "in":
        return f"{some} AND value IN ({', '.join('?' * len(test.value))}))", [ns, test.key, *test.value]
    condition = f"{some} AND value {_SIGNS[test.operator]} ? AND typeof(value) {_like(test.value)})"
    return condition, [ns, test.key, test.value]


def _like(value: object) -> str:
    """Return the SQL that keeps numbers compared with numbers, and texts with texts."""
    return "= 'text'" if isinstance(value, str) else "IN ('integer', 'real')"


# --- on an item


def fits(node: Node | None, item: Item) -> bool:
    """Say whether an item passes, by the same rules as the SQL."""
    if node is None:
        return True
    if isinstance(node, tuple):
        return (all if node[0] == "and" else any)(fits(part, item) for part in node[1])
    return _fits(node, _values(node, item))


def _values(test: Test, item: Item) -> list[Any]:
    if test.own:
        value: Json = getattr(item, test.own)
        return [] if value is None else [int(value) if isinstance(value, bool) else value]
    return [value for key, value in rows.fields(item.metadata) if key == test.key]


def _fits(test: Test, values: list[Any]) -> bool:
    if test.operator == "$exists":
        return bool(values) is test.value
    if test.operator == "$ne":
        return bool(test.value not in values if values or not test.own else test.value is not None)
    if test.operator == "in":
        return any(value in test.value for value in values) or (bool(test.own) and not values and None in test.value)
    alike = (str,) if isinstance(test.value, str) else (int, float)
    return any(isinstance(value, alike) and _COMPARE[test.operator](value, test.value) for value in values)
