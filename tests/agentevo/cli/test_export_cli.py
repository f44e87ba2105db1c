"""`agentevo export`: rows to a file, a folder or stdout, and a card that says what was left out."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from moments import attempt, experience

from agentevo.cli.app import status
from agentevo.environments.load import load
from agentevo.types import Feedback

if TYPE_CHECKING:
    from memory_console import Console

pytest_plugins = ("memory_console",)


class Run:
    """Runs `agentevo export ...` over the console's memory."""

    def __init__(self, console: Console, capsys: pytest.CaptureFixture[str]) -> None:
        self.console, self._capsys = console, capsys

    def __call__(self, *arguments: str) -> tuple[int, str, str]:
        code = status(["export", *arguments])
        out, err = self._capsys.readouterr()
        return code, out, err


@pytest.fixture
def export(console: Console, capsys: pytest.CaptureFixture[str]) -> Run:
    with console.memory() as m:
        for n in range(3):
            right = attempt(f"a{n}", f"Where is {n}?", f"It is\u202e at {n}.", 1.0)
            m.record(experience(right, attempt(f"b{n}", right.task.prompt, "No.", 0.0)), run=f"r{n % 2}")
    return Run(console, capsys)


def rows(text: str) -> list[Any]:
    return [json.loads(line) for line in text.splitlines()]


def test_rows_go_into_a_file_and_the_card_to_people(export: Run, tmp_path: Path) -> None:
    code, out, _ = export("sft", "--out", str(tmp_path / "data.jsonl"), "--strip", "memory,hints")
    assert code == 0
    assert [line.split()[:2] for line in out.splitlines()[:3]] == [["rows", "3"], ["of", "3"], ["left", "out"]]
    assert "3 low score" in out
    assert len(rows((tmp_path / "data.jsonl").read_text("utf-8"))) == 3


def test_rows_on_stdout_are_whole_and_harmless(export: Run) -> None:
    code, out, err = export("sft", "--out", "-", "--run", "r0")
    assert (code, len(rows(out)), "\u202e" in out) == (0, 2, False)
    assert rows(out)[0]["completion"][0]["content"] == "It is\u202e at 0."
    assert "2 rows of 2 experiences; left out: 2 low score" in err


def test_the_card_as_json(export: Run, tmp_path: Path) -> None:
    code, out, _ = export("pairs", "--out", str(tmp_path / "p.jsonl"), "--per-task", "2", "--json", "--near", "off")
    card = json.loads(out)
    assert (code, card["what"], card["rows"], card["mean"]) == (0, "pairs", 3, 1.0)
    assert card["rules"]["near"] is None


def test_a_suite_that_must_not_be_learned_from(export: Run, tmp_path: Path) -> None:
    environment, _ = load("house/test")
    held = environment.tasks("test")[0].prompt
    with export.console.memory() as m:
        m.record(experience(attempt("held", held.upper(), "x", 1.0)))
    code, out, _ = export("sft", "--out", str(tmp_path / "d.jsonl"), "--against", "house/test", "--json")
    assert (code, json.loads(out)["dropped"]) == (0, {"in house/test": 1, "low score": 3})


def test_nothing_to_export_exits_with_1_and_says_why(export: Run, tmp_path: Path) -> None:
    code, out, err = export("sft", "--out", str(tmp_path / "d.jsonl"), "--min-trust", "1", "--json")
    assert (code, json.loads(out)) == (1, {"rows": 0, "dropped": {"low trust": 6}})
    assert "left out: 6 low trust" in err
    assert list(tmp_path.glob("d*")) == []


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--against", "hous/test"], "unknown environment 'hous'; known:"),
        (["--against", "house/nothing"], "unknown split"),
        (["--strip", "memry"], "unknown part of a prompt to strip 'memry'; known: memory, hints"),
        (["--min-score", "high"], "--min-score takes a number from 0 to 1, or any, not 'high'"),
        (["--namespace", "nobody"], "there is no namespace 'nobody'"),
        (["--shape", "chatml"], "unknown shape of a row"),
        (["--where", "$bad=1"], "unknown field"),
        (
            ["--min-margin", "0.2", "--per-task", "2"],
            "--min-margin and --per-task can be given to `agentevo export pairs`",
        ),
    ],
)
def test_bad_input_is_misuse_in_a_line(export: Run, tmp_path: Path, arguments: list[str], says: str) -> None:
    code, out, err = export("sft", "--out", str(tmp_path / "d.jsonl"), *arguments)
    assert (code, out) == (2, "")
    assert says in err
    assert list(tmp_path.glob("d*")) == []


def test_pairs_have_one_shape_and_their_answers_alone_if_asked(export: Run, tmp_path: Path) -> None:
    out = str(tmp_path / "p.jsonl")
    code, _, err = export("pairs", "--out", out, "--shape", "messages")
    assert (code, "pairs have one shape" in err) == (2, True)
    assert export("pairs", "--out", out, "--turns", "answer", "--min-margin", "0.2")[0] == 0


def test_corrections_by_people_are_told(export: Run, tmp_path: Path) -> None:
    with export.console.memory() as m:
        wrong = attempt("c", "Where is 9?", "Nowhere.")
        m.record(experience(wrong.told(Feedback(score=0.0, source="human", evidence={"answer": "It is up."}))))
    _, out, _ = export("sft", "--out", str(tmp_path / "d.jsonl"))
    assert out.splitlines()[0].split(maxsplit=1) == ["rows", "4 (1 of them corrections by people)"]


def test_json_and_stdout_do_not_go_together(export: Run) -> None:
    assert export("sft", "--out", "-", "--json")[0] == 2


def test_what_is_there_stays_unless_forced(export: Run, tmp_path: Path) -> None:
    out = str(tmp_path / "d.jsonl")
    assert export("sft", "--out", out)[0] == 0
    code, _, err = export("sft", "--out", out)
    assert (code, "--force" in err) == (2, True)
    assert export("pairs", "--out", out, "--force")[0] == 0


def test_all_namespaces_at_once(export: Run, tmp_path: Path) -> None:
    with export.console.memory("another") as m:
        m.record(experience(attempt("z", "What else?", "Nothing.", 1.0)))
    code, out, _ = export("sft", "--out", str(tmp_path / "d.jsonl"), "--namespace", "*", "--json")
    assert (code, json.loads(out)["rows"]) == (0, 4)
    code, out, _ = export("sft", "--out", str(tmp_path / "e.jsonl"), "--namespace", "another", "--json")
    assert (code, json.loads(out)["rows"]) == (0, 1)


def test_no_memory_is_misuse(export: Run, tmp_path: Path) -> None:
    for namespace in ("default", "*"):
        code, _, err = export("sft", "--path", str(tmp_path / "none"), "--out", "-", "--namespace", namespace)
        assert (code, "there is no memory" in err) == (2, True)
