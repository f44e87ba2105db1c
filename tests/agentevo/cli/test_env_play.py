"""`agentevo env play`: what is typed becomes an action, what comes of it is shown, and the end is scored."""

from __future__ import annotations

import io
import json
import os
import pty
import signal
import subprocess
from pathlib import Path
from typing import ClassVar

import pytest
from commands import AGENTEVO

from agentevo.cli.app import status
from agentevo.cli.typed import as_action, signature
from agentevo.environments.code.files import calls_in
from agentevo.environments.load import ENVIRONMENTS
from agentevo.environments.text.duo import Duo
from agentevo.environments.text.world import World
from agentevo.environments.tool.house import House
from agentevo.environments.tool.house.environment import HouseEpisode
from agentevo.environments.tool.shop import Shop
from agentevo.protocols import FeedbackLevel
from agentevo.types import Json, Task, Tool

TASK = World().tasks("test")[0]
RIGHT = str(World().gold(TASK)[0]["content"])


@pytest.fixture
def typing(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    return monkeypatch


def played(typing: pytest.MonkeyPatch, typed: str, *arguments: str) -> int:
    typing.setattr("sys.stdin", io.StringIO(typed))
    return status(["env", "play", *arguments])


def test_an_episode_is_played_to_its_end(typing: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert played(typing, f"jump\n\n{RIGHT}\nlook\n", "world") == 0
    said = capsys.readouterr()
    assert said.err == ""
    head, _, rest = said.out.partition(":help says how to play.\n")
    assert (TASK.id in head, TASK.prompt in head) == (True, True)
    thing = RIGHT.rsplit(" on ", 1)[-1]
    assert rest.splitlines() == [
        "> jump", "That is no command here; `commands` lists what can be done.", "> ", f"> {RIGHT}",
        f"The {thing} is prepared.", "All is as wished.", "(reward +1)", "score 1 (right)",
    ]  # fmt: skip


@pytest.mark.parametrize("typed", ["look\n", "look\n:quit\nlook\n", ""])
def test_what_was_left_is_scored_as_it_stands(
    typed: str, typing: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert played(typing, typed, "world") == 0
    assert capsys.readouterr().out.endswith("score 0 (wrong)\n")


def test_a_transcript_is_json(typing: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert played(typing, f"look\n{RIGHT}\n", "world", "--json") == 0
    said = capsys.readouterr()
    told = json.loads(said.out)
    assert [message["role"] for message in told["messages"]] == ["user", "assistant", "user", "assistant", "user"]
    assert (told["score"], told["ended"], told["rewards"]) == (1.0, "terminated", [0.0, 1.0])
    assert (told["task"]["id"], told["feedback"]["verdict"]) == (TASK.id, "right")
    assert f"\n{RIGHT}\n" in said.err


@pytest.mark.parametrize(
    ("arguments", "id"),
    [
        (("--seed", "3"), "world-0-1-test-003"),
        (("--split", "dev", "--seed", "61"), "world-0-1-dev-001"),
        (("--task", "world-0-1-train-007"), "world-0-1-train-007"),
    ],
)
def test_a_task_is_named_or_drawn(
    arguments: tuple[str, ...], id: str, typing: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert played(typing, "", "world", *arguments) == 0
    assert capsys.readouterr().out.startswith(f"{id}\n")


def test_tools_are_called_by_name(typing: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    shop = Shop(tasks=20)
    task = next(task for task in shop.tasks("test") if task.data["group"] == "ship")
    ((_, given, *_),) = (call for message in shop.gold(task) for call in calls_in(message))
    typed = f"list_carriers\nship_order {given['order']} carrier={given['carrier']}\nIt is shipped.\n"
    assert played(typing, typed, "shop:tasks=20", "--task", task.id) == 0
    said = capsys.readouterr().out
    assert "\n  ship_order(order, carrier)  Ship an open order" in said
    assert (
        "\n:help says how to play. What is no call of a tool is said, and that mostly ends it.\n> list_carriers\n["
        in said
    )
    assert said.endswith("done\n> It is shipped.\nright\n(reward +1)\nscore 1 (right)\n")


def test_many_tools_are_not_all_shown_at_first(typing: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    typing.setattr("sys.stdin", io.StringIO(":tools\n"))
    typing.setitem(ENVIRONMENTS, "crowded", f"{__name__}:Crowded")
    assert status(["env", "play", "crowded:tasks=10"]) == 0
    first, _, second = capsys.readouterr().out.partition("> :tools\n")
    assert (first.count("  tool_"), second.count("  tool_")) == (30, 40)
    assert "\n  and 10 more: :tools\n" in first


class Crowded(House):
    """A house with tools that do nothing."""

    async def open(self, task: Task, seed: int = 0, feedback: FeedbackLevel = "weak") -> HouseEpisode:
        episode = await super().open(task, seed, feedback)
        episode.tools = tuple(Tool(name=f"tool_{n}") for n in range(40))
        return episode


def test_whoever_moves_is_named_and_actions_are_listed(
    typing: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert played(typing, ":actions\nnonsense\n:actions\n:tools\n:help\n", "duo:seat=both") == 0
    said = capsys.readouterr().out
    assert said.count("(mate's turn)\n") == 2
    assert said.count("say ") > 60
    assert "There are no tools here.\n" in said
    assert ":quit ends." in said


def test_all_that_was_done_is_scored(typing: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    duo = Duo(level=2)
    moves = [str(action["content"]) for action in duo.gold(duo.tasks("test")[0])]
    assert played(typing, "\n".join(moves[:3]), "duo:level=2") == 0
    assert capsys.readouterr().out.endswith("score 0.75 (wrong)\n")


class Engine(House):
    """A house that keeps something for its episodes, and says when it ends."""

    ended: ClassVar[list[str]] = []

    async def open(self, task: Task, seed: int = 0, feedback: FeedbackLevel = "weak") -> HouseEpisode:
        return Opened(await super().open(task, seed, feedback), self.ended)  # type: ignore[return-value]

    async def aclose(self) -> None:
        self.ended.append("environment")


class Opened:
    """An episode that says when it is closed."""

    def __init__(self, episode: HouseEpisode, ended: list[str]) -> None:
        self._ended = ended
        self.observation, self.tools, self.step = episode.observation, episode.tools, episode.step

    async def close(self) -> None:
        self._ended.append("episode")


def test_what_was_opened_is_ended(typing: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    typing.setitem(ENVIRONMENTS, "engine", f"{__name__}:Engine")
    for typed, *verb in (("", "play"), ("hello\n", "play"), ("", "check", "--tasks", "1", "--episodes", "2")):
        Engine.ended.clear()
        typing.setattr("sys.stdin", io.StringIO(typed))
        status(["env", *verb, "engine:tasks=10"])
        assert set(Engine.ended) == {"episode", "environment"}
        assert Engine.ended[-1] == "environment"
    capsys.readouterr()


def test_many_lines_are_one_answer(
    typing: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = tmp_path / "rows.jsonl"
    row = {"question": "Write two \x1b[31mlines.", "answer": "one two"}
    rows.write_text("\n".join(json.dumps({**row, "question": f"{row['question']} {n}"}) for n in range(4)), "utf-8")
    suite = f'answers:source="{rows}"/train'
    assert played(typing, '"""\none\n\n  two\n"""\n', suite, "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert told["messages"][1]["content"] == "one\n\n  two"
    assert told["score"] == 1.0
    assert played(typing, '"""\nthree', suite) == 0
    said = capsys.readouterr().out
    assert "\x1b" not in said
    assert said.endswith("score 0 (wrong)\n")


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (("wrld",), "unknown environment 'wrld'"),
        (("world", "--task", "world-9"), "has no task 'world-9'"),
        (("world", "--split", "tst"), "unknown split of world 'tst'"),
        (("world", "--feedback", "loud"), "unknown feedback level 'loud'"),
    ],
)
def test_misuse_is_one_line(
    arguments: tuple[str, ...], complaint: str, typing: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert played(typing, "", *arguments) == 2
    said = capsys.readouterr()
    assert (said.out, said.err.count("\n")) == ("", 1)
    assert complaint in said.err


@pytest.mark.parametrize("errors", ["strict", "surrogateescape"])
@pytest.mark.parametrize("wrong", [b"caf\xe9", b"look\0", b'"""\nfirst\n\xff\n"""'])
def test_what_is_no_text_is_not_taken_and_the_next_line_is(
    wrong: bytes, errors: str, typing: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    typed = wrong + b"\n" + RIGHT.encode() + b"\n"
    typing.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(typed), "utf-8", errors))
    assert status(["env", "play", "world", "--json"]) == 0
    said = capsys.readouterr()
    told = json.loads(said.out)
    assert ([m["content"] for m in told["messages"] if m["role"] == "assistant"], told["score"]) == ([RIGHT], 1.0)
    assert said.err.count("this was not taken, as it is not UTF-8 or holds a NUL") == 1


def test_stdin_must_be_there(typing: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    typing.setattr("sys.stdin", None)
    assert status(["env", "play", "world"]) == 2
    assert "it is closed" in capsys.readouterr().err


def test_an_interrupt_ends_it_and_so_does_the_end_of_a_terminal() -> None:
    process = subprocess.Popen(
        [str(AGENTEVO), "env", "play", "world"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert process.stdout is not None
    while b":help" not in process.stdout.readline():
        pass
    process.send_signal(signal.SIGINT)
    _, talk = process.communicate(timeout=30)
    assert (process.returncode, talk) == (130, b"interrupted\n")

    ours, theirs = pty.openpty()
    process = subprocess.Popen([str(AGENTEVO), "env", "play", "world"], stdin=theirs, stdout=theirs, stderr=theirs)
    os.close(theirs)
    said = b""
    while b"> " not in said:
        said += os.read(ours, 65_536)
    os.write(ours, b"bag\n\x04")
    while b"score" not in said:
        said += os.read(ours, 65_536)
    assert process.wait(30) == 0
    os.close(ours)
    assert b"In your bag: red key, " in said


CLERK = Tool(
    name="sell", parameters={"type": "object", "required": ["what"], "properties": {
        "what": {"type": "string"}, "count": {"type": "integer"}, "gift": {"anyOf": [{"type": "boolean"}]},
    }},
)  # fmt: skip
ASKER = Tool(name="act", parameters={"type": "object", "required": ["command"],
                                     "properties": {"command": {"type": "string"}}})  # fmt: skip


@pytest.mark.parametrize(
    ("typed", "name", "arguments"),
    [
        ("sell", "sell", {}),
        ("sell tea 3 true", "sell", {"what": "tea", "count": 3, "gift": True}),
        ("sell count=3 'green tea'", "sell", {"count": 3, "what": "green tea"}),
        ("sell what=7 count=many", "sell", {"what": "7", "count": "many"}),
        ("sell mother's a=b", "sell", {"what": "mother's", "count": "a=b"}),
        ("sell a 1 true b", "sell", {"what": "a", "count": 1, "gift": True, "argument_4": "b"}),
        ('sell {"what": "tea"}', "sell", {"what": "tea"}),
        ("sell tea NaN", "sell", {"what": "tea", "count": "NaN"}),
        ("sell tea 1e999", "sell", {"what": "tea", "count": "1e999"}),
        ("sell tea " + "[" * 100_000, "sell", {"what": "tea", "count": "[" * 100_000}),
        ("act open the door = now", "act", {"command": "open the door = now"}),
        ("act command=look", "act", {"command": "look"}),
        ('act "look around"', "act", {"command": "look around"}),
        ("act", "act", {}),
    ],
)
def test_typed_calls(typed: str, name: str, arguments: dict[str, Json]) -> None:
    calls = as_action(typed, [CLERK, ASKER])["tool_calls"]
    assert isinstance(calls, list)
    (call,) = calls
    assert isinstance(call, dict)
    assert call["function"] == {"name": name, "arguments": json.dumps(arguments)}


def test_what_is_no_tool_is_said() -> None:
    assert as_action("sells tea", [CLERK]) == {"role": "assistant", "content": "sells tea"}
    assert signature(CLERK) == "sell(what, count?, gift?)"
    assert signature(Tool(name="look")) == "look()"
