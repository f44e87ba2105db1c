"""How memory looks on a terminal: items, tables and bars, with whatever could drive the terminal made visible."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Literal

from agentevo.cli.output import DRIVING, show, show_table

if TYPE_CHECKING:
    from agentevo.types import Item

SHORT_ID = 8


def visible(text: str) -> str:
    r"""Return a text that cannot drive a terminal: an escape character is shown as \x1b, and so on; lines stay."""
    return DRIVING.sub(lambda found: found[0].encode("unicode-escape").decode(), text)


def one_line(text: str) -> str:
    """Return a text on one line, made visible."""
    return " ".join(visible(text).split())


def when(seconds: float | None, *, day_only: bool = False) -> str:
    """Return a time as people here write it; a number no calendar knows stays a number."""
    if seconds is None:
        return "never"
    try:
        moment = datetime.fromtimestamp(seconds, tz=UTC).astimezone()
    except (OverflowError, ValueError, OSError):
        return f"{seconds:g}"
    return moment.strftime("%Y-%m-%d" if day_only else "%Y-%m-%d %H:%M")


def status_of(item: Item) -> str:
    """Return an item's status in one word."""
    return "pinned" if item.pinned and item.status == "live" else item.status


def named(item: Item) -> str:
    """Return an item on one line: its id and the beginning of its text."""
    text = one_line(item.text)
    return f"{visible(item.id)}  {text if len(text) <= 80 else text[:79].rstrip() + '...'}"


def shown_score(value: float) -> str:
    """Return a score, or a part of one, as it is read best; one too small for that is not shown as nothing."""
    return f"{value:.3f}" if value == 0 or abs(value) >= 0.0005 else f"{value:.0e}"


# --- tables


def show_rows(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Write rows whose first column are ids and whose last is text.

    On a terminal they fit its width; elsewhere nothing is cut, so that what reads them has it all.
    """
    if not sys.stdout.isatty():
        show_table(headings, rows)
        return
    short = _short([row[0] for row in rows])
    _fitted(headings, [(row_id, *row[1:]) for row_id, row in zip(short, rows, strict=True)])


def _short(ids: Sequence[str]) -> list[str]:
    """Cut ids so that they still differ from each other."""
    length = SHORT_ID
    while len({one[:length] for one in ids}) < len(set(ids)):
        length += 1
    return [one[:length] for one in ids]


def _fitted(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    cut: Literal["ellipsis", "crop"] = "ellipsis" if is_unicode() else "crop"
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), expand=True)
    for heading in headings[:-1]:
        table.add_column(heading, no_wrap=True)
    table.add_column(headings[-1], no_wrap=True, overflow=cut, ratio=1)
    for row in rows:
        table.add_row(*map(Text, row))  # Text, because a str would be read as markup
    width, height = shutil.get_terminal_size()  # rich alone takes every plain terminal for one of 80 columns
    Console(file=sys.stdout, width=width, height=height, highlight=False).print(table)


def is_unicode() -> bool:
    """Say whether the terminal can show more than ASCII."""
    return (sys.stdout.encoding or "ascii").lower().replace("-", "").startswith("utf")


# --- fields and bars


def show_fields(fields: Sequence[tuple[str, str]]) -> None:
    """Write names and values, the values below each other."""
    width = max(len(name) for name, _ in fields)
    for name, value in fields:
        show(f"{name.ljust(width)}  {value}".rstrip())


def show_histogram(title: str, values: Sequence[float], bins: int = 10, width: int = 40) -> None:
    """Draw how values from 0 to 1 are spread."""
    counts = histogram(values, bins)
    most = max(counts, default=0)
    show(title)
    for n, count in enumerate(counts):
        low, high = n / bins, (n + 1) / bins
        show(f"  {low:.1f}-{high:.1f}  {f'{bar(count, most, width)} {count}'.strip()}")


def histogram(values: Sequence[float], bins: int = 10) -> list[int]:
    """Count values from 0 to 1 in bins of equal width; 1 is in the last one."""
    counts = [0] * bins
    for value in values:
        counts[min(bins - 1, max(0, int(value * bins)))] += 1
    return counts


_EIGHTHS = " ▏▎▍▌▋▊▉█"


def bar(count: int, most: int, width: int) -> str:
    """Return a bar as long as the count is of the most; whatever is not nothing is seen."""
    if count == 0:
        return ""
    if not is_unicode():
        return "#" * max(1, round(width * count / most))
    eighths = max(1, round(8 * width * count / most))
    return "█" * (eighths // 8) + _EIGHTHS[eighths % 8].strip()
