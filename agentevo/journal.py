"""A file of JSON lines that only grows, and that a crash in the middle of a line does not spoil."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, NamedTuple, TypeVar

from pydantic import ValidationError

from agentevo.errors import RunError
from agentevo.quote import cut
from agentevo.types import Record, why_invalid

R = TypeVar("R", bound=Record)

SHOWN = 400
"""Characters: so much of what is wrong with a line is told."""


class Place(NamedTuple):
    """Where a line stands in its file, in bytes."""

    start: int
    length: int


class Journal:
    """Lines appended one by one; what `append` has returned from survives a crash of the process.

    A last line without its end is what a crash left: it is cut off when the file is opened. A line in the middle that
    cannot be read is damage, and an error. Not covered: a crash of the machine, except after `sync`.
    """

    def __init__(self, path: Path, *, anew: bool = False) -> None:
        self.path = path
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file: BinaryIO = path.open("a+b", buffering=0)
        except OSError as error:
            raise RunError(f"cannot open {path}: {error}") from error
        self._file.truncate(0) if anew else self._mend()

    def _mend(self) -> None:
        size = self._file.seek(0, os.SEEK_END)
        end = size
        while end:
            begin = max(0, end - 65_536)
            self._file.seek(begin)
            cut = self._file.read(end - begin).rfind(b"\n")
            if cut >= 0:
                end = begin + cut + 1
                break
            end = begin
        if end != size:
            self._file.truncate(end)

    def append(self, line: str) -> Place:
        """Write a line, all of it or nothing; return where it stands. Raise RunError where the disk takes no more."""
        # Half a surrogate pair becomes its escape, which is how JSON writes it anyway.
        data = line.encode("utf-8", "backslashreplace") + b"\n"
        size = self._file.seek(0, os.SEEK_END)
        try:
            written = self._file.write(data)
            if written != len(data):
                raise OSError(f"only {written} of {len(data)} bytes were written")
        except OSError as error:
            with contextlib.suppress(OSError):
                self._file.truncate(size)
            raise RunError(f"cannot write to {self.path}: {error}; make room, then resume the run") from error
        return Place(size, len(data))

    def read(self, place: Place) -> dict[str, object]:
        """Return what the line at a place says; raise RunError where it cannot be read any more."""
        try:
            self._file.seek(place.start)
            line = self._file.read(place.length)
        except OSError as error:
            raise RunError(f"cannot read {self.path}: {error}; resume the run when it can be read") from error
        return _said(line, f"{self.path}, at byte {place.start},")

    def sync(self) -> None:
        """Make what was written survive a crash of the machine."""
        os.fsync(self._file.fileno())

    def close(self) -> None:
        self._file.close()


def lines(path: Path) -> Iterator[dict[str, object]]:
    """Yield what each whole line says; raise RunError, naming the line, where one cannot be read."""
    return (said for _, said in placed(path))


def records(path: Path, kind: type[R]) -> Iterator[R]:
    """Yield each whole line as a record; raise RunError, naming the line, where one does not fit."""
    for number, line in enumerate(lines(path), 1):
        try:
            yield kind.model_validate(line)
        except ValidationError as error:
            raise unfit(f"{path}, line {number},", error) from error


def unfit(what: str, error: ValidationError) -> RunError:
    """Return the error for something that was kept and is not what it should be."""
    return RunError(
        f"{what} does not fit: {cut(why_invalid(error), SHOWN)}; it was edited, or is of another version of agentevo:"
        " begin a new run"
    )


def placed(path: Path) -> Iterator[tuple[Place, dict[str, object]]]:
    """Yield where each whole line stands, and what it says."""
    start = 0
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            if not line.endswith(b"\n"):
                return  # still being written, or cut off by a crash
            yield Place(start, len(line)), _said(line, f"{path}, line {number},")
            start += len(line)


def _said(line: bytes, where: str) -> dict[str, object]:
    try:
        said = json.loads(line)
        if not isinstance(said, dict):
            raise ValueError("not an object")
    except ValueError as error:
        raise RunError(f"{where} is damaged: {error}; begin a new run") from error
    return said
