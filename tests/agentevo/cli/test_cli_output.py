"""Progress is silent at first, results and talk are kept apart, and errors fit on one line."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Callable

import pytest

from agentevo.cli import output
from agentevo.cli.output import counting, one_line, printable, progress, show_json, show_table, size
from agentevo.errors import Misuse


class Clock:
    """A clock that goes when it is told to."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


class Terminal(io.StringIO):
    """Stands for stderr of somebody who watches."""

    def isatty(self) -> bool:
        return True


def report_at(clock: Clock, *moments: tuple[float, int]) -> None:
    with progress(clock) as report:
        for moment, done in moments:
            clock.now = 100.0 + moment
            report("weights", done, 2_000_000)


def test_what_is_quick_shows_no_progress(capsys: pytest.CaptureFixture[str]) -> None:
    report_at(Clock(), (0.0, 0), (0.5, 1_000_000), (0.99, 2_000_000))
    assert capsys.readouterr() == ("", "")


def test_away_from_a_terminal_a_plain_line_shows_now_and_then(capsys: pytest.CaptureFixture[str]) -> None:
    report_at(Clock(), (0.5, 1), (1.0, 500_000), (2.0, 700_000), (10.9, 900_000), (11.0, 1_000_000), (30.0, 2_000_000))
    assert capsys.readouterr().err.splitlines() == [
        "weights: 0.5 MB of 2.0 MB",
        "weights: 1.0 MB of 2.0 MB",
        "weights: 2.0 MB of 2.0 MB",
    ]


def test_a_total_that_is_not_known_is_left_out(capsys: pytest.CaptureFixture[str]) -> None:
    clock = Clock()
    with progress(clock) as report:
        clock.now += 2
        report("waiting", 300_000, 0)
    assert capsys.readouterr().err == "waiting: 0.3 MB\n"


def test_on_a_terminal_a_bar_shows_after_a_second(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    screen = Terminal()
    monkeypatch.setattr(sys, "stderr", screen)
    report_at(Clock(), (0.5, 500_000))
    assert screen.getvalue() == ""
    report_at(Clock(), (0.5, 500_000), (1.5, 1_000_000), (2.0, 2_000_000))
    assert "weights" in screen.getvalue()


def test_what_is_counted_is_shown_without_a_unit(capsys: pytest.CaptureFixture[str]) -> None:
    clock = Clock()
    with counting("verifying", clock) as told:
        clock.now += 2
        told("items", 1_500, 20_000)
    assert capsys.readouterr().err == "verifying: items: 1,500 of 20,000\n"


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0 B"), (99_999, "99999 B"), (100_000, "0.1 MB"), (98_362_432, "98.4 MB"), (2 * 10**9, "2.0 GB")],
)
def test_sizes_are_written_as_people_write_them(count: int, text: str) -> None:
    assert size(count) == text


def test_control_characters_of_a_model_do_not_reach_the_terminal() -> None:
    assert printable("a\x1b[31mred\x07\x9b\x7f\ttab\nline é 漢") == "a[31mred\ttab\nline é 漢"


def test_an_error_becomes_one_line() -> None:
    assert one_line(Misuse("first\n  second\tthird")) == "first second third"
    assert one_line(ValueError()) == "ValueError"


def test_a_table_is_as_wide_as_its_longest_cells(capsys: pytest.CaptureFixture[str]) -> None:
    show_table(("A", "LONG"), [("longer", "x"), ("s", "")])
    assert capsys.readouterr().out == "A       LONG\nlonger  x\ns\n"


@pytest.mark.parametrize("write", [output.show, output.show_json])
def test_results_go_to_stdout(write: Callable[[str], None], capsys: pytest.CaptureFixture[str]) -> None:
    write("ä")
    said = capsys.readouterr()
    assert ("ä" in said.out, said.err) == (True, "")


def test_characters_the_terminal_lacks_show_as_escapes(monkeypatch: pytest.MonkeyPatch) -> None:
    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, encoding="ascii"))
    output.plain_streams()
    output.show("naïve \ud800")
    sys.stdout.flush()
    assert raw.getvalue() == b"na\\xefve \\ud800\n"


def test_a_reply_that_breaks_off_ends_its_line(capsys: pytest.CaptureFixture[str]) -> None:
    def break_off() -> None:
        with output.streamed() as write:
            write("half")
            raise Misuse("cut")

    with pytest.raises(Misuse):
        break_off()
    assert capsys.readouterr().out == "half\n"


def test_a_reply_without_text_prints_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    with output.streamed():
        pass
    assert capsys.readouterr().out == ""


def test_json_means_the_same_and_cannot_drive_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    value = {"name": "\x1b[2J \x9b2J \u202e \u2028 \U000e0041 \ud800 é"}
    show_json(dict(value))
    written = capsys.readouterr().out
    assert json.loads(written) == value
    assert written == '{\n  "name": "\\u001b[2J \\u009b2J \\u202e \\u2028 \\udb40\\udc41 \\ud800 é"\n}\n'
