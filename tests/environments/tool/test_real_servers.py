"""The servers that people use, from npm and PyPI, driven by an agent behind walls: what they did is really there."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from npm_servers import program

from agentevo import Agent, FunctionModel, Memory, ScriptedModel
from agentevo.environments.tool import StdioServer
from agentevo.models.fakes import Scripted
from agentevo.types import Attempt, Json, ToolCall


@pytest.fixture(autouse=True)
def enough() -> None:
    """Skip a test that should start programs which are not here, and say which."""
    for name in ("git", "node"):
        if shutil.which(name) is None:
            pytest.skip(f"there is no {name} on this machine")


def call(name: str, **arguments: Json) -> ToolCall:
    return ToolCall(id=name, name=name, arguments=arguments)


def git(repository: Path, *arguments: str) -> str:
    return subprocess.run(["git", "-C", repository, *arguments], check=True, capture_output=True, text=True).stdout


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    folder = tmp_path / "repository"
    folder.mkdir()
    git(folder, "init", "-q")
    git(folder, "config", "user.name", "Ada")
    git(folder, "config", "user.email", "ada@example.com")
    return folder


def files_in(folder: Path) -> StdioServer:
    return StdioServer(program("filesystem"), str(folder), writable=[folder], allowed=["write_file"], name="files")


def run(model: ScriptedModel | FunctionModel, **options: Any) -> Attempt:
    with Memory.open(":memory:", embedder="hash") as memory:
        return Agent(model, memory=memory, **options).run("Note what Ada wrote, and keep it.")


def results(attempt: Attempt) -> list[str]:
    return [str(message["content"]) for message in attempt.messages if message["role"] == "tool"]


def author() -> str:
    """Say whose notes these are."""
    return "Ada"


def test_an_agent_works_with_files_a_graph_and_git_at_once(repository: Path, tmp_path: Path) -> None:
    note, graph = str(repository / "note.txt"), tmp_path / "graph"
    graph.mkdir()
    servers = [
        files_in(repository),
        StdioServer(
            program("memory"), env={"MEMORY_FILE_PATH": str(graph / "graph.jsonl")}, writable=[graph], name="graph"
        ),
        StdioServer("mcp-server-git", "-r", str(repository), writable=[repository], name="git"),
    ]
    ada: dict[str, Json] = {"name": "Ada", "entityType": "person", "observations": ["wrote the first program"]}
    calls = [
        call("author"),
        call("write_file", path=note, content="She wrote the first program.\n"),
        call("create_entities", entities=[ada]),
        call("search_nodes", query="program"),
        call("git_add", repo_path=str(repository), files=["note.txt"]),
        call("git_commit", repo_path=str(repository), message="Keep the note"),
    ]
    script = iter(calls)

    def replies(messages: list[Mapping[str, Any]]) -> Scripted:
        return next(script, None) or str(messages[-1]["content"]).split("hash ")[1].split()[0]

    attempt = run(FunctionModel(replies), tools=[author], mcp=servers)

    said = dict(zip([one.name for one in calls], results(attempt), strict=True))
    assert attempt.stopped == ""
    assert said["author"] == "```data from author\nAda\n```"
    assert all(said[one.name].startswith("```data from ") for one in calls)
    assert json.loads(said["search_nodes"].strip("`").split("\n", 1)[1])["entities"] == [ada]
    assert json.loads((graph / "graph.jsonl").read_text()) == {"type": "entity", **ada}
    assert git(repository, "show", "--format=%H %s", "HEAD:note.txt") == "She wrote the first program.\n"
    assert git(repository, "log", "--format=%H %s") == f"{attempt.answer} Keep the note\n"


def test_a_real_server_is_held_by_its_walls_and_not_by_its_own_word(tmp_path: Path) -> None:
    granted, secret = tmp_path / "granted", tmp_path / "secret"
    granted.mkdir()
    secret.mkdir()
    (secret / "key").write_text("swordfish")
    believes_more = StdioServer(
        program("filesystem"), str(granted), str(secret), writable=[granted],
        allowed=["write_file", "move_file"], name="files",
    )  # fmt: skip
    script: list[Scripted] = [
        call("write_file", path=str(granted / "a"), content="mine"),
        call("read_text_file", path=str(secret / "key")),
        call("write_file", path=str(secret / "new"), content="x"),
        call("move_file", source=str(granted / "a"), destination=str(secret / "a")),
        "Done.",
    ]
    written, read, outside, moved = results(run(ScriptedModel(script), mcp=[believes_more]))
    assert "Successfully wrote" in written
    assert all("Error: " in said for said in (read, outside, moved))
    assert "swordfish" not in read
    assert [path.name for path in secret.iterdir()] == ["key"]
    assert (granted / "a").read_text() == "mine"


def test_what_a_server_calls_destructive_is_denied_unless_the_user_knows_better(tmp_path: Path) -> None:
    server = files_in(tmp_path)
    strict = StdioServer(server.command, *server.args, writable=server.writable, name="files")
    script: list[Scripted] = [call("write_file", path=str(tmp_path / "a"), content="mine"), "Done."]
    (denied,) = results(run(ScriptedModel(script), mcp=[strict]))
    assert "'write_file' was not called: what it does cannot be taken back" in denied
    assert not (tmp_path / "a").exists()
    run(ScriptedModel(script), mcp=[server])
    assert (tmp_path / "a").read_text() == "mine"
