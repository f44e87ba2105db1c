"""The file that an export goes to, and comes from.

Covered: it appears when it is whole, under a name that was free or held an export; links are followed; several exports
to one name do not meet. Not covered: what was killed leaves a hidden file (.NAME.*.part) beside it.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import secrets
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

from agentevo.errors import LedgerCorrupt, LedgerError, Misuse

_HEADER_CHARS = 100_000
"""No header is longer; of a file without any line end no more is read."""
_NAME_CHARS = 40


def written(path: Path, lines: Iterator[str], *, force: bool, own: Path | None) -> int:
    """Write lines to a file, and return how many; raise Misuse where it would take the place of what is no export.

    What is no regular file, a pipe say, is written into as the lines come. `own` is the memory's folder, which is kept
    free of exports.
    """
    try:
        if path.exists() and not path.is_file() and not path.is_dir():
            with path.open("w", encoding="utf-8") as stream:
                return _put(stream, lines)
        target = Path(os.path.realpath(path))  # a link stays one
        _must_be_replaceable(path, target, force, own)
        return _replaced(target, lines)
    except OSError as error:
        raise LedgerError(f"{path} cannot be written: {error.strerror}; the memory is as it was") from error


def _put(file: TextIO, lines: Iterator[str]) -> int:
    count = 0
    for count, line in enumerate(lines, 1):  # noqa: B007 - how many there were
        file.write(line + "\n")
    return count


def _must_be_replaceable(path: Path, target: Path, force: bool, own: Path | None) -> None:
    if target.is_dir():
        raise Misuse(f"{path} is a folder; expected the name of a file to write")
    if own is not None and target.is_relative_to(own.resolve()):
        raise Misuse(f"{path} is inside the memory's own folder {own}; export to a place outside of it")
    if not force and _holds_something(target) and not _is_export(target):
        raise Misuse(
            f"{path} is there already and is no export of a memory; give another name, or --force (force=True) to "
            "replace it"
        )


def _holds_something(file: Path) -> bool:
    return file.exists() and file.stat().st_size > 0


def _is_export(file: Path) -> bool:
    """Say whether a file begins as an export does."""
    try:
        with file.open(encoding="utf-8") as opened:
            header = json.loads(opened.readline(_HEADER_CHARS))
    except (ValueError, RecursionError):
        return False
    return isinstance(header, dict) and header.get("type") == "header" and "format" in header


def _replaced(target: Path, lines: Iterator[str]) -> int:
    """Write a file beside the target, and put it in its place when it is whole."""
    part = target.with_name(f".{target.name[:_NAME_CHARS]}.{secrets.token_hex(4)}.part")
    try:
        with part.open("x", encoding="utf-8") as file:
            if target.exists():
                part.chmod(stat.S_IMODE(target.stat().st_mode))
            count = _put(file, lines)
        part.replace(target)
    except LedgerCorrupt as error:
        raise _rescued(part, target, error) from error
    finally:
        with contextlib.suppress(OSError):
            part.unlink(missing_ok=True)
    return count


def _rescued(part: Path, target: Path, error: LedgerCorrupt) -> LedgerCorrupt:
    """Keep what could be read of a damaged memory, but never in place of what is there; return what to say."""
    if not part.stat().st_size:
        return error
    place = target
    if _holds_something(target):
        endings = itertools.chain([""], map("-{}".format, itertools.count(2)))
        names = (target.with_name(f"{target.name}.readable{ending}") for ending in endings)
        place = next(name for name in names if not name.exists())
    part.replace(place)
    stays = "" if place == target else f", and {target.name} is as it was"
    return LedgerCorrupt(f"{error}; what could be read is in {place}{stays}")


def read(path: Path) -> list[str]:
    """Return the lines of an export; raise Misuse where the file cannot be read."""
    try:
        with path.open(encoding="utf-8") as file:
            return list(file)
    except (OSError, UnicodeDecodeError) as error:
        raise Misuse(f"{path} cannot be read as an export: {error}; nothing was imported") from error
