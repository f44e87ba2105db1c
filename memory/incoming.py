"""An export read: every line is checked, and every vector measured, before anything is written."""

from __future__ import annotations

import base64
import contextlib
import json
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol, TypeVar

import numpy as np
from pydantic import ValidationError

from agentevo.errors import EmbedderError, Misuse
from agentevo.memory import export_lines
from agentevo.memory.admit import must_be_text
from agentevo.memory.exact import Vector
from agentevo.memory.ledger import Progress
from agentevo.types import Item, why_invalid

if TYPE_CHECKING:
    from agentevo.protocols import Embedder

L = TypeVar("L", bound=export_lines.Line)

FORMAT = 3
_UNREADABLE = (
    ValueError, LookupError, TypeError, AttributeError, OverflowError, RecursionError,
    sqlite3.IntegrityError, sqlite3.InterfaceError, sqlite3.ProgrammingError,
)  # fmt: skip


class Vectors(Protocol):
    """What judges whether vectors belong into a memory."""

    @property
    def embedder(self) -> Embedder | None: ...

    @property
    def fingerprint(self) -> str | None: ...

    def expected(self) -> tuple[int, str] | None: ...

    def compare(self, lengths: Iterable[int], fingerprint: str | None = None) -> None: ...

    def fit(self, lengths: Iterable[int], fingerprint: str | None = None) -> None: ...


@dataclass(slots=True)
class Incoming:
    """What the lines of an export say; with each line its number, as far as writing it may still fail."""

    header: export_lines.Header | None = None
    items: list[Item] = field(default_factory=list)
    vectors: dict[str, Vector] = field(default_factory=dict)
    others: list[tuple[int, str, export_lines.Line]] = field(default_factory=list)
    ended: bool = False

    def of(self, kind: type[L]) -> Iterator[tuple[int, L]]:
        """Yield the lines of one kind with their numbers."""
        return ((number, line) for number, _, line in self.others if isinstance(line, kind))


def incoming(lines: Sequence[str], namespace: str, vectors: Vectors, progress: Progress) -> Incoming:
    """Read the lines of an export for a namespace; raise Misuse or EmbedderError, naming the line, where one is bad."""
    read, sizes = Incoming(), _Sizes(vectors)
    for number, line in enumerate(lines, 1):
        progress("reading lines", number, len(lines))
        with named(f"line {number}"):
            if line.strip():
                _take(read, sizes, number, line, namespace)
    if not any(line.strip() for line in lines):
        raise Misuse("there is nothing in it; expected the lines that export wrote")
    _must_be_whole(read, len(lines))
    return read


@contextlib.contextmanager
def named(what: str) -> Iterator[None]:
    """Say which line cannot be taken, and why."""
    try:
        yield
    except Misuse:
        raise
    except _UNREADABLE as error:
        said = why_invalid(error) if isinstance(error, ValidationError) else error
        raise Misuse(f"{what} is no part of an export ({said}); nothing was imported") from error


def _take(read: Incoming, sizes: _Sizes, number: int, line: str, namespace: str) -> None:
    values = json.loads(line)
    kind = values.pop("type")
    if kind == "header":
        read.header = export_lines.Header.model_validate(values)
        _must_fit(read.header, sizes.vectors)
        if read.header.dimensions is not None:
            sizes.check(read.header.dimensions, f"line {number} says that its vectors have", "its header says")
    elif kind == "end":
        read.ended = True
    elif kind == "item":
        blob = values.pop("vector", None)
        item = Item.model_validate({**values, "namespace": namespace})
        must_be_text(item.text)
        if blob is not None:
            read.vectors[item.id] = vector = _vector(blob)
            sizes.check(len(vector), f"line {number} holds a vector of", f"line {number} has")
        read.items.append(item)
    else:
        read.others.append((number, kind, export_lines.OF[kind].model_validate(values)))


class _Sizes:
    """How long vectors may be: as they are in the memory, as its embedder makes them, or all alike."""

    def __init__(self, vectors: Vectors) -> None:
        self.vectors = vectors
        self._expected: tuple[int, str] | None = None
        self._by_memory = False

    def check(self, size: int, told: str, later: str) -> None:
        """Raise where a vector is not of the size expected; the first one decides where nobody else does."""
        if self._expected is None:
            self._expected = self.vectors.expected()  # not before there are vectors: it may have to load weights
            self._by_memory = self._expected is not None
        self._expected = self._expected or (size, later)
        wanted, says = self._expected
        if size != wanted:
            error = EmbedderError if self._by_memory else Misuse
            raise error(f"{told} {size} dimensions, and {says} {wanted}; nothing was imported")


def _must_be_whole(read: Incoming, count: int) -> None:
    """Refuse an export that was cut off between two lines, which nothing else would show."""
    if read.header is not None and not read.ended:
        raise Misuse(
            f"this export is cut off after line {count}: its last line, of the type 'end', is missing; nothing was "
            "imported (without its first line, of the type 'header', what is left is taken as it is)"
        )


def _must_fit(header: export_lines.Header, vectors: Vectors) -> None:
    if header.format > FORMAT:
        raise Misuse(f"this export has format {header.format}; upgrade agentevo to read it")
    if header.embedder is not None and vectors.embedder is not None and header.embedder != vectors.embedder.name:
        raise EmbedderError(
            f"this export holds vectors of {header.embedder!r}, this memory uses {vectors.embedder.name!r}: "
            f"import into a memory opened with embedder={header.embedder!r}, then reindex that one"
        )


def _vector(blob: str) -> Vector:
    vector = np.frombuffer(base64.b64decode(blob, validate=True), np.float32)
    if not abs(float(vector @ vector) - 1) < 0.01:
        raise Misuse("the vector of an item is not of length 1; nothing was imported")
    return vector
