"""Keeping a memory: moved, copied, checked, rebuilt, used by two processes at once, and quick to start."""

from __future__ import annotations

import io
import json
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from memory_console import Console

pytest_plugins = ("memory_console",)


@pytest.fixture
def filled(console: Console) -> list[str]:
    """Return the ids of a few items."""
    return [console.done("add", text).strip() for text in ("one", "two", "three")]


def test_an_export_comes_back_whole_elsewhere(console: Console, filled: list[str], tmp_path: Path) -> None:
    console.done("forget", filled[0], "--reason", "old")
    file = tmp_path / "all.jsonl"
    assert console.done("export", str(file)) == f"{len(file.read_text('utf-8').splitlines())} lines in {file}\n"
    there = str(tmp_path / "there")
    assert console.data("--path", there, "import", str(file)) == {"items": 3}
    assert console.data("--path", there, "list", "--status", "all") == console.data("list", "--status", "all")
    assert console.data("--path", there, "history") == console.data("history")
    assert console.done("--path", there, "export", "-") == console.done("export", "-") == file.read_text("utf-8")
    assert console.data("export", str(file))["file"] == str(file)


@pytest.mark.usefixtures("filled")
def test_an_export_on_stdin_is_read(console: Console, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written = console.done("export", "-")
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(written.encode()), encoding="ascii"))
    assert console.done("--path", str(tmp_path / "there"), "import", "-") == "3 items came in\n"


@pytest.mark.usefixtures("filled")
def test_a_memory_made_by_an_import_has_the_embedder_of_the_export(
    console: Console, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, there = str(tmp_path / "all.jsonl"), str(tmp_path / "there")
    console.done("export", file)
    monkeypatch.setenv("AGENTEVO_EMBEDDER", "all-MiniLM-L6-v2")
    assert console.data("--path", there, "import", file) == {"items": 3}
    assert console.data("--path", there, "stats")["embedder"] == "hash"


def test_what_is_no_export_is_refused_and_nothing_comes_in(console: Console, tmp_path: Path) -> None:
    file = tmp_path / "bad.jsonl"
    file.write_text('{"type": "thing"}\n', encoding="utf-8")
    assert "line 1 is no " in console.refused("import", str(file))
    file.write_bytes(b'{"type":"header"}\n\xff\n')
    assert f"{file}, line 2 is not UTF-8, so it is no export; nothing was imported" in console.refused(
        "import", str(file)
    )
    assert f"there is no file '{tmp_path / 'missing'}'; " in console.refused("import", str(tmp_path / "missing"))
    assert not console.folder.exists()


def test_what_is_empty_is_no_export_and_makes_no_memory(
    console: Console, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for content, complaint in ((b"", "stdin is empty"), (b"\n \n", "there is nothing in it")):
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content), encoding="ascii"))
        assert complaint in console.refused("import", "-")
    (tmp_path / "nothing").touch()
    assert f"{tmp_path / 'nothing'} is empty; " in console.refused("import", str(tmp_path / "nothing"))
    assert [entry.name for entry in tmp_path.iterdir()] == ["nothing"]


def test_the_export_of_an_empty_memory_comes_in(console: Console, tmp_path: Path) -> None:
    console.memory().close()
    file = str(tmp_path / "all.jsonl")
    assert console.done("export", file) == f"2 lines in {file}\n"
    assert console.done("--path", str(tmp_path / "there"), "import", file) == "0 items came in\n"
    assert console.data("--path", str(tmp_path / "there"), "list") == []


@pytest.mark.usefixtures("filled")
def test_a_file_that_is_no_export_is_not_written_over_unless_one_insists(console: Console, tmp_path: Path) -> None:
    file = tmp_path / "mine"
    file.write_text("my own words")
    assert f"{file} is there already and is no export of a memory; " in console.refused("export", str(file))
    assert file.read_text() == "my own words"
    assert console.done("export", str(file), "--force").endswith(f" lines in {file}\n")
    assert console.done("export", "/dev/stdout") == file.read_text("utf-8")


def test_what_another_program_keeps_is_left_alone(console: Console, tmp_path: Path) -> None:
    console.folder.mkdir()
    with sqlite3.connect(console.folder / "ledger.db") as db:
        db.execute("CREATE TABLE accounts (amount)")
    db.close()
    before = (console.folder / "ledger.db").read_bytes()
    for command in (["add", "hello"], ["list"], ["export", str(tmp_path / "lines")]):
        assert "is the database of another program (its tables: accounts)" in console.refused(*command)
    assert (console.folder / "ledger.db").read_bytes() == before


def test_a_ledger_that_is_no_database_does_not_send_to_the_command_just_run(console: Console, tmp_path: Path) -> None:
    console.folder.mkdir()
    (console.folder / "ledger.db").write_bytes(b"no database at all" * 100)
    said = _one_line(console, "export", str(tmp_path / "lines"))
    assert "ledger.db is no database, so nothing of it can be read or exported: put a backup" in said
    assert "agentevo memory export" not in said


def test_what_cannot_be_opened_any_more_is_exported_as_the_error_says(
    console: Console, filled: list[str], tmp_path: Path
) -> None:
    ledger, file = console.folder / "ledger.db", tmp_path / "saved"
    with sqlite3.connect(ledger) as db:
        (page,) = db.execute("SELECT rootpage FROM sqlite_master WHERE name = 'meta'").fetchone()
    db.close()
    data = bytearray(ledger.read_bytes())
    data[(page - 1) * 4096 : page * 4096] = b"\xff" * 4096
    ledger.write_bytes(data)
    assert "is damaged (database disk image is malformed); save what is readable with" in _one_line(console, "list")
    assert f"all else was exported; import it into a new memory; what could be read is in {file}" in _one_line(
        console, "export", str(file)
    )
    assert console.done("--path", str(tmp_path / "new"), "import", str(file)) == "3 items came in\n"


def test_a_memory_for_which_nothing_came_in_is_not_left_behind(console: Console, tmp_path: Path) -> None:
    bad = tmp_path / "bad.jsonl"
    bad.write_text('{"type": "header", "format": 1, "dimensions": 8}\n{"type": "end"}\n', encoding="utf-8")
    there, full = tmp_path / "new" / "deep", tmp_path / "full"
    full.mkdir()
    (full / "mine").write_text("not of a memory", encoding="utf-8")
    for folder in (there, full):
        console("--path", str(folder), "import", str(bad))
        assert (console.status, console.err.count("\n")) == (1, 1)
        assert "8 dimensions, and those that the embedder 'hash' makes have 384" in console.err
    assert sorted(entry.name for entry in tmp_path.rglob("*")) == ["bad.jsonl", "full", "mine"]
    console.done("add", "a text")
    console("import", str(bad))
    assert [item["text"] for item in console.data("list")] == ["a text"]


def test_a_backup_is_a_memory_of_its_own(console: Console, filled: list[str], tmp_path: Path) -> None:
    copy = str(tmp_path / "copy")
    assert console.done("backup", copy) == f"{copy}\n"
    console.done("forget", *filled)
    assert len(console.data("--path", copy, "list")) == 3
    assert "a backup goes into a new" in console.refused("backup", copy)


def test_a_whole_memory_is_verified(console: Console, filled: list[str]) -> None:
    assert [line.split() for line in console.done("verify").splitlines()] == [
        ["whole", "yes"],
        ["items", str(len(filled))],
        ["vectors", "3"],
        ["waiting", "0"],
    ]
    assert console.data("verify")["ok"] is True


def test_each_problem_is_a_line_and_the_status_is_1(console: Console, filled: list[str]) -> None:
    with sqlite3.connect(console.folder / "ledger.db") as db:
        db.execute("UPDATE items SET text = 'changed behind its back' WHERE id = ?", (filled[1],))
    db.close()
    said = console("verify")
    assert console.status == 1
    assert said.splitlines()[0] == f"item {filled[1]}: its text is not the text that was written"
    assert "export" in console.err
    console("verify", "--json")
    assert (console.status, json.loads(console.out)["ok"]) == (1, False)


@pytest.mark.usefixtures("filled")
def test_vectors_are_made_anew_with_another_embedder(console: Console, monkeypatch: pytest.MonkeyPatch) -> None:
    assert console.done("reindex") == "3 vectors\n"
    assert console.data("reindex", "--embedder", "hash") == {"vectors": 3}
    assert "unknown embedder 'magic'" in console.refused("reindex", "--embedder", "magic")
    assert "holds vectors of 'hash', not of 'magic'" in _one_line(console, "search", "x", "--embedder", "magic")
    monkeypatch.setenv("AGENTEVO_EMBEDDER", "another")
    assert console.data("search", "one", "-k", "1")[0]["item"]["text"] == "one"


def _one_line(console: Console, *arguments: str) -> str:
    console(*arguments)
    assert (console.status, console.err.count("\n")) == (1, 1)
    return console.err


def test_a_memory_of_an_embedder_nobody_can_name_can_be_looked_after(console: Console, filled: list[str]) -> None:
    with sqlite3.connect(console.folder / "ledger.db") as db:
        db.execute("UPDATE meta SET value = 'my own' WHERE name = 'embedder'")
    db.close()
    assert len(console.data("list")) == 3
    assert console.data("forget", filled[0])[0]["status"] == "forgotten"
    assert console.data("search", "two", "--mode", "bm25")[0]["item"]["id"] == filled[1]
    assert "unknown embedder 'my own'" in console.refused("search", "two")


def test_long_work_says_how_far_it_is(console: Console, tmp_path: Path) -> None:
    file = tmp_path / "long.txt"
    file.write_text("".join(f"Sentence number {n} is here. " for n in range(4_000)), encoding="utf-8")
    ids = console.done("add", str(file)).split()
    assert len(ids) == len(set(ids)) > 64
    assert console.data("search", "Sentence number 3999", "-k", "1")[0]["item"]["id"] == ids[-1]


# --- as processes

HOLD = """
import sys
from agentevo.memory import Memory
with Memory.open(sys.argv[1], embedder="hash") as memory:
    memory.insert("held by another")
    print("open", flush=True)
    sys.stdin.readline()
    print(len(memory.list()), flush=True)
"""


@pytest.fixture
def holder(console: Console) -> Iterator[subprocess.Popen[str]]:
    """Another process that has the memory open and has written to it."""
    command = [sys.executable, "-c", HOLD, str(console.folder)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "open\n"
        yield process
        process.kill()


def test_a_memory_that_another_process_has_open_is_read_and_changed(
    console: Console, holder: subprocess.Popen[str]
) -> None:
    (item,) = console.data("list")
    assert item["text"] == "held by another"
    console.done("add", "from the command line")
    assert console.data("search", "held by another", "-k", "1")[0]["item"]["id"] == item["id"]
    assert console.data("forget", item["id"])[0]["status"] == "forgotten"
    assert console.data("verify")["ok"] is True
    said, _ = holder.communicate("\n")
    assert said == "1\n"


def test_a_purge_says_when_another_process_keeps_the_last_traces(
    console: Console, holder: subprocess.Popen[str]
) -> None:
    (item,) = console.data("list")
    assert console.data("purge", item["id"], "--yes")["items"] == [item["id"]]
    assert holder.poll() is None


NO_VECTORS = ["list", "show {id}", "history", "history {id}", "lineage {id}", "stats", "working", "pin {id}",
              "unpin {id}", "forget {id}", "undo", "restore {id}", "search two --mode bm25", "verify", "export -",
              "sweep --policy decay --dry-run", "list --help"]  # fmt: skip
HEAVY = {"torch", "transformers", "sentence_transformers", "litellm", "chromadb", "xllamacpp"}


def test_commands_that_need_no_vectors_load_no_model_library(console: Console, filled: list[str]) -> None:
    with sqlite3.connect(console.folder / "ledger.db") as db:
        db.execute("UPDATE meta SET value = 'openai/some-embedding' WHERE name = 'embedder'")
    db.close()
    program = f"""
import sys
from agentevo.cli.app import status
for command in {[command.format(id=filled[0]).split() for command in NO_VECTORS]!r}:
    assert status(["memory", *command]) == 0, command
    assert not {HEAVY!r} & set(sys.modules), (command, {HEAVY!r} & set(sys.modules))
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_help_loads_nothing_of_memory() -> None:
    program = (
        "import sys, agentevo.cli.app\nprint({'numpy', 'agentevo.memory', 'pydantic', 'typer'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    assert done.stdout == "{'typer'}\n"
