"""`agentevo demo` with a model behind HTTP that reads well: what is shown, that it goes on, and that it ends."""

from __future__ import annotations

import re
import shlex
import subprocess

import pytest
from commands import done, interrupted, on_a_terminal
from obedient_server import reader, reads
from openai_server import Exchange, OpenAIServer, hangs
from openai_server import status as http_status

from agentevo.cli.app import status
from agentevo.cli.demo import name_of
from agentevo.cli.memory.whole import uses
from agentevo.memory import Memory
from agentevo.memory.history import Change
from agentevo.settings import home
from agentevo.types import Item, Kind

__all__ = ["reader"]

SHORT = ["demo", "--tasks", "16", "--new", "2", "-m", "openai/test"]


@pytest.mark.usefixtures("reader")
def test_the_demo_shows_learning_and_forgetting_and_one_lessons_life(capsys: pytest.CaptureFixture[str]) -> None:
    assert status([*SHORT, "--run", "mine"]) == 0
    said = capsys.readouterr()
    order = [
        "A small model on a small domain",
        "  stored  example, corrected: ",
        "after 8 of 16",
        "  forgot  example",
        "after 16 of 16",
    ]
    order += ["reflecting on what went wrong", "  gate    ", "phrasings that it has never seen", "what came of it"]
    places = [said.out.find(words) for words in order]
    assert places == sorted(places), said.out
    assert -1 not in places
    assert "loading the model ...; go on after a stop with --run mine" in said.err


@pytest.mark.usefixtures("reader")
def test_each_forgetting_is_told_with_the_reason_that_history_has(capsys: pytest.CaptureFixture[str]) -> None:
    assert status([*SHORT, "--run", "mine"]) == 0
    told = re.findall(r"^  because (.*)$", capsys.readouterr().out, re.MULTILINE)
    with Memory.open(home() / "runs" / "mine" / "memory") as memory:
        gone = memory.list(status="forgotten", limit=None)
        reasons = {change.reason for item in gone for change in map(change_of, memory.history(item.id))}
    assert told
    assert set(told) <= reasons


@pytest.mark.parametrize(
    ("metadata", "kind", "name"),
    [
        ({"prompt": "a", "answer": "b", "tried": "c"}, "lesson", "example, corrected"),
        ({"prompt": "a", "answer": "b"}, "experience", "example"),
        ({"task": "a"}, "lesson", "lesson"),
    ],
)
def test_an_item_is_called_what_it_is(metadata: dict[str, str], kind: Kind, name: str) -> None:
    assert name_of(Item(id="i", text="t", created_at=0.0, kind=kind, metadata=dict(metadata))) == name


@pytest.mark.usefixtures("reader")
def test_a_life_says_what_show_says_of_each_use(capsys: pytest.CaptureFixture[str]) -> None:
    assert status([*SHORT, "--run", "mine"]) == 0
    life = capsys.readouterr().out.partition("\nthe life of ")[2].partition("\nlook into")[0]
    with Memory.open(home() / "runs" / "mine" / "memory") as memory:
        item = memory.get(re.search(r"corrected (\w+)", life)[1])  # type: ignore[index]
        assert item is not None
        used = uses([change_of(change) for change in memory.history(item.id)])
        asked = {a.id: x.task.prompt for _, x in memory.experiences() for a in x.attempts}
    said = re.findall(r"^ +(helped|did not help): (.*)$", life, re.MULTILINE)
    assert said == [("helped" if use.wins else "did not help", asked[use.attempt]) for use in used[:5]]
    assert f"used       {len(used)} times: helped {item.wins:g}, did not help {item.losses:g}" in life
    assert asked[item.derived_from[0]] in life


def change_of(change: object) -> Change:
    assert isinstance(change, Change)
    return change


@pytest.mark.usefixtures("reader")
def test_the_commands_that_it_ends_with_work_as_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert status([*SHORT, "--run", "mine"]) == 0
    shown = re.findall(r"^  (\S*agentevo memory .*)$", capsys.readouterr().out, re.MULTILINE)
    assert [shlex.split(command)[4] for command in shown] == ["stats", "history", "show", "forget", "undo"]
    for command in shown:
        ended = subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=False)
        assert ended.returncode == 0, ended.stderr


def test_the_same_name_shows_the_same_and_asks_nothing(
    reader: OpenAIServer, capsys: pytest.CaptureFixture[str]
) -> None:
    assert status([*SHORT, "--run", "mine"]) == 0
    first, asked = capsys.readouterr().out, len(reader.bodies)
    assert status([*SHORT, "--run", "mine"]) == 0
    assert len(reader.bodies) == asked
    timeless = re.compile(r"; \d+ s$", re.MULTILINE)
    assert timeless.sub("", capsys.readouterr().out) == timeless.sub("", first)


def test_an_interrupted_demo_goes_on(reader: OpenAIServer) -> None:
    reader.then(reads, reads, reads, hangs)
    command = [*SHORT, "--run", "mine"]
    stopped = interrupted(reader, 4, *command)
    assert (stopped.status, stopped.talk.splitlines()[-1], "  stored  " in stopped.out) == (130, "interrupted", True)
    again = done(*command)
    assert (again.status, "what came of it" in again.out) == (0, True), again.talk
    asked = [tuple(message["content"] for message in body["messages"]) for body in reader.bodies]
    assert (asked[4:].count(asked[0]), asked[4]) == (0, asked[3])


def test_a_model_that_fails_while_it_reflects_ends_no_demo(
    reader: OpenAIServer, capsys: pytest.CaptureFixture[str]
) -> None:
    """A busy machine does not end what was learned without it; the next call of that name tries again."""

    async def busy(exchange: Exchange) -> None:
        behave = http_status(503, {"Retry-After": "9999"}) if "insight" in str(exchange.body).lower() else reads
        await behave(exchange)

    reader.default = busy
    assert status([*SHORT, "--run", "mine"]) == 0
    said = capsys.readouterr().out
    assert "  gate    not kept: the model failed while it reflected: " in said
    assert "what came of it" in said
    reader.default = reads
    assert status([*SHORT, "--run", "mine"]) == 0
    assert "the model failed" not in capsys.readouterr().out


def test_a_model_that_never_answers_is_given_up_early(reader: OpenAIServer, capsys: pytest.CaptureFixture[str]) -> None:
    reader.default = http_status(404, message="no such model")
    assert status(SHORT) == 1
    said = capsys.readouterr()
    assert "error: the model failed in each of its first 3 answers" in said.err
    assert "what came of it" not in said.out
    assert len(reader.bodies) == 3


@pytest.mark.usefixtures("reader")
@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        (["--tasks", "7"], "Invalid value for '--tasks'"),
        (["--tasks", "5000"], "tasks is 5000; expected how many train and test have, from 10 to 1000"),
        (["--run", "a/b"], "a run is named like a folder"),
        (["-m", "opnai/x"], "opnai"),
    ],
)
def test_misuse_is_one_line(options: list[str], complaint: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert status(["demo", "-m", "openai/test", *options]) == 2
    *_, last = capsys.readouterr().err.splitlines()
    assert last.startswith("error: ")
    assert complaint in last
    runs = home() / "runs"
    assert not runs.exists() or not list(runs.iterdir())


@pytest.mark.usefixtures("reader")
@pytest.mark.parametrize("columns", [100, 40])
def test_on_a_terminal_the_curves_are_redrawn_in_place(columns: int) -> None:
    said = on_a_terminal(columns, *SHORT)
    assert b"\x1b[2K" in said
    assert b"what came of it" in said
