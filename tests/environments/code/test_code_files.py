"""The files of a workspace: what can be done to them, and that an attempt leads to the same ones again."""

from __future__ import annotations

import json

import pytest

from agentevo.environments.code.files import MOST_CHARS, MOST_FILES, Call, Files, calls_in, replayed
from agentevo.types import Json, Message


def call(name: str, **arguments: Json) -> Call:
    return Call(name, arguments)


def made() -> Files:
    return Files({"vol.py": "given"}, {"solution.py": "x = 1\nx = 2\n"}, ["main.py"])


def test_a_file_is_written_edited_and_read_back() -> None:
    files = made()
    said = [
        files.change(call("write", path="a/b.py", content="one two")),
        files.change(call("edit", path="a/b.py", old="two", new="three")),
        files.change(call("read", path="a/b.py")),
        files.change(call("read", path="vol.py")),
    ]
    assert said == ["wrote a/b.py", "edited a/b.py", "one three", "given"]
    assert files.names() == ["a/b.py", "solution.py", "vol.py"]
    assert files.is_changed


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (call("read", path="b.py"), "there is no file 'b.py'; there are: solution.py, vol.py"),
        (call("edit", path="b.py", old="a", new="b"), "there is no file 'b.py'"),
        (call("edit", path="solution.py", old="x = ", new=""), "the old text is 2 times in solution.py"),
        (call("edit", path="solution.py", old="", new="y"), "the old text is 0 times"),
        (call("write", path="vol.py", content=""), "vol.py is given, and stays as it is"),
        (call("edit", path="vol.py", old="given", new=""), "vol.py is given"),
        (call("write", path="../x.py", content=""), "the path '../x.py' leads elsewhere"),
        (call("write", path="/etc/passwd", content=""), "leads elsewhere"),
        (call("write", path="a//b", content=""), "leads elsewhere"),
        (call("write", path="./solution.py", content=""), "leads elsewhere"),
        (call("write", path="a\\b", content=""), "is no path"),
        (call("write", path="", content=""), "is no path"),
        (call("write", path="a\nb", content=""), "is no path"),
        (call("write", path="main.py", content=""), "main.py is a name that is taken here; choose another"),
        (call("write", path="vol.py/x.py", content=""), "vol.py/x.py cannot be a file beside vol.py"),
        (call("write", path="x.py", content="a\ud800"), "half of a character at 1, which no file can hold"),
        (call("write", path="x.py"), "write needs 'content' as a text; got None"),
        (call("read", path=7), "read needs 'path' as a text; got 7"),
        (call("write", path="x.py", content="x" * (MOST_CHARS + 1)), "a file may have 200000"),
        (Call("write", {}, "that is no call"), "that is no call"),
    ],
)
def test_what_cannot_be_done_is_said_and_changes_nothing(asked: Call, said: str) -> None:
    files, before = made(), made().all()
    told = files.change(asked)
    assert told.startswith("Error: ")
    assert said in told
    assert (files.all(), files.is_changed) == (before, False)


def test_a_folder_cannot_become_a_file() -> None:
    files = Files({}, {"a/b.py": ""})
    assert files.change(call("write", path="a", content="")).startswith("Error: a cannot be a file beside a/b.py")


def test_a_solution_finds_the_files_but_none_by_the_name_it_runs_under() -> None:
    files = Files({"given.py": ""}, {"solution.py": "x", "leap.py": "y"})
    assert sorted(files.beside("solution.py")) == ["given.py", "leap.py"]
    assert sorted(Files({"given.py": ""}, {"leap.py": "y"}).beside("leap.py")) == ["given.py", "leap.py"]


def test_a_workspace_holds_so_many_files_and_no_more() -> None:
    files = Files({}, {})
    said = [files.change(call("write", path=f"{n}.py", content="")) for n in range(MOST_FILES + 1)]
    assert said[-1].startswith(f"Error: there are {MOST_FILES} files already")
    assert len(files.all()) == MOST_FILES
    assert files.change(call("write", path="0.py", content="anew")) == "wrote 0.py"


def acted(id: str, name: str, **arguments: Json) -> Message:
    function: Json = {"name": name, "arguments": json.dumps(arguments)}
    return {"role": "assistant", "content": None, "tool_calls": [{"id": id, "type": "function", "function": function}]}


def answered(id: str, said: str) -> Message:
    return {"role": "tool", "tool_call_id": id, "content": said}


def test_an_attempt_is_read_back_from_its_messages() -> None:
    messages: list[Message] = [
        acted("1", "write", path="solution.py", content="x = 3"),
        answered("1", "wrote solution.py"),
        acted("2", "edit", path="solution.py", old="3", new="4"),
        answered("2", "edited solution.py"),
        acted("3", "edit", path="solution.py", old="nothing", new="5"),
        answered("3", "Error: the old text is 0 times"),
        acted("4", "run", code="open('solution.py', 'w')"),
        answered("4", "(no output)"),
        acted("5", "write", path="solution.py", content="late"),
        answered("5", "Error: not run, because the attempt ended before it."),
        acted("6", "write", path="solution.py", content="never answered"),
        {"role": "assistant", "content": "Done."},
    ]
    assert replayed(made(), messages).all()["solution.py"] == "x = 4"


def test_calls_that_were_written_as_text_are_read_back_too() -> None:
    said = {"name": "write", "arguments": {"path": "solution.py", "content": "x = {1: 2}"}}
    messages: list[Message] = [
        {"role": "user", "content": json.dumps(said).replace("x = ", "y = ")},
        {"role": "assistant", "content": f"I write {{ it }} now: {json.dumps(said)} and {{'name': 1}}"},
        {"role": "assistant", "content": '{"name": "no such tool", "arguments": {}} {"name": "edit"}'},
    ]
    assert replayed(made(), messages).all()["solution.py"] == "x = {1: 2}"


@pytest.mark.parametrize(
    ("listed", "problem"),
    [
        (None, "None is no call"),
        (1, "1 is no call"),
        ({}, "{} is no call"),
        ({"function": {"name": 3}}, "is no call"),
        ({"function": {"name": "run", "arguments": "{"}}, "the arguments of 'run' are not JSON"),
        ({"function": {"name": "run", "arguments": "[1]"}}, "the arguments of 'run' are no JSON object"),
        ({"function": {"name": "run", "arguments": 5}}, "the arguments of 'run' are no JSON object"),
    ],
)
def test_a_call_that_is_none_says_what_is_wrong_with_it(listed: Json, problem: str) -> None:
    (found,) = calls_in({"role": "assistant", "tool_calls": [listed]})
    assert problem in found.problem
