"""`agentevo env`: the environments, what one says of itself, and a contract that is kept or broken."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

import pytest

from agentevo.cli.app import status
from agentevo.environments.load import ENVIRONMENTS, FETCHED
from agentevo.environments.tool.house import House
from agentevo.environments.tool.house.environment import HouseEpisode
from agentevo.environments.walls import Walls
from agentevo.errors import WeightsError
from agentevo.models.placing import Progress
from agentevo.protocols import FeedbackLevel
from agentevo.types import Attempt, Feedback, Message, Task


class Careless(House):
    """A house that forgives everything, and so scores no answer at all as if it were right."""

    async def verify(self, task: Task, attempt: Attempt) -> Feedback:
        return Feedback(score=1.0, source="environment")

    def gold(self, task: Task) -> Sequence[Message]:
        return super().gold(task)


@pytest.fixture
def careless(monkeypatch: pytest.MonkeyPatch) -> str:
    """Add an environment that breaks the contract, as a package may add its own."""
    monkeypatch.setitem(ENVIRONMENTS, "careless", f"{__name__}:Careless")
    return "careless"


def test_environments_are_listed_with_what_they_need(capsys: pytest.CaptureFixture[str]) -> None:
    assert status(["env", "list", "--json"]) == 0
    rows = {row["name"]: row for row in json.loads(capsys.readouterr().out)}
    assert rows["house"]["splits"] == {"train": 200, "dev": 60, "test": 200}
    assert set(rows) == set(ENVIRONMENTS)
    for name in ("duo", "house", "library", "shop", "world"):
        assert (rows[name]["null_score"], rows[name]["gold_score"], rows[name]["licence"]) == (0.0, 1.0, "Apache-2.0")
    assert rows["answers"]["needs"] == "answers needs the option 'source': write answers:source=..."
    assert status(["env", "list"]) == 0
    said = capsys.readouterr().out
    assert "house@1 train 200, dev 60, test 200" in " ".join(said.split())
    assert "write answers:source=..." in said


@pytest.mark.parametrize("suite", ["duo:tasks=10", "library:tasks=10", "shop:tasks=10", "world:tasks=10"])
def test_each_that_comes_with_the_package_is_shown(suite: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert status(["env", "show", suite, "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert {split: len(prompts) for split, prompts in shown["tasks"].items()} == {"train": 3, "dev": 3, "test": 3}
    assert status(["env", "show", suite]) == 0
    said = capsys.readouterr().out
    assert f"{suite.partition(':')[0]}@1\n" in said
    assert "told first" in said


def test_an_environment_shows_its_card_and_first_tasks(capsys: pytest.CaptureFixture[str]) -> None:
    assert status(["env", "show", "house:tasks=10"]) == 0
    said = capsys.readouterr().out
    assert "splits         train 10, dev 3, test 10\n" in said
    first = House(tasks=10).tasks("dev")[0].prompt
    assert f"\ndev, for instance\n  {first}\n" in said
    assert status(["env", "show", "house:tasks=10", "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert (shown["licence"], shown["tasks"]["dev"][0], len(shown["tasks"]["train"])) == ("Apache-2.0", first, 3)


def test_a_task_cannot_drive_the_terminal(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = tmp_path / "rows.jsonl"
    asked = [f"red \x1b[31m alert\nnow {n}" for n in range(10)]
    rows.write_text("\n".join(json.dumps({"question": text, "answer": "x"}) for text in asked) + "\n", "utf-8")
    assert status(["env", "show", f'answers:source="{rows}"']) == 0
    said = capsys.readouterr().out
    assert "\x1b" not in said
    assert "alert now" in said


def test_a_kept_contract_is_shown_clause_by_clause(capsys: pytest.CaptureFixture[str]) -> None:
    assert status(["env", "check", "house:tasks=10", "--tasks", "2", "--episodes", "4"]) == 0
    walls, *clauses = capsys.readouterr().out.splitlines()
    assert walls == "walls: none; its episodes run in this process"
    assert all(line.startswith("ok    ") for line in clauses)
    assert clauses[-1] == "ok    gold"
    assert status(["env", "check", "house:tasks=10", "--tasks", "2", "--episodes", "4", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["ok"], told["walls"], "deterministic" in told["clauses"]) == (True, [walls], True)


def test_a_broken_contract_names_the_clause_and_exits_with_1(careless: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert status(["env", "check", careless, "--tasks", "2", "--episodes", "4"]) == 1
    said = capsys.readouterr()
    assert (said.out.count("\n"), said.err.count("\n")) == (1, 1)
    assert said.out.startswith("walls: ")
    assert said.err.startswith("error: house breaks 'null' (")
    assert status(["env", "check", careless, "--tasks", "2", "--episodes", "4", "--json"]) == 1
    told = json.loads(capsys.readouterr().out)
    assert (told["ok"], told["broken"], "null" in told["why"]) == (False, "null", True)


class Slow(House):
    """A house in an engine, which remembers which tasks were opened in it."""

    opened: ClassVar[set[str]] = set()
    walls = Walls()

    async def open(self, task: Task, seed: int = 0, feedback: FeedbackLevel = "weak") -> HouseEpisode:
        self.opened.add(task.id)
        return await super().open(task, seed, feedback)


@pytest.mark.parametrize(("options", "tried"), [([], 3), (["--tasks", "2"], 6)])
def test_of_an_environment_in_an_engine_one_task_of_each_split_is_tried(
    options: list[str], tried: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(ENVIRONMENTS, "slow", f"{__name__}:Slow")
    Slow.opened.clear()
    assert status(["env", "check", "slow", "--episodes", "4", *options]) == 0
    assert len(Slow.opened) == tried
    said = capsys.readouterr()
    assert said.out.splitlines()[: len(Walls().told())] == [*Walls().told()]
    assert ("one task of each split is tried" in said.err) is (not options)


@pytest.mark.parametrize("verb", ["show", "check"])
@pytest.mark.parametrize(
    ("suite", "complaint"),
    [
        ("hous", "unknown environment 'hous'; known: house, "),
        ("answers", "answers needs the option 'source'"),
        ("house:lvl=2", "unknown option of house 'lvl'"),
        ("house@9", "is at version '1'"),
    ],
)
def test_misuse_is_one_line(verb: str, suite: str, complaint: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert status(["env", verb, suite]) == 2
    said = capsys.readouterr()
    assert (said.out, said.err.count("\n")) == ("", 1)
    assert complaint in said.err


@pytest.mark.parametrize("verb", ["show", "check", "play"])
def test_what_was_not_fetched_is_misuse_that_says_how(
    verb: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("AGENTEVO_HOME", str(tmp_path))
    assert status(["env", verb, "bfcl"]) == 2
    said = capsys.readouterr()
    assert (said.out, said.err.count("\n")) == ("", 1)
    assert "fetch it, 2 MB: agentevo env fetch bfcl" in said.err


def test_what_an_environment_needs_is_fetched_where_something_is_missing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(FETCHED, "house", f"{__name__}:fetched")
    assert status(["env", "fetch", "house"]) == 0
    assert capsys.readouterr().out == "house: /somewhere/house\n"
    assert status(["env", "fetch", "house", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"name": "house", "path": "/somewhere/house"}
    assert status(["env", "fetch", "shop"]) == 0
    assert capsys.readouterr().out == "shop needs nothing that is not here\n"


def test_fetching_what_is_not_there_or_cannot_be_fetched_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(FETCHED, "house", f"{__name__}:unfetched")
    for name, code, complaint in (("hous", 2, "unknown environment 'hous'; known: house, "), ("house", 1, "no index")):
        assert status(["env", "fetch", name]) == code
        said = capsys.readouterr()
        assert (said.out, said.err.count("\n")) == ("", 1)
        assert complaint in said.err


def fetched(progress: Progress) -> Path:
    progress("downloading house", 1, 2)
    return Path("/somewhere/house")


def unfetched(progress: Progress) -> Path:
    raise WeightsError("no index")
