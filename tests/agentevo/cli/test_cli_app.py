"""Every way in which a command can go wrong ends in one line on stderr and a status a shell can use."""

from __future__ import annotations

import errno
import io
import os
import re
import sys
from pathlib import Path
from typing import BinaryIO

import pytest

import agentevo
from agentevo.cli.app import status

COMMANDS = [
    ["demo"], ["run"], ["evolve"], ["bench", "run"], ["bench", "report"], ["bench", "list"], ["recipes", "list"],
    ["recipes", "show"], ["env", "list"], ["env", "show"], ["env", "check"], ["models", "list"], ["models", "pull"],
    ["models", "rm"], ["doctor"],
]  # fmt: skip


@pytest.fixture(autouse=True)
def own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AGENTEVO_HOME", str(tmp_path))
    monkeypatch.delenv("AGENTEVO_DEBUG", raising=False)


def test_the_version_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert status(["--version"]) == 0
    assert capsys.readouterr() == (f"agentevo {agentevo.__version__}\n", "")


def test_without_a_command_the_help_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    assert status([]) == 0
    said = capsys.readouterr().out
    assert [name for name in ("demo", "run", "models", "doctor") if name not in said] == []


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_every_command_has_help(command: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert status([*command, "--help"]) == 0
    assert f"agentevo {' '.join(command)}" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["frob"], "error: No such command 'frob'; see agentevo --help"),
        (["models"], "error: Missing command; see agentevo models --help"),
        (["run"], "error: Missing argument 'prompt'; see agentevo run --help"),
        (
            ["run", "--modle", "x", "hi"],
            "error: No such option: --modle (Possible options: --model); see agentevo run --help",
        ),
        (["run", "--max-tokens", "0", "hi"], "error: Invalid value for '--max-tokens': "),
        (["run", "--seed", "x", "hi"], "error: Invalid value for '--seed': "),
        (["run", " \n"], "error: the prompt is empty; "),
        (["models", "pull", "a", "b", "--name", "c"], "error: --name and --sha256 are for one file, but 2 were given"),
    ],
)
def test_misuse_is_one_line_and_exits_with_2(
    arguments: list[str], complaint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert status(arguments) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith(complaint)
    assert said.err.count("\n") == 1


def test_a_broken_settings_file_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "config.toml").write_text("model = \n", encoding="utf-8")
    assert status(["run", "hi"]) == 2
    said = capsys.readouterr().err
    assert re.fullmatch(r"error: cannot read .*config\.toml: Invalid value .*; correct it or move it away\n", said)


def test_debugging_shows_where_an_error_was_raised(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("AGENTEVO_DEBUG", "1")
    assert status(["run", ""]) == 2
    said = capsys.readouterr().err.splitlines()
    assert said[0] == "Traceback (most recent call last):"
    assert said[-1].startswith("error: the prompt is empty")


class Broken(io.TextIOWrapper):
    """A stream on which reading and writing fail with one error."""

    def __init__(self, error: BaseException) -> None:
        super().__init__(io.BytesIO())
        self._error = error

    @property
    def buffer(self) -> BinaryIO:
        raise self._error


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (KeyboardInterrupt(), 130, "interrupted"),
        (OSError(errno.EIO, "Input/output error", "disk"), 1, "error: Input/output error: disk"),
        (OSError("odd"), 1, "error: odd"),
        (RuntimeError("boom\nbang"), 1, "error: RuntimeError: boom bang (a defect; AGENTEVO_DEBUG=1 shows where)"),
    ],
    ids=["interrupt", "disk", "odd", "defect"],
)
def test_whatever_happens_is_one_line(
    error: BaseException, code: int, said: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "stdin", Broken(error))
    assert status(["run", "-"]) == code
    assert capsys.readouterr() == ("", said + "\n")


def test_a_reader_that_has_gone_is_no_error(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    read, write = os.pipe()
    os.close(read)
    with os.fdopen(write, "w", closefd=True) as pipe:
        monkeypatch.setattr(sys, "stdout", pipe)
        assert status(["--version"]) == 141
    assert capsys.readouterr().err == ""
