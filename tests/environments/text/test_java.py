"""Java: where it is looked for, and what is said where there is none."""

from __future__ import annotations

from pathlib import Path

import pytest

from agentevo.cli.doctor import Finding, examine
from agentevo.environments.text import MissingJava
from agentevo.environments.text.java import find_java, runtime_of


@pytest.fixture
def nowhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A machine without Java; JAVA_HOME is where it could be."""
    (tmp_path / "bin").mkdir()
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    return tmp_path / "bin" / "java"


def looked_for() -> Finding:
    return next(finding for finding in examine(offline=True) if finding.name == "java")


def test_java_is_found_below_its_home_and_what_it_reads_is_granted(nowhere: Path) -> None:
    nowhere.touch(0o755)
    assert find_java("a game") == str(nowhere)
    assert runtime_of(str(nowhere)) == str(nowhere.parent.parent)
    assert looked_for() == Finding("java", "ok", str(nowhere))


@pytest.mark.usefixtures("nowhere")
def test_without_java_it_is_said_what_to_install_and_the_doctor_fails_nothing() -> None:
    with pytest.raises(MissingJava, match=r"a game needs Java.*apt install default-jre-headless"):
        find_java("a game")
    found = looked_for()
    assert (found.state, "apt install default-jre-headless" in found.todo) == ("skip", True)
