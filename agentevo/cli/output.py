"""Where words go: results to stdout, talk and progress to stderr."""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

    from agentevo.types import Json

Report: TypeAlias = Callable[[str, int, int], None]
"""Called with a label, how much is done, and how much there is, or 0 where that is not known."""

SHOWN_AFTER_S = 1.0
PLAIN_EVERY_S = 10.0
REDRAWN_EVERY_S = 0.1


def plain_streams() -> None:
    """Make characters that the encoding lacks show as escapes, and what goes to a closed stream go nowhere."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, Path(os.devnull).open("w", encoding="utf-8"))  # noqa: SIM115 - as long as the process
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def settle_stdout() -> None:
    """Write out what is buffered, or point stdout at nothing if it takes no more: closing it at exit must not fail."""
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def show(text: str) -> None:
    """Write a line of the result."""
    sys.stdout.write(printable(text) + "\n")


def show_json(value: Json) -> None:
    """Write the result as JSON."""
    sys.stdout.write(json_text(value) + "\n")


# Covered: control characters (escape sequences begin with one), marks that turn the direction of writing, characters
# without width, tags, line separators, lone surrogates. Not covered: letters that look like other letters.
DRIVING = re.compile(
    r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb"
    r"\U000e0000-\U000e007f\ud800-\udfff]"
)
"""Characters that could drive a terminal, or deceive who reads it."""


def json_text(value: Json, *, indent: int | None = 2) -> str:
    """Return JSON that means just the same and cannot drive a terminal."""
    return json_visible(json.dumps(value, ensure_ascii=False, indent=indent))


def json_visible(line: str) -> str:
    """Return JSON with such characters written as JSON escapes."""
    return DRIVING.sub(lambda found: json.dumps(found[0])[1:-1], line)


@contextlib.contextmanager
def streamed() -> Iterator[Callable[[str], None]]:
    """Yield a callback that writes each piece of a reply at once; the line is ended even if the reply breaks off."""
    begun = False

    def write(piece: str) -> None:
        nonlocal begun
        begun = True
        sys.stdout.write(printable(piece))
        sys.stdout.flush()

    try:
        yield write
    finally:
        if begun:
            write("\n")


def tell(text: str) -> None:
    """Write a line of talk."""
    settle_stdout()
    sys.stderr.write(printable(text) + "\n")
    sys.stderr.flush()


def printable(text: str) -> str:
    """Leave out the characters with which a model's text could drive the terminal, or deceive who reads it."""
    return DRIVING.sub(
        lambda found: found[0] if "\ud800" <= found[0] <= "\udfff" else "", text
    )  # these show as escapes


def one_line(error: Exception) -> str:
    """Return what an error says, on one line."""
    said = error.format_message() if hasattr(error, "format_message") else str(error)
    return " ".join(str(said).split()) or type(error).__name__


def show_table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Write rows under their headings; columns are as wide as their longest cell."""
    widths = [max(map(len, column)) for column in zip(columns, *rows, strict=True)]
    for row in (columns, *rows):
        show("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def size(count: int) -> str:
    """Return a number of bytes as people write it."""
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{count / 1e6:.1f} MB" if count >= 1e5 else f"{count} B"


def number(count: int) -> str:
    """Return a count as people write it."""
    return f"{count:,}"


@contextlib.contextmanager
def progress(clock: Callable[[], float] = time.monotonic, amount: Callable[[int], str] = size) -> Iterator[Report]:
    """Yield a callback that shows how far something is, once it has taken more than a second.

    On a terminal that is a bar; elsewhere a plain line every ten seconds. What is counted are bytes, unless `amount`
    writes it otherwise.
    """
    reporter = _Bar(clock, amount) if sys.stderr.isatty() else _Lines(clock, amount)
    try:
        yield reporter
    finally:
        reporter.close()


@contextlib.contextmanager
def counting(what: str, clock: Callable[[], float] = time.monotonic) -> Iterator[Report]:
    """Yield a callback like that of progress for things that are counted; the labels follow what is done with them."""
    with progress(clock, number) as report:
        yield lambda label, done, total: report(f"{what}: {label}", done, total)


class _Lines:
    def __init__(self, clock: Callable[[], float], amount: Callable[[int], str]) -> None:
        self._clock, self._amount = clock, amount
        self._next = clock() + SHOWN_AFTER_S

    def __call__(self, label: str, done: int, total: int) -> None:
        if self._clock() >= self._next:
            self._next = self._clock() + PLAIN_EVERY_S
            tell(f"{label}: {_so_far(self._amount, done, total)}")

    def close(self) -> None:
        pass


class _Bar:
    def __init__(self, clock: Callable[[], float], amount: Callable[[int], str]) -> None:
        self._clock, self._amount = clock, amount
        self._since = self._shown = clock()
        self._progress: Progress | None = None
        self._tasks: dict[str, TaskID] = {}

    def __call__(self, label: str, done: int, total: int) -> None:
        now = self._clock()
        if now - self._since < SHOWN_AFTER_S or (label in self._tasks and now - self._shown < REDRAWN_EVERY_S):
            return
        self._shown = now
        self._progress = self._progress or _rich_progress()
        if label not in self._tasks:
            self._tasks[label] = self._progress.add_task(label, total=total or None, so_far="")
        so_far = _so_far(self._amount, done, total)
        self._progress.update(self._tasks[label], completed=done, total=total or None, so_far=so_far)

    def close(self) -> None:
        if self._progress is not None:
            self._progress.stop()


def _so_far(amount: Callable[[int], str], done: int, total: int) -> str:
    return f"{amount(done)} of {amount(total)}" if total else amount(done)


def _rich_progress() -> Progress:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[so_far]}"))
    bar = Progress(*columns, TimeRemainingColumn(), console=Console(stderr=True), transient=True)
    bar.start()
    return bar
