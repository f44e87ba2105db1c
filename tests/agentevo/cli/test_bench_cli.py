"""`agentevo bench`: arms compared by a command, runs that go on, and models that fail."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from commands import done, interrupted, on_a_terminal
from filelock import FileLock
from obedient_server import capitals, reader, reads
from openai_server import OpenAIServer, hangs
from openai_server import status as http_status

from agentevo.cli.app import status

__all__ = ["capitals", "reader"]

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
        (["run", "house", "--arms", "foo"], "unknown arm 'foo'; known: "),
        (["run", "house", "--recipe", "ev"], "unknown recipe 'ev'"),
        (["run", "house", "--protocol", "x"], "unknown protocol 'x'; known: epochs, stream, trials"),
        (["run", "house", "--protocol", "epoch", "--epochs", "2"], "unknown protocol 'epoch'; known: epochs, stream"),
        (["run", "house", "--arms", "none,reflexion"], "arm 'reflexion' chooses its tasks itself"),
        (["run", "house", "--recipe", "reflexion"], "recipe 'reflexion' chooses its tasks itself"),
        (["run", "house", "--model", "nonsense/xyz"], "unknown model provider 'nonsense'"),
        (["run", "house", "--run", "a/b"], "a run is named like a folder"),
        (["run", "answers"], "write answers:source=..."),
        (["run", "house", "--epochs", "3"], "--epochs does nothing here: the protocol stream has no use for it"),
        (["run", "house", "--protocol", "trials", "--test", "3"], "--test does nothing here: the protocol trials"),
        (["run", "weights-loop", "--arms", "none"], "--arms does nothing here: weights-loop says itself what"),
        (["run", "weights-loop", "--max-cost", "1"], "--max-cost does nothing here"),
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
@pytest.mark.parametrize(
    ("model", "complaint"),
    [("nonsense/xyz", "error: unknown model provider 'nonsense'"), ("openai/test", "needs OPENAI_API_KEY")],
)
def test_a_model_that_nobody_can_ask_leaves_no_run(
    model: str, complaint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("OPENAI_API_KEY")
    assert status(["bench", "run", *SMALL, "--arms", "none", "--model", model]) == 2
    assert complaint in capsys.readouterr().err.splitlines()[-1]
    assert not list(tmp_path.glob("home/runs/*"))


@pytest.mark.usefixtures("reader")
@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--tasks", "12"], ["house:tasks=10 has 10 tasks to practise on, not 12: all of them are taken"]),
        (
            ["--tasks", "6", "--protocol", "epochs", "--test", "1000"],
            ["house:tasks=10 has 10 tasks to test on, not 1,000: all of them are taken"],
        ),
        ([], []),
    ],
)
def test_fewer_tasks_than_asked_for_are_told(
    options: list[str], said: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert status(["bench", "run", "house:tasks=10", "--arms", "null", *options]) == 0
    assert capsys.readouterr().err.splitlines()[:-1] == said


@pytest.mark.usefixtures("reader")
def test_a_run_that_is_not_there_has_no_report(capsys: pytest.CaptureFixture[str]) -> None:
    assert status(["bench", "report", "nope"]) == 1
    assert "holds no results.jsonl" in capsys.readouterr().err


@pytest.mark.usefixtures("reader")
@pytest.mark.parametrize("command", [["compare", "nope", "nope"], ["verify", "nope"]])
def test_a_run_that_is_not_there_is_neither_compared_nor_verified(
    command: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert status(["bench", *command]) == 1
    assert "holds no results.jsonl" in capsys.readouterr().err


@pytest.mark.usefixtures("reader")
def test_two_runs_are_compared_arm_by_arm(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for arms in ("copy", "null,copy"):
        assert status(["bench", "run", *SMALL, "--arms", arms, "--run", arms.replace(",", "-")]) == 0
    capsys.readouterr()
    assert status(["bench", "compare", "copy", "null-copy"]) == 0
    assert "copy of null-copy - copy of copy: +0.000, " in capsys.readouterr().out
    assert status(["bench", "compare", "copy", "null-copy", "--arm", "copy", "--json"]) == 0
    (difference,) = json.loads(capsys.readouterr().out)["differences"]
    assert (difference["pairs"], difference["mean"]) == (6, 0.0)
    assert status(["bench", "compare", "copy", "null-copy", "--arm", "null"]) == 2
    assert "unknown arm of both runs 'null'; known: copy" in capsys.readouterr().err
    elsewhere = str(shutil.copytree(tmp_path / "home/runs/copy", tmp_path / "elsewhere/copy"))
    assert status(["bench", "compare", "copy", elsewhere]) == 0
    assert f"copy of {elsewhere} - copy of copy: " in capsys.readouterr().out


@pytest.mark.usefixtures("reader")
def test_stored_answers_are_verified_against_the_environment(
    capitals: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = ["bench", "run", capitals, "--arms", "null,memory", "--protocol", "epochs", "--run", "mine"]
    assert status(run) == 0
    capsys.readouterr()
    assert status(["bench", "verify", "mine"]) == 0
    assert capsys.readouterr().out == "16 of 16 answers score as they did\n"
    path = tmp_path / "capitals.csv"
    path.write_text(path.read_text("utf-8").replace("Klow", "Zlip"), "utf-8")
    assert status(["bench", "verify", "mine"]) == 1
    said = capsys.readouterr().out.splitlines()
    assert said[0].startswith("another environment: answers:source=")
    assert said[1].startswith("changed: memory-0, epoch 1, place ")
    assert said[1].endswith(": was 1, now 0")
    assert said[-1] == "15 of 16 answers score as they did"
    assert status(["bench", "verify", "mine", "--json"]) == 1
    found = json.loads(capsys.readouterr().out)
    assert (found["ok"], found["checked"], len(found["changed"]), len(found["others"])) == (False, 16, 1, 1)
    assert status(run) == 2
    assert "was begun with another environment, instruction, options" in capsys.readouterr().err


@pytest.mark.usefixtures("reader")
def test_the_suites_are_listed_with_what_their_cards_say(capsys: pytest.CaptureFixture[str]) -> None:
    assert status(["bench", "list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split()[:5] == ["suite", "splits", "null", "gold", "licence"]
    (house,) = [line for line in lines if line.startswith("house@1")]
    assert " 0     1     Apache-2.0 " in house
    assert status(["bench", "list", "--json"]) == 0
    found = {suite["name"]: suite for suite in json.loads(capsys.readouterr().out)}
    assert found["house"]["null_score"] == 0.0
    assert "needs the option 'source'" in found["answers"]["needs"]


@pytest.mark.usefixtures("reader")
def test_what_learning_cost_stands_beside_what_answers_cost(capsys: pytest.CaptureFixture[str]) -> None:
    options = ["--recipe", "reflexion", "--arms", "none,memory", "--protocol", "trials", "--run", "mine"]
    assert status(["bench", "run", *SMALL, *options]) == 0
    columns = "tokens to answer  to learn  cost to answer  to learn"
    assert columns in capsys.readouterr().out
    assert status(["bench", "report", "mine", "--json"]) == 0
    none, memory = json.loads(capsys.readouterr().out)["arms"]
    assert (none["learning"]["calls"], none["answering"]["calls"]) == (0, 12)
    assert memory["learning"]["calls"] > 0


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
    assert "is under way already, in this process or another; wait for it, or name another" in capsys.readouterr().err
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
    command = ["bench", "run", *SMALL, "--arms", "none", "--run", "mine"]
    stopped = interrupted(reader, 3, *command)
    assert (stopped.status, stopped.out, stopped.talk.splitlines()[-1]) == (130, "", "interrupted")
    assert len((tmp_path / "home/runs/mine/results.jsonl").read_text("utf-8").splitlines()) == 2
    again = done(*command)
    assert (again.status, len(reader.bodies)) == (0, 7), again.talk


def test_on_a_narrow_terminal_the_table_stays_in_its_lines(reader: OpenAIServer, tmp_path: Path) -> None:
    assert status(["bench", "run", *SMALL, "--arms", "null,copy", "--run", "mine"]) == 0
    shown = (on_a_terminal(columns, "bench", "report", "mine") for columns in (140, 100, 50))
    wide, middle, narrow = (said.decode().splitlines() for said in shown)
    assert next(line for line in wide if line.startswith("null")).count(".") > 6
    assert next(line for line in middle if line.startswith("null")).count(".") == 3
    rows = [line for line in narrow if line.startswith(("arm", "null", "copy "))]
    assert rows
    assert max(len(row) for row in rows if " - " not in row) <= 50
