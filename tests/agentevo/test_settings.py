"""Settings: the defaults, what a file changes, what a variable changes over it, and what is refused."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from agentevo.errors import ConfigError
from agentevo.settings import Settings, home, settings


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in [name for name in os.environ if name.startswith("AGENTEVO_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AGENTEVO_HOME", str(tmp_path))
    return tmp_path


def write(folder: Path, text: str) -> Path:
    path = folder / "config.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_without_a_file_the_defaults_hold() -> None:
    assert settings() == Settings(model="local/smollm2-135m", embedder="all-MiniLM-L6-v2", timeout_s=120, cache=False)


def test_the_file_changes_the_defaults(folder: Path) -> None:
    write(folder, 'model = "ollama/llama"\nmax_cost_usd = 0.5\ncache = true\n')
    assert settings() == Settings(model="ollama/llama", max_cost_usd=0.5, cache=True)


def test_a_variable_wins_over_the_file(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(folder, "timeout_s = 5\nthreads = 2\n")
    monkeypatch.setenv("AGENTEVO_TIMEOUT_S", "7.5")
    monkeypatch.setenv("AGENTEVO_CACHE", "1")
    assert settings() == Settings(timeout_s=7.5, threads=2, cache=True)


def test_an_empty_variable_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AGENTEVO_MODEL", "")
    assert settings() == Settings()


def test_a_misspelt_setting_is_named_with_the_known_ones(folder: Path) -> None:
    path = write(folder, 'modle = "x"\n')
    with pytest.raises(ConfigError, match="unknown setting 'modle'; known: model, ") as caught:
        settings()
    assert str(caught.value).startswith(str(path))


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("timeout_s = -1", "timeout_s: Input should be greater than 0"),
        ('concurrency = "many"', "concurrency: "),
        ("model = 3", "model: Input should be a valid string"),
    ],
)
def test_a_wrong_value_is_refused_and_its_file_named(folder: Path, line: str, complaint: str) -> None:
    path = write(folder, line)
    with pytest.raises(ConfigError) as caught:
        settings()
    assert str(caught.value).startswith(f"{path}: {complaint}")
    assert "\n" not in str(caught.value)


def test_a_wrong_variable_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AGENTEVO_CONCURRENCY", "0")
    with pytest.raises(ConfigError, match="environment variables AGENTEVO_CONCURRENCY: concurrency: "):
        settings()


@pytest.mark.parametrize("content", [b"model = ", b"\xff\xfe", b"[model"], ids=["half", "not UTF-8", "open"])
def test_a_file_that_is_no_toml_is_named(folder: Path, content: bytes) -> None:
    path = folder / "config.toml"
    path.write_bytes(content)
    with pytest.raises(ConfigError, match=r"cannot read .*config\.toml: .*; correct it or move it away"):
        settings()


def test_a_folder_in_the_file_s_place_is_named(folder: Path) -> None:
    (folder / "config.toml").mkdir()
    with pytest.raises(ConfigError, match=r"cannot read .*config\.toml"):
        settings()


def test_the_home_is_the_variable_or_in_the_users_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("AGENTEVO_HOME", "~/elsewhere")
    assert home() == tmp_path / "elsewhere"
    monkeypatch.setenv("AGENTEVO_HOME", "")
    assert home() == tmp_path / ".agentevo"
