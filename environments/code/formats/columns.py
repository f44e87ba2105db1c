"""Columns of a row of a data set, checked: what is missing or of the wrong kind is named with file and line."""

from __future__ import annotations

from agentevo.environments.answers.rows import Row
from agentevo.errors import Misuse


def text_in(row: Row, *names: str) -> str:
    """Return the first of some columns that is there. Raise Misuse where none is, or it is no text."""
    for name in names:
        if name in row.columns:
            return _text(row, name)
    raise Misuse(f"{row.where} has no column {' or '.join(map(repr, names))}; it has {', '.join(row.columns)}")


def text_or_none(row: Row, name: str) -> str:
    """Return a column, or an empty text where it is not there, or holds nothing."""
    return "" if row.columns.get(name) is None else _text(row, name)


def texts_in(row: Row, name: str, *, may_lack: bool = False) -> list[str]:
    """Return a column with a list of texts; an empty list where it may lack, and does."""
    value = row.columns.get(name)
    if value is None and may_lack:
        return []
    if not isinstance(value, list) or not all(isinstance(one, str) for one in value) or not (value or may_lack):
        raise Misuse(f"{row.where} has {value!r:.60} in {name!r}; expected a list of texts")
    return list(value)


def name_in(row: Row, *names: str) -> str:
    """Return a column that names a row, as text: a number is one too."""
    for name in names:
        value = row.columns.get(name)
        if (isinstance(value, str) and value.strip()) or type(value) is int:
            return str(value)
    raise Misuse(f"{row.where} has no name in {' or '.join(map(repr, names))}; expected a text or a number")


def _text(row: Row, name: str) -> str:
    value = row.columns[name]
    if not isinstance(value, str):
        raise Misuse(f"{row.where} has {value!r:.60} in {name!r}; expected a text")
    if "\0" in value:
        raise Misuse(f"{row.where} has a NUL character in {name!r}; expected Python or plain text")
    return value
