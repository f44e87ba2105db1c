"""`agentevo train`: rows from a file or from stdin become an adapter, installed if asked for."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
from small_training import ROWS

from agentevo.cli.app import status
from agentevo.models.installed import find
from agentevo.weights.config import Training

LINES = "".join(json.dumps(row) + "\n" for row in ROWS)


@pytest.fixture
def rows(small: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("AGENTEVO_MODEL", small)
    file = tmp_path / "rows.jsonl"
    file.write_text(LINES)
    return str(file)


def test_rows_become_an_adapter_that_is_installed(
    rows: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["train", rows, "--out", str(tmp_path / "a"), "--steps", "2", "--install", "mine", "--json"]
    assert status([*command, "--set", "gradient_checkpointing=true", "--set", "targets=q_proj,v_proj"]) == 0
    shown = json.loads(capsys.readouterr().out)
    config = Training.read(tmp_path / "a").config
    assert (config.steps, config.gradient_checkpointing, config.targets) == (2, True, ("q_proj", "v_proj"))
    assert (shown["model"], shown["rows"], shown["steps"], shown["dropped"]) == ("local/small+mine", 16, 2, {})
    assert list(find("small").adapters) == ["mine"]


def test_rows_may_come_from_stdin_and_people_read_what_came_of_them(
    rows: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(LINES.encode())))
    assert status(["train", "-", "--out", str(tmp_path / "a"), "--steps", "1", "--set", "rank=2"]) == 0
    fields = dict(line.split(maxsplit=1) for line in capsys.readouterr().out.splitlines())
    assert (fields["adapter"], fields["base"], fields["rows"], fields["steps"]) == (
        str(tmp_path / "a"), "local/small", "16", "1 of sft",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("options", "why"),
    [
        (["--method", "ppo"], "training: method"),
        (["--set", "packing"], "--set takes NAME=VALUE"),
        (["--set", "colour=red"], "training: colour"),
        (["--install", "../x"], "cannot be a name"),
        (["--model", "openai/gpt-4o"], "cannot be trained"),
        (["--min-real", "1", "--method", "dpo"], "row 1: method dpo takes prompt, chosen and rejected"),
    ],
)
def test_misuse_is_said_in_one_line_and_leaves_nothing(
    rows: str, tmp_path: Path, options: list[str], why: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert status(["train", rows, "--out", str(tmp_path / "a"), *options]) == 2
    said = capsys.readouterr().err
    assert why in said
    assert said.count("\n") == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["home", "rows.jsonl"]
