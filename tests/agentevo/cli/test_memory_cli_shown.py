"""Hostile text is shown and drives nothing; tables fit the terminal; bars are drawn with what it can show."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeAlias

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentevo.cli.memory.shown import bar, histogram, one_line, show_rows, visible, when
from agentevo.cli.output import json_text, printable
from agentevo.types import Json, Op

if TYPE_CHECKING:
    from memory_console import Console

pytest_plugins = ("memory_console",)

HOSTILE = "\x1b]0;owned\x07\x1b[2J\x9b31mred\r\b\x7f\u202eevil\u2066\u200bzero\ufeff\U000e0041[bold]x[/bold]"


class Terminal(io.TextIOWrapper):
    """Stands for stdout of somebody who watches."""

    def __init__(self, encoding: str = "utf-8") -> None:
        self.raw_bytes = io.BytesIO()
        super().__init__(self.raw_bytes, encoding=encoding, errors="backslashreplace")

    def isatty(self) -> bool:
        return True

    @property
    def said(self) -> str:
        self.flush()
        return self.raw_bytes.getvalue().decode(self.encoding)


Watched: TypeAlias = Callable[[str, int], Terminal]


@pytest.fixture
def watched(monkeypatch: pytest.MonkeyPatch) -> Watched:
    """Return what puts a terminal of an encoding and a width in the place of stdout."""

    def watch(encoding: str, width: int) -> Terminal:
        terminal = Terminal(encoding)
        monkeypatch.setenv("COLUMNS", str(width))
        monkeypatch.setenv("TERM", "dumb")
        monkeypatch.setattr(sys, "stdout", terminal)
        return terminal

    return watch


def test_what_could_drive_a_terminal_is_made_visible() -> None:
    assert visible(HOSTILE) == (
        r"\x1b]0;owned\x07\x1b[2J\x9b31mred\r\x08\x7f\u202eevil\u2066\u200bzero\ufeff\U000e0041[bold]x[/bold]"
    )
    assert visible("naïve 漢字 👩\u200d🚀 \u05d0\n\ttab") == "naïve 漢字 👩\u200d🚀 \u05d0\n\ttab"
    assert visible("\ud800") == r"\ud800"


@given(st.text())
def test_no_text_drives_a_terminal(text: str) -> None:
    shown = visible(text)
    assert printable(shown) == shown
    assert not any(0xD800 <= ord(c) <= 0xDFFF or ord(c) in (0x2028, 0x2029, 0x202E, 0x2066, 0xFEFF) for c in shown)
    assert "\n" not in one_line(text)


@given(st.text())
def test_json_means_the_same_and_drives_no_terminal(text: str) -> None:
    written = json_text({"text": text, text: [1]})
    assert json.loads(written) == {"text": text, text: [1]}
    assert visible(written) == written


def test_no_command_writes_what_an_item_hides(console: Console) -> None:
    with console.memory() as memory:
        item = memory.insert(f"a{HOSTILE}", metadata={"k": HOSTILE}, source=HOSTILE, key_text=f"key {HOSTILE}")
        child = memory.insert("child", derived_from=[item.id, HOSTILE], source="user", reason=HOSTILE)
    for command in (
        ["list"], ["show", item.id], ["show", child.id], ["search", "key", "--explain"], ["history"], ["stats"],
        ["history", child.id], ["lineage", child.id], ["export", "-"], ["list", "--json"], ["show", item.id, "--json"],
        ["forget", item.id, "--reason", HOSTILE], ["undo"], ["edit", item.id, f"b{HOSTILE}"], ["history", item.id],
        ["sweep", "--policy", "evict:0", "--dry-run"], ["purge", child.id, "--yes"],
    ):  # fmt: skip
        said = console.done(*command)
        assert visible(said) == said, command
        assert visible(console.err) == console.err, command


def test_what_was_credited_was_used(console: Console) -> None:
    with console.memory() as memory:
        item, other = memory.insert(["credited alone", "never touched"])
        for attempt, wins in (("a", 1.0), ("b", 0.0), ("b", 1.0)):
            changes: dict[str, Json] = {"wins": wins, "losses": 1 - wins}
            memory.apply([Op(verb="reinforce", id=item.id, key=attempt, changes=changes)])
        memory.apply([Op(verb="reinforce", id=item.id, key="use:b", changes={"uses": 1, "at": 86_400.0 * 366})])
        told = max(change.at for change in memory.history(item.id))
    shown = console.done("show", item.id)
    assert f"used         2 times, last {when(told)}" in shown
    assert "(2 helped, 0 hurt)" in shown
    assert [line.split("  ")[-1] for line in shown.splitlines() if "helped, in" in line] == [
        "helped, in a",
        "helped, in b",
    ]
    assert [line for line in console.done("show", other.id).splitlines() if line.startswith("used")] == [
        "used         never"
    ]


def test_a_table_fits_the_terminal_and_ids_are_cut_where_they_still_differ(watched: Watched) -> None:
    terminal = watched("utf-8", 60)
    rows = [("0123456789abcdef", "fact", f"漢字 {'long ' * 40}"), ("0123456789ffffff", "fact", "[bold]short[/bold]")]
    show_rows(("ID", "KIND", "TEXT"), rows)
    lines = terminal.said.splitlines()
    assert len(lines) == 3
    assert max(map(len, lines)) <= 60
    assert lines[1].startswith("0123456789a  fact  漢字 long")
    assert lines[1].rstrip().endswith("…")
    assert lines[2].split() == ["0123456789f", "fact", "[bold]short[/bold]"]


def test_a_terminal_without_unicode_gets_ascii(watched: Watched) -> None:
    screen = watched("ascii", 40)
    show_rows(("ID", "TEXT"), [("a" * 16, "word " * 30)])
    assert bar(1, 2, 10) == "#####"
    assert "\\u" not in screen.said
    assert max(map(len, screen.said.splitlines())) <= 40


def test_away_from_a_terminal_nothing_is_cut(capsys: pytest.CaptureFixture[str]) -> None:
    show_rows(("ID", "TEXT"), [("0123456789abcdef", "word " * 50 + "end")])
    assert capsys.readouterr().out.splitlines()[1] == f"0123456789abcdef  {'word ' * 50}end"


def test_bars_are_as_long_as_the_count_and_the_smallest_is_seen(watched: Watched) -> None:
    watched("utf-8", 60)
    assert [bar(n, 1000, 10) for n in (0, 1, 500, 550, 1000)] == ["", "▏", "█████", "█████▌", "██████████"]


def test_values_are_counted_in_bins() -> None:
    assert histogram([0.0, 0.05, 0.1, 0.99, 1.0, 1.5, -1.0], 10) == [3, 1, 0, 0, 0, 0, 0, 0, 0, 3]
    assert histogram([]) == [0] * 10


def test_times_no_calendar_knows_stay_numbers() -> None:
    assert when(1e30) == "1e+30"
    assert when(None) == "never"
    assert len(when(0.0)) == len("1970-01-01 00:00")
