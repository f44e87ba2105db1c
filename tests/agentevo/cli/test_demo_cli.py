"""`agentevo demo` with a model behind HTTP that reads well: what is shown, that it goes on, and that it ends."""

from __future__ import annotations

import os
import pty
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from obedient_server import reader, reads
from openai_server import OpenAIServer, hangs
from openai_server import status as http_status

from agentevo.cli.app import status

__all__ = ["reader"]

AGENTEVO = Path(sys.executable).parent / "agentevo"
SHORT = ["demo", "--tasks", "16", "--new", "2", "-m", "openai/test"]


@pytest.mark.usefixtures("reader")
def test_the_demo_shows_learning_and_forgetting_and_one_lessons_life(capsys: pytest.CaptureFixture[str]) -> None:
    assert status([*SHORT, "--run", "mine"]) == 0
    said = capsys.readouterr()
    order = ["A small model on a small domain", "  lesson  ", "after 8 of 16", "  forgotten, ", "after 16 of 16"]
    order += ["reflecting on what went wrong", "  gate    ", "phrasings that it has never seen", "what came of it"]
    places = [said.out.find(words) for words in order]
    assert places == sorted(places), said.out
    assert -1 not in places
    assert "loading the model ...; go on after a stop with --run mine" in said.err


@pytest.mark.usefixtures("reader")
def test_the_commands_that_it_ends_with_work(capsys: pytest.CaptureFixture[str]) -> None:
    assert status([*SHORT, "--run", "mine"]) == 0
    shown = re.findall(r"^  agentevo (memory .*)$", capsys.readouterr().out, re.MULTILINE)
    assert [command.split()[3] for command in shown] == ["stats", "history", "show", "forget", "undo"]
    for command in shown:
        assert status(command.split()) == 0


def test_the_same_name_shows_the_same_and_asks_nothing(
    reader: OpenAIServer, capsys: pytest.CaptureFixture[str]
) -> None:
    assert status([*SHORT, "--run", "mine"]) == 0
    first, asked = capsys.readouterr().out, len(reader.bodies)
    assert status([*SHORT, "--run", "mine"]) == 0
    assert len(reader.bodies) == asked
    timeless = re.compile(r"; \d+ s$", re.MULTILINE)
    assert timeless.sub("", capsys.readouterr().out) == timeless.sub("", first)


def test_an_interrupted_demo_goes_on(reader: OpenAIServer) -> None:
    reader.then(reads, reads, reads, hangs)
    command = [str(AGENTEVO), *SHORT, "--run", "mine"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    reader.wait_for_requests(4)
    process.send_signal(signal.SIGINT)
    out, talk = process.communicate(timeout=30)
    assert (process.returncode, talk.splitlines()[-1], "  lesson  " in out) == (130, "interrupted", True)
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, "what came of it" in done.stdout) == (0, True), done.stderr
    asked = [tuple(message["content"] for message in body["messages"]) for body in reader.bodies]
    assert (asked[4:].count(asked[0]), asked[4]) == (0, asked[3])


def test_a_model_that_never_answers_is_given_up_early(reader: OpenAIServer, capsys: pytest.CaptureFixture[str]) -> None:
    reader.default = http_status(404, message="no such model")
    assert status(SHORT) == 1
    said = capsys.readouterr()
    assert "error: the model failed in each of its first 3 answers" in said.err
    assert "what came of it" not in said.out
    assert len(reader.bodies) == 3


@pytest.mark.usefixtures("reader")
@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        (["--tasks", "7"], "Invalid value for '--tasks'"),
        (["--tasks", "5000"], "tasks is 5000; expected how many train and test have, from 10 to 1000"),
        (["--run", "a/b"], "a run is named like a folder"),
        (["-m", "opnai/x"], "opnai"),
    ],
)
def test_misuse_is_one_line(options: list[str], complaint: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert status(["demo", "-m", "openai/test", *options]) == 2
    *_, last = capsys.readouterr().err.splitlines()
    assert last.startswith("error: ")
    assert complaint in last


@pytest.mark.usefixtures("reader")
@pytest.mark.parametrize("columns", [100, 40])
def test_on_a_terminal_the_curves_are_redrawn_in_place(columns: int) -> None:
    ours, theirs = pty.openpty()
    variables = {**os.environ, "COLUMNS": str(columns), "TERM": "xterm"}
    process = subprocess.Popen([str(AGENTEVO), *SHORT], env=variables, stdout=theirs, stderr=subprocess.DEVNULL)
    os.close(theirs)
    said = b""
    try:
        while piece := os.read(ours, 65_536):
            said += piece
    except OSError:
        pass  # a terminal whose other end is closed
    finally:
        os.close(ours)
    assert process.wait(30) == 0
    assert b"\x1b[2K" in said
    assert b"what came of it" in said
