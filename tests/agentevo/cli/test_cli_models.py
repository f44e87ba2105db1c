"""`agentevo models` and `doctor` with the real weights, and with weights that are missing or corrupt."""

from __future__ import annotations

import importlib.metadata
import io
import json
import shutil
import sys
import types
from pathlib import Path

import pytest

from agentevo.cli.app import status
from agentevo.models.installed import installed

SMOL = "smollm2-135m"


@pytest.fixture
def gguf(weights_home: Path) -> Path:
    """Return the file of the offline model that setup has installed."""
    return next((weights_home / "models" / SMOL).glob("*.gguf"))


def rows(capsys: pytest.CaptureFixture[str]) -> dict[str, dict[str, object]]:
    capsys.readouterr()
    assert status(["models", "list", "--json"]) == 0
    return {row["name"]: row for row in json.loads(capsys.readouterr().out)}


@pytest.mark.usefixtures("empty_home")
def test_what_can_be_pulled_is_listed(capsys: pytest.CaptureFixture[str]) -> None:
    listed = rows(capsys)
    assert {(name, row["kind"], row["state"], row["path"]) for name, row in listed.items()} == {
        ("all-MiniLM-L6-v2", "embedder", "pullable", None),
        (SMOL, "model", "pullable", None),
    }
    assert all(row["licence"] and row["size_bytes"] for row in listed.values())


@pytest.mark.usefixtures("empty_home")
def test_a_file_is_pulled_listed_and_removed(gguf: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert status(["models", "pull", str(gguf), "--name", "mine"]) == 0
    assert capsys.readouterr().out.startswith(f"mine: {gguf.stat().st_size / 1e6:.1f} MB in ")
    mine = rows(capsys)["mine"]
    assert (mine["state"], mine["size_bytes"]) == ("installed", gguf.stat().st_size)
    assert status(["models", "rm", "mine", "--yes"]) == 0
    assert capsys.readouterr().out == f"removed mine: {gguf.stat().st_size / 1e6:.1f} MB free\n"
    assert installed() == []


@pytest.mark.usefixtures("empty_home")
def test_the_table_shows_name_kind_size_licence_and_state(capsys: pytest.CaptureFixture[str]) -> None:
    assert status(["models", "list"]) == 0
    heading, *lines = capsys.readouterr().out.splitlines()
    assert heading.split() == ["NAME", "KIND", "SIZE", "LICENCE", "STATE"]
    assert [line.split()[0] for line in lines] == ["all-MiniLM-L6-v2", SMOL]


@pytest.mark.usefixtures("empty_home")
def test_removing_asks_and_without_a_terminal_refuses(gguf: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert status(["models", "pull", str(gguf), "--name", "mine"]) == 0
    capsys.readouterr()
    assert status(["models", "rm", "mine"]) == 2
    assert "add --yes" in capsys.readouterr().err
    assert [one.name for one in installed()] == ["mine"]


class Terminal(io.StringIO):
    """Stands for stdin of somebody who types."""

    def isatty(self) -> bool:
        return True


@pytest.mark.usefixtures("empty_home")
@pytest.mark.parametrize(("answer", "code", "left"), [("n\n", 1, ["mine"]), ("y\n", 0, []), ("", 130, ["mine"])])
def test_on_a_terminal_the_answer_decides(
    answer: str, code: int, left: list[str], gguf: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert status(["models", "pull", str(gguf), "--name", "mine"]) == 0
    monkeypatch.setattr(sys, "stdin", Terminal(answer))
    assert status(["models", "rm", "mine"]) == code
    assert [one.name for one in installed()] == left


@pytest.mark.usefixtures("empty_home")
def test_an_unknown_name_lists_what_can_be_pulled(capsys: pytest.CaptureFixture[str]) -> None:
    assert status(["models", "pull", "smollm2"]) == 2
    said = capsys.readouterr().err
    assert (said.count("\n"), SMOL in said) == (1, True)


@pytest.mark.usefixtures("empty_home")
def test_removing_what_is_not_installed_lists_what_is(gguf: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert status(["models", "pull", str(gguf), "--name", "mine"]) == 0
    capsys.readouterr()
    assert status(["models", "rm", SMOL, "--yes"]) == 2
    assert capsys.readouterr().err == f"error: unknown installed model or embedder '{SMOL}'; known: mine\n"


def test_what_has_lost_its_card_can_be_removed_and_is_not_told_of_otherwise(
    gguf: Path, empty_home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert status(["models", "pull", str(gguf), "--name", "mine"]) == 0
    (empty_home / "models" / "mine" / "card.json").write_text("{")
    capsys.readouterr()
    assert status(["models", "pull", "nonsense"]) == 2
    assert capsys.readouterr().err.count("\n") == 1
    assert status(["models", "rm", "mine", "mine", "--yes"]) == 0
    assert list((empty_home / "models").iterdir()) == []


@pytest.mark.usefixtures("empty_home")
def test_nothing_is_removed_if_one_of_the_names_is_wrong(gguf: Path) -> None:
    assert status(["models", "pull", str(gguf), "--name", "mine"]) == 0
    assert status(["models", "rm", "mine", "yours", "--yes"]) == 2
    assert [one.name for one in installed()] == ["mine"]


@pytest.mark.usefixtures("empty_home")
def test_a_file_with_another_hash_is_refused(gguf: Path, empty_home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert status(["models", "pull", str(gguf), "--sha256", "0" * 64]) == 1
    assert capsys.readouterr().err.startswith("error: ")
    assert installed() == []
    assert not list(empty_home.rglob("*.gguf*"))


def doctor(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, dict[str, dict[str, str]]]:
    capsys.readouterr()
    code = status(["doctor", "--json", *arguments])
    printed = capsys.readouterr()
    assert printed.out, printed.err
    return code, {found["name"]: found for found in json.loads(printed.out)}


def test_a_package_that_does_not_say_where_it_is_from_is_there(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "reasoning_gym", types.ModuleType("reasoning_gym"))
    _, found = doctor(capsys)
    assert "reasoning" not in found["extra text"]["detail"]


@pytest.mark.usefixtures("weights_home")
def test_a_healthy_installation_has_no_failing_line(capsys: pytest.CaptureFixture[str]) -> None:
    code, found = doctor(capsys)
    assert [finding for finding in found.values() if finding["state"] == "fail"] == []
    assert code == 0
    assert {"python", "packages", "home", "disk", "settings", "model", "embedder", "extra dev"} <= set(found)
    assert f"litellm {importlib.metadata.version('litellm')}" in found["packages"]["detail"]
    assert "local/smollm2-135m answered" in found["model"]["detail"]
    assert "384 dimensions" in found["embedder"]["detail"]


@pytest.mark.usefixtures("empty_home")
def test_missing_weights_fail_with_the_command_that_pulls_them(
    empty_home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, found = doctor(capsys)
    assert code == 1
    assert (found["model"]["state"], found["embedder"]["state"]) == ("fail", "fail")
    assert f"agentevo models pull {SMOL}" in found["model"]["detail"]
    assert not [path for path in empty_home.rglob("*") if path.is_file()], "a check fetches nothing"


@pytest.fixture
def copied(weights_home: Path, empty_home: Path) -> Path:
    """Return the file of an offline model that a test may damage."""
    shutil.copytree(weights_home / "models" / SMOL, empty_home / "models" / SMOL)
    return next((empty_home / "models" / SMOL).glob("*.gguf"))


def test_six_wrong_bytes_in_the_weights_are_found(copied: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with copied.open("r+b") as file:
        file.seek(50_000_000)
        file.write(b"rotten")
    code, found = doctor(capsys)
    assert (code, found["model"]["state"]) == (1, "fail")
    assert f"agentevo models rm {SMOL}" in found["model"]["detail"]


def test_weights_that_cannot_be_loaded_are_one_line(copied: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with copied.open("r+b") as file:
        file.truncate(50_000_000)
    assert status(["run", "hi"]) == 1
    said = capsys.readouterr()
    assert (said.out, said.err.count("\n")) == ("", 1)
    assert said.err.startswith("error: ")
    assert f"agentevo models rm {SMOL}" in said.err


def test_a_line_that_fails_says_what_to_do(empty_home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    empty_home.mkdir()
    (empty_home / "config.toml").write_text("colour = 1\n", encoding="utf-8")
    assert status(["doctor", "--offline"]) == 1
    failing = [line for line in capsys.readouterr().out.splitlines() if line.startswith("fail")]
    assert len(failing) == 1
    assert failing[0].startswith(f"fail  settings: {empty_home / 'config.toml'}: unknown setting 'colour'; known: ")


def test_a_home_that_is_no_folder_fails(empty_home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    empty_home.write_text("", encoding="utf-8")
    code, found = doctor(capsys, "--offline")
    assert (code, found["home"]["state"]) == (1, "fail")
    assert found["home"]["todo"] == "set AGENTEVO_HOME to a folder of yours"


@pytest.mark.usefixtures("empty_home")
def test_offline_leaves_out_what_is_behind_a_network(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("AGENTEVO_MODEL", "openai/gpt-4o")
    monkeypatch.setenv("AGENTEVO_EMBEDDER", "openai/text-embedding-3-small")
    code, found = doctor(capsys, "--offline")
    assert (code, found["model"]["state"], found["embedder"]["state"]) == (0, "skip", "skip")


@pytest.fixture
def packages(empty_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder whose packages are found first, in a home whose settings need no weights."""
    monkeypatch.setenv("AGENTEVO_MODEL", "openai/gpt-4o")
    monkeypatch.setenv("AGENTEVO_EMBEDDER", "hash")
    monkeypatch.syspath_prepend(tmp_path)
    return tmp_path


def metadata(folder: Path, name: str, *lines: str) -> None:
    info = folder / f"{name}-0.1.dist-info"
    info.mkdir()
    text = "\n".join(("Metadata-Version: 2.1", f"Name: {name}", "Version: 0.1", *lines, ""))
    (info / "METADATA").write_text(text, encoding="utf-8")


def test_a_package_that_cannot_be_imported_fails(
    packages: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (packages / "chromadb.py").write_text("raise RuntimeError('no\\nluck')", encoding="utf-8")
    monkeypatch.delitem(sys.modules, "chromadb", raising=False)
    code, found = doctor(capsys, "--offline")
    assert (code, found["chromadb"]["state"]) == (1, "fail")
    assert found["chromadb"]["detail"] == "cannot be imported: RuntimeError: no luck"
    assert found["chromadb"]["todo"].startswith("pip install --force-reinstall 'chromadb")


def test_a_package_that_is_too_old_fails(packages: Path, capsys: pytest.CaptureFixture[str]) -> None:
    metadata(packages, "tenacity")
    code, found = doctor(capsys, "--offline")
    assert (code, found["tenacity"]["state"], found["tenacity"]["detail"]) == (1, "fail", "version 0.1")
    assert found["tenacity"]["todo"] == "pip install 'tenacity>=9'"


def test_an_extra_that_is_not_installed_has_the_line_that_installs_it(
    packages: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    train = ("Provides-Extra: train", "Requires-Dist: not-there-at-all; extra == 'train'")
    metadata(packages, "agentevo", "Requires-Dist: tenacity", *train)
    code, found = doctor(capsys, "--offline")
    assert (code, found["extra train"]["state"]) == (0, "skip")
    assert found["extra train"]["detail"] == "without not-there-at-all"
    assert found["extra train"]["todo"] == "pip install 'agentevo[train]'"
