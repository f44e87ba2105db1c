"""What callers hand in: code, files, standard input; checked before anything runs."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from pathlib import PurePosixPath

from agentevo.errors import Misuse

CODE_LIMIT = 4_000_000
INPUT_LIMIT = 32_000_000
Files = Mapping[str, str | bytes]


def as_code(code: str | bytes, what: str = "code") -> str:
    """Return source as text; raise Misuse where Python could not read it at all. Syntax is the program's own matter."""
    _must_be_text(code, what)
    if len(code) > CODE_LIMIT:
        raise Misuse(f"{what} has {len(code):,} characters; at most {CODE_LIMIT:,} are taken: put data into files=")
    text = as_text(code, what)
    if "\0" in text:
        raise Misuse(f"{what} has a NUL character at position {text.index(chr(0))}, which no Python source may hold")
    return text


def as_text(data: str | bytes, what: str) -> str:
    """Return UTF-8 as text; raise Misuse for anything else."""
    try:
        return data.decode("utf-8") if isinstance(data, bytes) else _encodable(data)
    except UnicodeError as error:
        raise Misuse(f"{what} is not UTF-8 ({error}); decode it first, or pass it in files= as bytes") from None


def _must_be_text(value: object, what: str) -> None:
    if not isinstance(value, str | bytes):
        raise Misuse(f"{what} is {type(value).__name__}; expected str or bytes")


def _encodable(text: str) -> str:
    text.encode("utf-8")
    return text


def as_stdin(stdin: str | bytes | None) -> str:
    """Return standard input as text that carries any bytes."""
    if stdin is None:
        return ""
    _must_be_text(stdin, "stdin")
    if len(stdin) > INPUT_LIMIT:
        raise Misuse(f"stdin has {len(stdin):,} characters; at most {INPUT_LIMIT:,} are taken")
    return stdin.decode("utf-8", "surrogateescape") if isinstance(stdin, bytes) else as_text(stdin, "stdin")


def as_files(files: Files | None, disk_mb: float, reserved: str = "") -> dict[str, str]:
    """Return files by name with their content as base64; raise Misuse for names that lead out of the work folder."""
    found: dict[str, str] = {}
    total = 0
    for name, content in (files or {}).items():
        _must_be_text(content, f"file {name!r}")
        data = as_text(content, f"file {name!r}").encode() if isinstance(content, str) else content
        total += len(data)
        found[as_name(name, reserved)] = base64.b64encode(data).decode("ascii")
    if total > disk_mb * 1024 * 1024:
        raise Misuse(f"files have {total:,} bytes together, and the work disk {disk_mb} MB; raise the limit disk_mb")
    return found


def as_name(name: str, reserved: str = "") -> str:
    """Return the name of a file inside the work folder, normalised; raise Misuse for any other."""
    if not name.strip() or "\0" in name:
        raise Misuse(f"file name {name!r}; expected a relative path such as 'data/input.txt'")
    path = PurePosixPath(as_text(name, "a file name"))
    if path.is_absolute() or ".." in path.parts or not path.parts:
        raise Misuse(f"file name {name!r} leads out of the work folder; expected a relative path without '..'")
    if any(len(part.encode()) > 255 for part in path.parts) or len(name) > 4000:
        raise Misuse(f"file name {name[:40]!r}... is too long; at most 255 bytes a part are taken")
    if str(path) == reserved:
        raise Misuse(f"file name {reserved!r} is the name of the code itself; choose another")
    return str(path)
