"""A console for tests of `agentevo memory`: one command at a time, in this process, on a memory of its own."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from agentevo.cli.app import status
from agentevo.memory import Memory


class Console:
    """Runs `agentevo memory ...` and keeps what the latest command wrote."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.folder, self._capsys = folder, capsys
        self.status, self.out, self.err = 0, "", ""

    def __call__(self, *arguments: str) -> str:
        self.status = status(["memory", *arguments])
        self.out, self.err = self._capsys.readouterr()
        return self.out

    def done(self, *arguments: str) -> str:
        """Run a command that must succeed; return what it wrote."""
        self(*arguments)
        assert self.status == 0, self.err
        return self.out

    def data(self, *arguments: str) -> Any:
        """Run a command that must succeed with --json; return what that says."""
        return json.loads(self.done(*arguments, "--json"))

    def refused(self, *arguments: str) -> str:
        """Run a command that must be misuse, in one line; return that line."""
        assert (self(*arguments), self.status) == ("", 2), (self.out, self.err)
        assert self.err.startswith("error: ")
        assert self.err.count("\n") == 1
        return self.err

    def memory(self, namespace: str = "default") -> Memory:
        return Memory.open(self.folder, namespace=namespace, embedder="hash")


@pytest.fixture
def console(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Console:
    monkeypatch.setenv("AGENTEVO_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("AGENTEVO_MEMORY", str(tmp_path / "memory"))
    monkeypatch.setenv("AGENTEVO_EMBEDDER", "hash")
    monkeypatch.delenv("AGENTEVO_DEBUG", raising=False)
    return Console(tmp_path / "memory", capsys)
