"""`agentevo models adapters`: what is live is said, promoted and rolled back, all of it in the ledger."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from agentevo.cli.app import status
from agentevo.memory import Memory
from agentevo.types import Json

ABOUT: dict[str, Json] = {
    "base": "local/small",
    "role": "policy",
    "scores": {"held_out": 0.5},
    "gate": "accepted; target passes",
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A memory with two adapters, of which none is in use."""
    with Memory.open(tmp_path / "memory", embedder="hash") as memory:
        for name in ("one", "two"):
            card = f"Adapter {name} for local/small"
            item = memory.insert(card, kind="adapter", metadata={**ABOUT, "name": name}, derived_from=["attempt"])
            memory.quarantine(item.id)
    return tmp_path / "memory"


def said(capsys: pytest.CaptureFixture[str], *arguments: str, expected: int = 0) -> str:
    assert status(["models", "adapters", *arguments]) == expected
    found = capsys.readouterr()
    return found.out if not expected else found.err


def live(capsys: pytest.CaptureFixture[str], folder: Path) -> list[str]:
    rows = json.loads(said(capsys, "list", "--path", str(folder), "--json"))
    return [row["name"] for row in rows if row["status"] == "live"]


def test_adapters_are_listed(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    heading, *rows = said(capsys, "list", "--path", str(folder)).splitlines()
    assert heading.split() == ["name", "status", "role", "base", "held_out", "id"]
    assert sorted(row.split()[:5] for row in rows) == [
        ["one", "quarantined", "policy", "local/small", "0.500"],
        ["two", "quarantined", "policy", "local/small", "0.500"],
    ]


def test_one_is_in_use_at_a_time_until_it_is_rolled_back(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    where = ("--path", str(folder))
    assert said(capsys, "promote", "one", *where) == "local/small now answers with one\n"
    assert said(capsys, "promote", "two", "--reason", "better", *where) == "local/small now answers with two\n"
    assert live(capsys, folder) == ["two"]
    assert said(capsys, "rollback", "two", *where) == "local/small now answers with one\n"
    assert live(capsys, folder) == ["one"]
    assert said(capsys, "rollback", "one", *where) == "local/small now answers without an adapter\n"
    assert "nothing to roll back" in said(capsys, "rollback", "one", *where, expected=2)


def test_what_a_gate_refused_is_promoted_by_force_alone(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    about = {**ABOUT, "name": "three", "gate": "1.000 before, 0.000 after", "accepted": False}
    with Memory.open(folder, embedder="hash") as memory:
        item = memory.insert("refused", kind="adapter", metadata=about)
        memory.quarantine(item.id)
    where = ("--path", str(folder))
    refused = said(capsys, "promote", "three", *where, expected=2)
    assert "the gate did not let it in: 1.000 before, 0.000 after" in refused
    assert "--force" in refused
    assert status(["memory", *where, "release", item.id]) == 2
    assert "`agentevo models adapters promote`" in capsys.readouterr().err
    assert live(capsys, folder) == []
    assert said(capsys, "promote", "three", "--force", *where) == "local/small now answers with three\n"


def test_an_adapter_of_another_role_answers_in_that_role(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with Memory.open(folder, embedder="hash") as memory:
        item = memory.insert("judges", kind="adapter", metadata={**ABOUT, "name": "three", "role": "verifier"})
        memory.quarantine(item.id)
    where = ("--path", str(folder))
    assert said(capsys, "promote", "three", *where) == "the verifier of local/small now answers with three\n"
    assert said(capsys, "rollback", "three", *where) == "the verifier of local/small now answers without an adapter\n"


def test_of_adapters_of_one_name_each_command_takes_the_one_it_can_be_about(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    where = ("--path", str(folder))
    said(capsys, "promote", "one", *where)
    with Memory.open(folder, embedder="hash") as memory:
        other = memory.insert("another", kind="adapter", metadata={**ABOUT, "base": "local/big", "name": "one"})
        memory.quarantine(other.id)
    assert said(capsys, "rollback", "one", *where) == "local/small now answers without an adapter\n"
    refused = said(capsys, "promote", "one", *where, expected=2)
    assert "adapter 'one' is one of several that are quarantined; give an id: " in refused
    assert f"{other.id} (local/big as policy), " in refused
    assert said(capsys, "promote", other.id, *where) == "local/big now answers with one\n"
    assert said(capsys, "promote", "one", *where) == "local/small now answers with one\n"
    assert "several that are live" in said(capsys, "rollback", "one", *where, expected=2)
    assert said(capsys, "rollback", other.id, *where) == "local/big now answers without an adapter\n"


def test_undo_takes_a_promotion_back(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    said(capsys, "promote", "one", "--path", str(folder))
    assert status(["memory", "--path", str(folder), "undo"]) == 0
    capsys.readouterr()
    assert live(capsys, folder) == []


def test_an_adapter_is_shown_with_what_the_gate_said_and_its_history(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    said(capsys, "promote", "one", "--reason", "it helps", "--path", str(folder))
    shown = said(capsys, "show", "one", "--path", str(folder))
    assert shown.startswith("Adapter one for local/small\n")
    assert "accepted; target passes" in shown
    assert "it helps" in shown
    told = json.loads(said(capsys, "show", "one", "--path", str(folder), "--json"))
    assert [line["verb"] for line in told["history"]] == ["insert", "quarantine", "release"]
    assert told["derived_from"] == ["attempt"]


def test_an_unknown_adapter_lists_those_there_are(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "unknown adapter 'on'" in said(capsys, "show", "on", "--path", str(folder), expected=2)


def test_a_purge_takes_the_adapter_in_use_out_of_it_and_says_where_others_are(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with Memory.open(folder, embedder="hash") as memory:
        secret = memory.insert("a secret")
        made = memory.insert("taught", kind="adapter", derived_from=[secret.id], metadata={**ABOUT, "name": "three"})
    assert live(capsys, folder) == ["three"]
    assert status(["memory", "--path", str(folder), "purge", secret.id, "--yes"]) == 0
    found = capsys.readouterr()
    assert found.out == f"purged  {secret.id}\ntrained on it  {made.id}  taught\n"
    assert "taken out of use" in found.err
    assert "`agentevo models adapters list`" in found.err
    assert live(capsys, folder) == []
