"""One file over HTTP into a part file: gone on with where it broke off, in this call or in an earlier one."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from io import FileIO
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, TypeAlias

from agentevo.models.installed import storing

if TYPE_CHECKING:
    from agentevo.models.placing import Progress

_PAUSES_S = (0.1, 0.5, 2.0)
"""Before trying again what brought no single byte; a connection that broke after some is taken up at once."""


class Headers(Protocol):
    """Headers of an answer, whatever their case."""

    def get(self, name: str, /) -> str | None: ...


@dataclass(frozen=True, slots=True)
class Answer:
    """What a server answered, and how to read on: `read` gives at most so many bytes, and none at the end."""

    status: int
    headers: Headers
    read: Callable[[int], bytes]


Opening: TypeAlias = Callable[[dict[str, str]], AbstractContextManager[Answer]]
"""Asks a server with these headers, and raises Broken for what may pass, while it is open too."""


class Broken(Exception):
    """The connection ended before the file did, or the server failed in a way that may pass."""


class WrongStart(Broken):
    """What is here already is no beginning of the file."""


@dataclass(frozen=True, slots=True)
class Part:
    """A file that is being fetched. Where its hash is known beforehand, `is_pinned`, any server may go on with it."""

    file: Path
    what: str
    label: str
    is_pinned: bool

    @property
    def length(self) -> int:
        return self.file.stat().st_size if self.file.exists() else 0


def fetch_rest(
    part: Part, opening: Opening, progress: Progress, pause: Callable[[float], None] = time.sleep
) -> Headers:
    """Fetch what is missing, and return the last answer's headers; raise Broken when trying again brings nothing."""
    fruitless = 0
    while True:
        before = part.length
        try:
            return _go_on(part, opening, progress)
        except Broken as error:
            if isinstance(error, WrongStart):
                part.file.unlink(missing_ok=True)
            fruitless = 0 if part.length > before else fruitless + 1
            if fruitless > len(_PAUSES_S):
                raise
            if fruitless:
                pause(_PAUSES_S[fruitless - 1])


def _go_on(part: Part, opening: Opening, progress: Progress) -> Headers:
    note, start = part.file.with_suffix(".json"), part.length
    headers = {"User-Agent": "agentevo", "Accept-Encoding": "identity", **_range(part, note, start)}
    with opening(headers) as answer:
        if answer.status != 206 or _starts_at(answer.headers) != start:
            start = 0  # the server knows no ranges, or has another file now
        size = _size(answer.headers, start)
        with storing(f"download {part.what}"):
            note.write_text(json.dumps(answer.headers.get("ETag")), "utf-8")
            file = part.file.open("ab" if start else "wb", buffering=0)  # so that a full disk is noticed at the write
        with file:
            _receive(answer, file, part, start, size, progress)
        return answer.headers


def _range(part: Part, note: Path, start: int) -> dict[str, str]:
    """Return what asks for the rest; without a way to know that it is the same file's, nothing."""
    if not start:
        return {}
    if part.is_pinned:
        return {"Range": f"bytes={start}-"}
    validator = _validator(note)
    return {"Range": f"bytes={start}-", "If-Range": validator} if validator else {}


def _receive(answer: Answer, file: FileIO, part: Part, done: int, size: int | None, progress: Progress) -> None:
    while block := answer.read(1 << 16):
        with storing(f"download {part.what}"):
            left = memoryview(block)
            while left:
                left = left[file.write(left) :]
        done += len(block)
        progress(part.label, done, size or 0)
    if size is not None and done < size:
        raise Broken(f"the connection ended after {done} of {size} bytes")


def _validator(note: Path) -> str | None:
    """Return the strong ETag of what has been fetched so far; without one it cannot safely be gone on with."""
    try:
        etag = json.loads(note.read_text("utf-8"))
    except (OSError, ValueError):
        return None
    return etag if isinstance(etag, str) and not etag.startswith("W/") else None


def _starts_at(headers: Headers) -> int | None:
    found = re.match(r"bytes (\d+)-", headers.get("Content-Range") or "")
    return int(found[1]) if found else None


def _size(headers: Headers, start: int) -> int | None:
    length = headers.get("Content-Length")
    return start + int(length) if length and length.isdigit() else None
