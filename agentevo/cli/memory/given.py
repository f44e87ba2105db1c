"""What is written on the command line, as values: filters, metadata, dates, and texts that may come from stdin."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Annotated, BinaryIO, NoReturn, TypeAlias, cast, get_args

import typer

from agentevo.errors import Misuse, UnknownName

if TYPE_CHECKING:
    from agentevo.types import Json, Kind

WhereOption: TypeAlias = Annotated[
    list[str] | None,
    typer.Option(
        "--where",
        metavar="K=V|JSON",
        help="Only items with this metadata: team=billing, '$source=web' for an item's own fields, or a JSON filter "
        'such as \'{"price": {"$gt": 3}}\'; several must all hold.',
    ),
]
KindOption: TypeAlias = Annotated[
    list[str] | None,
    typer.Option("--kind", metavar="KIND", help="fact, experience, lesson, note, code, prompt or adapter."),
]


def where_given(given: Sequence[str] | None) -> dict[str, Json] | None:
    """Return filters as one; raise Misuse where one of them is neither K=V nor a JSON object."""
    filters: list[Json] = []
    for one in given or ():
        if one.lstrip().startswith("{"):
            filters.append(_object(one, "--where"))
        else:
            key, value = _pair(one, "--where", "team=billing")
            filters.append({key: value})
    if len(filters) < 2:
        return cast("dict[str, Json] | None", filters[0] if filters else None)
    return {"$and": filters}


def hint_at_own_fields(given: Sequence[str] | None) -> str:
    """Return what to say where filters found nothing that name an item's own fields as if they were metadata."""
    from agentevo.memory.where import OWN

    name = next((name for name in _names(where_given(given)) if name in OWN), None)
    return "" if name is None else f"; an item's own fields are written with a dollar sign: '${name}=...'"


def _names(where: Json) -> Iterator[str]:
    """Yield what a filter looks at."""
    for name, wanted in where.items() if isinstance(where, dict) else ():
        if name in ("$and", "$or") and isinstance(wanted, list):
            yield from (inner for part in wanted for inner in _names(part))
        else:
            yield name


def metadata_given(given: Sequence[str] | None) -> dict[str, Json]:
    """Return K=V pairs as metadata; a value that is JSON is taken as that, any other as a text."""
    return dict(_pair(one, "--metadata", "team=billing") for one in given or ())


def _pair(given: str, option: str, example: str) -> tuple[str, Json]:
    key, sign, value = given.partition("=")
    if not sign or not key.strip():
        raise Misuse(f"{option} takes KEY=VALUE, such as {example}, not {given!r}")
    try:
        return key.strip(), cast("Json", json.loads(value, parse_constant=_refuse))
    except ValueError:
        return key.strip(), value


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not JSON")


def _object(given: str, what: str) -> dict[str, Json]:
    try:
        value = json.loads(given, parse_constant=_refuse)
    except ValueError as error:
        raise Misuse(f"{what} is not JSON: {error}; got {given!r:.80}") from error
    return cast("dict[str, Json]", value)


def kinds_given(given: Sequence[str] | None) -> list[Kind] | None:
    """Return kinds; raise UnknownName for one that is none."""
    from agentevo.types import Kind

    for name in given or ():
        if name not in get_args(Kind):
            raise UnknownName("kind", name, get_args(Kind))
    return cast("list[Kind] | None", list(given) if given else None)


def kind_given(given: str) -> Kind:
    """Return one kind; raise UnknownName where it is none."""
    kinds = kinds_given([given])
    assert kinds is not None
    return kinds[0]


def date_given(given: str) -> float:
    """Return a date as seconds; one without a time zone is meant here."""
    from agentevo.memory.dates import seconds_of

    return seconds_of(given)


def text_given(given: str) -> str:
    """Return a text, from stdin where it is `-`; raise Misuse where it is not UTF-8."""
    if given != "-":
        return _encodable(given)
    return decoded(stdin().read(), "stdin")


def stdin() -> BinaryIO:
    """Return what comes in; raise Misuse where it is closed."""
    if sys.stdin is None:
        raise Misuse("there is no stdin to read from: it is closed; pipe something into it, or give it instead of -")
    return sys.stdin.buffer


def _encodable(text: str) -> str:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise Misuse(f"the text {text!r:.60} is not UTF-8; convert it first, with iconv say") from error
    return text


def decoded(content: bytes, name: str) -> str:
    """Return what a file holds as text; raise Misuse where it is not text."""
    if content[:2] in (b"\xff\xfe", b"\xfe\xff"):
        raise Misuse(f"{name} is UTF-16; expected UTF-8: convert it first, with `iconv -f utf-16 -t utf-8`")
    if b"\0" in content:
        raise Misuse(f"{name} is not text: byte {content.index(0)} is NUL; expected UTF-8 (of a PDF, add its text)")
    try:
        return content.decode("utf-8-sig").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        raise Misuse(
            f"{name} is not UTF-8: byte {error.start} is 0x{content[error.start]:02x}; convert it first, with iconv say"
        ) from error
