"""Rows from files and from Python: read once, in order, and refused with the line where something is wrong."""

from __future__ import annotations

import csv
import gzip
import json
import lzma
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import BinaryIO, NamedTuple, TypeAlias, cast

from agentevo.errors import Misuse

LONGEST_LINE = 1_000_000
"""Bytes: a line beyond that is no question, and would be read into memory whole."""

Given: TypeAlias = Mapping[str, object]
"""A row as it is given: columns by name."""
SUFFIXES = (".csv", ".tsv", ".jsonl", ".ndjson")


class Row(NamedTuple):
    """A row, and where it stands, for messages."""

    where: str
    columns: Given


def rows_of(source: str | Path | Iterable[Given], limit: int | None = None) -> list[Row]:
    """Read the rows of a file, or take those given, the first `limit` of them; what comes after is not looked at."""
    found = _file(Path(source)) if isinstance(source, (str, Path)) else _given(source)
    rows = list(islice(found, limit))
    if not rows:
        what = f"{source} has no rows" if isinstance(source, (str, Path)) else "no rows were given"
        raise Misuse(f"{what}; expected at least one, with a question and its answer")
    return rows


def _given(rows: Iterable[Given]) -> Iterator[Row]:
    for n, row in enumerate(rows, 1):
        if not isinstance(row, Mapping):
            raise Misuse(
                f"row {n} is {row!r:.80}; expected a mapping of columns, such as {{'text': ..., 'label': ...}}"
            )
        yield Row(f"row {n}", row)


def _file(path: Path) -> Iterator[Row]:
    suffixes = [suffix.lower() for suffix in path.suffixes[-2:]]
    packing = suffixes.pop() if suffixes and suffixes[-1] in (".xz", ".gz") else ""
    if not suffixes or suffixes[-1] not in SUFFIXES:
        raise Misuse(
            f"{path} is of no known kind; expected a name ending in {', '.join(SUFFIXES)}, perhaps with .xz or .gz"
        )
    try:
        with _opened(path, packing) as stream:
            lines = _lines(stream, path)
            yield from _json(lines, path) if suffixes[-1] in (".jsonl", ".ndjson") else _csv(lines, path, suffixes[-1])
    except (lzma.LZMAError, gzip.BadGzipFile, EOFError) as error:
        raise Misuse(f"{path} cannot be unpacked, it is damaged or no {packing} file: {error}") from error
    except OSError as error:
        raise Misuse(f"cannot read {path}: {error.strerror or error}") from error


def _opened(path: Path, packing: str) -> BinaryIO:
    if packing == ".xz":
        return cast(BinaryIO, lzma.open(path))
    return cast(BinaryIO, gzip.open(path)) if packing == ".gz" else path.open("rb")


def _lines(stream: BinaryIO, path: Path) -> Iterator[str]:
    """Yield the lines of a file as text; the csv module needs them with their ends."""
    number = 0
    while line := stream.readline(LONGEST_LINE + 1):
        number += 1
        if len(line) > LONGEST_LINE:
            raise Misuse(f"{path} line {number} has more than {LONGEST_LINE} bytes; expected one row a line")
        if b"\0" in line:
            raise Misuse(f"{path} line {number} holds a NUL byte; expected text as UTF-8, not UTF-16 or binary data")
        try:
            yield line.decode("utf-8-sig" if number == 1 else "utf-8")
        except UnicodeDecodeError as error:
            byte = f"byte {line[error.start]:#04x} at {error.start}"
            raise Misuse(f"{path} line {number} is not UTF-8 ({byte}); convert the file first") from error


def _json(lines: Iterator[str], path: Path) -> Iterator[Row]:
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        where = f"{path} line {number}"
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise Misuse(f"{where} is not JSON: {error}; expected one object a line") from error
        if not isinstance(row, dict):
            raise Misuse(f"{where} holds {line.strip()!r:.60}; expected an object with the columns of a row")
        yield Row(where, row)


def _csv(lines: Iterator[str], path: Path, suffix: str) -> Iterator[Row]:
    reader = csv.reader(lines, delimiter="\t" if suffix == ".tsv" else ",", strict=True)
    header: list[str] = []
    begins = 1
    try:
        for cells in reader:
            where, begins = f"{path} line {begins}", reader.line_num + 1
            if not cells:
                continue
            if not header:
                header = _header(cells, where)
                continue
            if len(cells) != len(header):
                raise Misuse(
                    f"{where} has {len(cells)} columns; expected {len(header)} as in the header ({', '.join(header)}): "
                    "text with a comma or a line break needs quotes"
                )
            yield Row(where, dict(zip(header, cells, strict=True)))
    except csv.Error as error:
        raise Misuse(f"{path} line {begins} cannot be read as CSV: {error}") from error


def _header(cells: list[str], where: str) -> list[str]:
    header = [cell.strip() for cell in cells]
    twice = sorted({name for name in header if header.count(name) > 1})
    if twice:
        raise Misuse(f"{where} names the column {twice[0]!r} twice; expected a header with a name for each column")
    return header
