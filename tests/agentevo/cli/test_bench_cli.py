"""`agentevo bench`: arms compared by a command, runs that go on, and models that fail."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from filelock import FileLock
from obedient_server import capitals, reader, reads
from openai_server import OpenAIServer, hangs
from openai_server import status as http_status

from agentevo.cli.app import status

__all__ = ["capitals", "reader"]

AGENTEVO = Path(sys.executable).parent / "agentevo"
SMALL = ["house:tasks=10", "--tasks", "6"]


@pytest.mark.usefixtures("reader")
def test_arms_are_compared(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert status(["bench", "run", *SMALL, "--arms", "none,copy,memory", "--run", "mine"]) == 0
    said = capsys.readouterr()
    assert said.err.startswith("house:tasks=10: 3 cells, 18 answers; go on after a stop with --run mine\n")
    assert [line.split()[0] for line in said.out.splitlines()[2:6]] == ["arm", "none", "copy", "memory"]
    assert "memory - none: " in said.out
    assert "of 6\n" in said.out
    assert len((tmp_path / "home/runs/mine/results.jsonl").read_text("utf-8").splitlines()) == 18


@pytest.mark.usefixtures("reader")
def test_json_is_the_comparison_and_report_says_it_again(capsys: pytest.CaptureFixture[str]) -> None:
    assert status(["bench", "run", *SMALL, "--arms", "null,copy", "--run", "mine", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [arm["name"] for arm in found["arms"]] == ["null", "copy"]
    assert {name: found["differences"][0][name] for name in ("arm", "over", "pairs")} == {
        "arm": "copy", "over": "null", "pairs": 6,
    }  # fmt: skip
    assert status(["bench", "report", "mine", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == found
    assert status(["bench", "report", "mine", "--arm", "null"]) == 0
    assert "null - copy: " in capsys.readouterr().out


def test_a_finished_run_is_read_and_asks_nothing(reader: OpenAIServer, tmp_path: Path) -> None:
    command = ["bench", "run", *SMALL, "--arms", "none", "--run", "mine"]
    assert status(command) == 0
    assert len(reader.bodies) == 6
    assert status(command) == 0
    assert len(reader.bodies) == 6
    assert len((tmp_path / "home/runs/mine/results.jsonl").read_text("utf-8").splitlines()) == 6


@pytest.mark.usefixtures("reader")
def test_answers_from_a_file_are_a_suite(capitals: str, capsys: pytest.CaptureFixture[str]) -> None:
    options = ["--arms", "none,memory", "--protocol", "epochs", "--json"]
    assert status(["bench", "run", capitals, *options]) == 0
    none, memory = json.loads(capsys.readouterr().out)["arms"]
    assert (none["curve"], memory["curve"]) == ([0.0, 0.0], [0.0, 1.0])


@pytest.mark.usefixtures("reader")
@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["run", "hous"], "unknown environment 'hous'"),
        (["run", "house", "--arms", "foo"], "unknown arm 'foo'; known: copy, evo, memory"),
        (["run", "house", "--recipe", "ev"], "unknown recipe 'ev'"),
        (["run", "house", "--protocol", "x"], "unknown protocol 'x'; known: epochs, stream"),
        (["run", "house", "--run", "a/b"], "a run is named like a folder"),
        (["run", "answers"], "write answers:source=..."),
    ],
)
def test_misuse_is_one_line_and_makes_no_run(
    arguments: list[str], complaint: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert status(["bench", *arguments]) == 2
    said = capsys.readouterr()
    assert (said.out, said.err.count("\n")) == ("", 1)
    assert complaint in said.err
    assert not (tmp_path / "home").exists()


@pytest.mark.usefixtures("reader")
def test_a_run_that_is_not_there_has_no_report(capsys: pytest.CaptureFixture[str]) -> None:
    assert status(["bench", "report", "nope"]) == 1
    assert "holds no results.jsonl" in capsys.readouterr().err


@pytest.mark.usefixtures("reader")
def test_a_run_that_is_refused_keeps_its_results(capsys: pytest.CaptureFixture[str]) -> None:
    assert status(["bench", "run", *SMALL, "--arms", "null,copy", "--run", "mine", "--json"]) == 0
    found = capsys.readouterr().out
    assert status(["bench", "run", "house:tasks=10", "--tasks", "7", "--arms", "null", "--run", "mine"]) == 2
    assert "was begun with another tasks (tasks: then 6, now 7)" in capsys.readouterr().err
    assert status(["bench", "report", "mine", "--json"]) == 0
    assert capsys.readouterr().out == found


@pytest.mark.usefixtures("reader")
def test_a_run_under_way_elsewhere_keeps_its_results(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["bench", "run", *SMALL, "--arms", "null", "--run", "mine"]
    assert status(command) == 0
    folder = tmp_path / "home/runs/mine"
    before = (folder / "results.jsonl").read_bytes()
    capsys.readouterr()
    with FileLock(folder / "lock", is_singleton=False):
        assert status(command) == 1
    assert "is under way in another process; wait for it, or name another" in capsys.readouterr().err
    assert (folder / "results.jsonl").read_bytes() == before


def test_a_model_that_never_answers_is_given_up_early(reader: OpenAIServer, capsys: pytest.CaptureFixture[str]) -> None:
    reader.default = http_status(404, message="no such model")
    assert status(["bench", "run", "house", "--arms", "null,none,memory"]) == 1
    said = capsys.readouterr()
    assert (said.out, len(reader.bodies)) == ("", 3)
    assert "error: the model failed in each of its first 3 answers" in said.err
    assert "no such model" in said.err


def test_an_arm_whose_model_failed_at_times_says_so(reader: OpenAIServer, capsys: pytest.CaptureFixture[str]) -> None:
    reader.then(reads, reads, http_status(400, message="not now"))
    assert status(["bench", "run", *SMALL, "--arms", "null,none", "--run", "mine"]) == 0
    told = "arm none: in 1 of 6 answers the model failed: model: "
    assert told in capsys.readouterr().err
    assert status(["bench", "report", "mine", "--json"]) == 0
    assert told in capsys.readouterr().err


def test_an_interrupted_run_goes_on_and_asks_nothing_twice(reader: OpenAIServer, tmp_path: Path) -> None:
    reader.then(reads, reads, hangs)
    command = [str(AGENTEVO), "bench", "run", *SMALL, "--arms", "none", "--run", "mine"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    reader.wait_for_requests(3)
    process.send_signal(signal.SIGINT)
    out, talk = process.communicate(timeout=30)
    assert (process.returncode, out, talk.splitlines()[-1]) == (130, "", "interrupted")
    assert len((tmp_path / "home/runs/mine/results.jsonl").read_text("utf-8").splitlines()) == 2
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, len(reader.bodies)) == (0, 7), done.stderr


def test_on_a_narrow_terminal_the_table_stays_in_its_lines(reader: OpenAIServer, tmp_path: Path) -> None:
    assert status(["bench", "run", *SMALL, "--arms", "null,copy", "--run", "mine"]) == 0
    wide, narrow = (_on_a_terminal(columns, "bench", "report", "mine") for columns in (120, 50))
    assert next(line for line in wide if line.startswith("null")).count(".") > 3
    rows = [line for line in narrow if line.startswith(("arm", "null", "copy "))]
    assert rows
    assert max(len(row) for row in rows if " - " not in row) <= 50


def _on_a_terminal(columns: int, *arguments: str) -> list[str]:
    """Return the lines that a command writes to a terminal of so many columns."""
    ours, theirs = pty.openpty()
    variables = {**os.environ, "COLUMNS": str(columns), "TERM": "xterm"}
    process = subprocess.Popen([str(AGENTEVO), *arguments], env=variables, stdout=theirs, stderr=subprocess.DEVNULL)
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
    return said.decode().splitlines()
