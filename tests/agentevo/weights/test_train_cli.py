"""`agentevo train`: rows from a file or from stdin become an adapter, installed if asked for."""

from __future__ import annotations

import io
import json
import os
import threading
from pathlib import Path

import pytest
from gguf_files import write_adapter
from small_training import ROWS

from agentevo.cli.app import status
from agentevo.memory import Memory
from agentevo.memory.trust import BLOCKED
from agentevo.models.installed import Card, find, sha256_of, write_card
from agentevo.types import Attempt, Experience, Task
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


def test_an_adapter_trained_by_hand_is_kept_in_a_memory_and_blocked_by_a_purge(
    rows: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    where, lines = ["--path", str(tmp_path / "memory")], list[str]()
    with Memory.open(tmp_path / "memory", embedder="hash") as memory:
        for n, row in enumerate(ROWS):
            task = Task(id=str(n), prompt=str(row["prompt"]))
            kept = memory.record(Experience(task=task, attempts=(Attempt(id=f"a{n}", task=task, answer="x"),)))
            lines.append(json.dumps({**row, "lineage": {"attempt": f"a{n}"}}))
    Path(rows).write_text("\n".join(lines))
    command = ["train", rows, "--out", str(tmp_path / "a"), "--steps", "1", *where]
    assert status(command) == 2
    assert "--path is for what --install puts beside its model" in capsys.readouterr().err
    assert status([*command, "--install", "mine"]) == 0
    assert status(["models", "adapters", "promote", "mine", *where]) == 0
    assert "local/small now answers with mine" in capsys.readouterr().out
    assert status(["memory", *where, "purge", kept, "--yes"]) == 0
    with Memory.open(tmp_path / "memory", embedder="hash") as memory:
        (item,) = memory.list(kind="adapter", status="all")
    assert (item.status, item.metadata[BLOCKED]) == ("quarantined", f"trained on purged {kept}")
    assert (item.metadata["path"], item.source, len(item.derived_from)) == (str(tmp_path / "a"), "user", 16)


def test_the_file_of_an_adapter_that_a_memory_keeps_is_not_replaced_under_it(
    rows: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    where = ["--path", str(tmp_path / "memory")]
    with Memory.open(tmp_path / "memory", embedder="hash") as memory:
        memory.within("team").insert("theirs")
    command = ["train", rows, "--steps", "1", "--install", "mine", *where]
    assert status([*command, "--out", str(tmp_path / "a"), "--namespace", "team"]) == 0
    file = find("small").adapters["mine"]
    before = file.read_bytes()
    capsys.readouterr()
    assert status([*command, "--out", str(tmp_path / "b"), "--replace"]) == 2
    said = capsys.readouterr().err
    assert "of this memory (quarantined, namespace 'team'), whose file is not replaced under it" in said
    assert (file.read_bytes(), (tmp_path / "b").exists()) == (before, False)
    with Memory.open(tmp_path / "memory", namespace="team") as memory:
        held = memory.list(kind="adapter", status="all")[0].id
    assert f"with `agentevo memory forget {held} --path {tmp_path / 'memory'} --namespace team`" in said
    assert status(["memory", "forget", held, *where, "--namespace", "team"]) == 0
    assert status([*command, "--out", str(tmp_path / "b"), "--replace", "--seed", "3"]) == 0
    assert file.read_bytes() != before


def test_a_command_that_was_killed_before_the_memory_heard_of_the_adapter_goes_on_when_it_is_given_again(
    rows: str, tmp_path: Path
) -> None:
    Memory.open(tmp_path / "memory", embedder="hash").close()
    command = ["train", rows, "--steps", "1", "--out", str(tmp_path / "a"), "--install", "mine"]
    assert status(command) == 0
    assert status([*command, "--path", str(tmp_path / "memory")]) == 0
    with Memory.open(tmp_path / "memory") as memory:
        assert [item.metadata["name"] for item in memory.list(kind="adapter", status="all")] == ["mine"]


def test_an_adapter_is_derived_from_the_rows_it_was_trained_on_whatever_comes_of_their_file(
    rows: str, tmp_path: Path
) -> None:
    """A pipe can be read once: what is told of the rows is of those that were trained on."""
    told = "".join(json.dumps({**row, "lineage": {"attempt": f"a{n}"}}) + "\n" for n, row in enumerate(ROWS))
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    writer = threading.Thread(target=pipe.write_text, args=(told,))
    writer.start()
    Memory.open(tmp_path / "memory", embedder="hash").close()
    command = ["train", str(pipe), "--steps", "1", "--out", str(tmp_path / "a"), "--install", "mine"]
    assert status([*command, "--path", str(tmp_path / "memory")]) == 0
    writer.join()
    with Memory.open(tmp_path / "memory") as memory:
        (item,) = memory.list(kind="adapter", status="all")
    assert item.derived_from == tuple(f"a{n}" for n in range(16))


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
        (["--set", "colour=red"], "unknown setting of a training 'colour'; known: "),
        (["--set", "targets=,"], "training: targets"),
        (["--set", "beta=0.2"], "training: method sft has no beta; leave it out"),
        (["--method", "dpo", "--set", "packing=true", "--set", "kl=0.5"], "training: method dpo has no kl, packing"),
        (["--max-length", "9"], "16 too long (over 9 tokens, by max_length or the model)"),
        (["--install", "../x"], "cannot be a name"),
        (["--install", "x", "--set", "targets=lm_head,q_proj"], "the offline runtime cannot adapt lm_head; choose"),
        (["--install", "x", "--model", "elsewhere"], "only those of local/NAME run offline"),
        (["--replace"], "--replace is for what --install puts beside its model"),
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


def test_what_could_not_be_installed_is_refused_before_it_is_trained(
    rows: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = write_adapter(tmp_path / "home" / "models" / "other" / "model.gguf", architecture="qwen2")
    write_card(file.parent, Card(name="other", kind="model", size_bytes=1, sha256=sha256_of(file), origin="a test"))
    command = ["train", rows, "--out", str(tmp_path / "a"), "--steps", "1", "--install", "x"]
    assert status([*command, "--model", "local/other"]) == 2
    said = capsys.readouterr().err
    assert "local/other is of the architecture 'qwen2'; adapters are put into use beside models of the archi" in said
    assert "'llama' alone (SmolLM, Llama, Mistral)" in said
    assert sorted(path.name for path in tmp_path.iterdir()) == ["home", "rows.jsonl"]
    assert sorted(path.name for path in file.parent.iterdir()) == ["card.json", "model.gguf"]


def test_what_cannot_be_put_beside_its_model_is_said_before_it_is_trained_and_no_shape_is_made_up(
    rows: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = write_adapter(tmp_path / "home" / "models" / "other" / "model.gguf", architecture="qwen2")
    write_card(file.parent, Card(name="other", kind="model", size_bytes=1, sha256=sha256_of(file), origin="a test"))
    assert status(["train", rows, "--out", str(tmp_path / "a"), "--steps", "1", "--model", "local/other"]) == 1
    note, *_, said = capsys.readouterr().err.splitlines()
    assert note.startswith("note: local/other is of another architecture than llama: its adapter can be merged")
    assert "of its architecture 'qwen2' it does not say block_count, embedding_length, feed_forward_length, att" in said
    assert [path.name for path in file.parent.iterdir() if "trainable" in path.name] == []


def test_a_name_that_is_taken_is_refused_before_training_unless_it_is_to_be_replaced(
    rows: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    taken = find("small").path.parent / "adapters" / "mine.gguf"
    taken.parent.mkdir()
    taken.write_bytes(b"mine")
    command = ["train", rows, "--out", str(tmp_path / "a"), "--steps", "1", "--install", "mine"]
    assert status(command) == 2
    assert "local/small has an adapter 'mine' already" in capsys.readouterr().err
    assert not (tmp_path / "a").exists()
    assert status([*command, "--replace"]) == 0
    assert taken.read_bytes() != b"mine"


def test_an_adapter_that_could_not_be_installed_can_be_later(
    rows: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    place = find("small").path.parent / "adapters"
    place.write_text("no folder")
    assert status(["train", rows, "--out", str(tmp_path / "a"), "--steps", "1", "--install", "mine"]) == 1
    told = capsys.readouterr().err
    assert f"the adapter is trained, and lies in {tmp_path / 'a'}; `agentevo models adapters install" in told
    assert "cannot install the adapter mine" in told
    place.unlink()
    assert status(["models", "adapters", "install", str(tmp_path / "a"), "--name", "mine"]) == 0
    assert capsys.readouterr().out == "local/small+mine\n"
    assert status(["models", "adapters", "install", str(tmp_path / "a"), "--name", "mine"]) == 0
    assert list(find("small").adapters) == ["mine"]
