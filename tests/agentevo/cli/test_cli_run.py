"""`agentevo run` against a real HTTP server: what is printed where, and how failures end."""

from __future__ import annotations

import asyncio
import io
import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from openai_server import Exchange, OpenAIServer, hangs, says, streams
from openai_server import status as http_status

from agentevo.cli.app import status
from agentevo.memory import Memory
from agentevo.models import allow_requests


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> Iterator[OpenAIServer]:
    with allow_requests(), OpenAIServer() as server:
        monkeypatch.setenv("AGENTEVO_HOME", str(tmp_path_factory.mktemp("home")))
        monkeypatch.setenv("AGENTEVO_MODEL", "openai/test")
        monkeypatch.setenv("OPENAI_API_KEY", "k")
        monkeypatch.setenv("OPENAI_API_BASE", server.url)
        yield server


def test_the_reply_is_streamed_to_stdout(server: OpenAIServer, capsys: pytest.CaptureFixture[str]) -> None:
    server.then(streams("Hel", "lo ", "there"))
    assert status(["run", "hi"]) == 0
    assert capsys.readouterr() == ("Hello there\n", "")


def test_options_reach_the_model(server: OpenAIServer) -> None:
    options = ["--system", "Be brief.", "--temperature", "0.5", "--max-tokens", "7", "--seed", "3", "--json"]
    assert status(["run", "hi", *options]) == 0
    body = server.bodies[-1]
    assert body["messages"] == [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "hi"}]
    assert (body["temperature"], body["max_tokens"], body["seed"]) == (0.5, 7, 3)


def test_json_is_the_whole_reply(server: OpenAIServer, capsys: pytest.CaptureFixture[str]) -> None:
    server.then(says("Grüße"))
    assert status(["run", "hi", "--json"]) == 0
    said = capsys.readouterr()
    reply = json.loads(said.out)
    assert (reply["texts"], reply["finish"], reply["usage"]["calls"]) == (["Grüße"], "stop", 1)
    assert said.err == ""


def test_verbose_says_on_stderr_what_it_cost(server: OpenAIServer, capsys: pytest.CaptureFixture[str]) -> None:
    server.then(says("one two"))
    assert status(["run", "hi", "--verbose"]) == 0
    said = capsys.readouterr()
    assert said.out == "one two\n"
    for word in ("tokens", "$0.0000", " s, ", "tokens/s", "ended by stop"):
        assert word in said.err


def feed(monkeypatch: pytest.MonkeyPatch, content: bytes) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content), encoding="ascii"))


def test_a_dash_reads_the_prompt_from_stdin_as_utf8(server: OpenAIServer, monkeypatch: pytest.MonkeyPatch) -> None:
    feed(monkeypatch, "Grüße\n漢".encode())
    assert status(["run", "-"]) == 0
    assert server.bodies[-1]["messages"] == [{"role": "user", "content": "Grüße\n漢"}]


@pytest.mark.parametrize(
    ("content", "complaint"),
    [(b"", "the prompt is empty"), (b" \n", "the prompt is empty"), (b"caf\xe9", "is not UTF-8")],
)
def test_a_prompt_that_cannot_be_read_is_misuse(
    content: bytes, complaint: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    feed(monkeypatch, content)
    assert status(["run", "-"]) == 2
    assert complaint in capsys.readouterr().err


@pytest.mark.usefixtures("server")
def test_a_budget_of_nothing_forbids_the_call(capsys: pytest.CaptureFixture[str]) -> None:
    assert status(["run", "hi", "--max-cost", "0"]) == 1
    assert "error: the budget is used up: max_cost_usd=0" in capsys.readouterr().err


def test_a_refused_request_is_one_line(server: OpenAIServer, capsys: pytest.CaptureFixture[str]) -> None:
    server.then(http_status(400, message="bad\nrequest"))
    assert status(["run", "hi"]) == 1
    said = capsys.readouterr()
    assert (said.out, said.err.count("\n")) == ("", 1)
    assert said.err.startswith("error: ")


def test_a_server_that_hangs_is_given_up(server: OpenAIServer, capsys: pytest.CaptureFixture[str]) -> None:
    server.then(streams("half", then=hangs))
    assert status(["run", "hi", "--timeout", "0.5"]) == 1
    said = capsys.readouterr()
    assert said.out == "half\n"
    assert said.err.startswith("error: ")


async def _late(exchange: Exchange) -> None:
    await asyncio.sleep(0.8)
    await streams("late")(exchange)


def test_a_timeout_on_the_command_line_wins_over_a_shorter_one_of_the_settings(
    server: OpenAIServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AGENTEVO_TIMEOUT_S", "0.4")
    server.then(_late)
    assert status(["run", "hi", "--timeout", "60"]) == 0


@pytest.mark.usefixtures("server")
def test_a_missing_key_names_the_variable(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.delenv("OPENAI_API_KEY")
    assert status(["run", "hi"]) == 2
    assert "needs OPENAI_API_KEY in the environment" in capsys.readouterr().err


@pytest.mark.usefixtures("server")
def test_an_unknown_provider_lists_the_known_ones(capsys: pytest.CaptureFixture[str]) -> None:
    assert status(["run", "-m", "opnai/gpt", "hi"]) == 2
    said = capsys.readouterr().err
    assert "opnai" in said
    assert "openai" in said


@pytest.fixture
def memory(server: OpenAIServer, tmp_path: Path) -> Path:
    """A memory with one thing in it; `server` answers who asks."""
    assert server.bodies == []
    with Memory.open(tmp_path / "memory", embedder="hash") as opened:
        opened.insert("The capital of Freedonia is Zenda")
    return tmp_path / "memory"


def test_with_a_memory_the_prompt_holds_what_is_recalled(
    server: OpenAIServer, memory: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    server.then(streams("It is ", "Zenda"))
    options = ["--memory", str(memory), "--system", "Be brief.", "--max-tokens", "7", "-v"]
    assert status(["run", "What is the capital of Freedonia?", *options]) == 0
    said, body = capsys.readouterr(), server.bodies[-1]
    assert said.out == "It is Zenda\n"
    assert "The capital of Freedonia is Zenda" in str(body["messages"])
    assert "Be brief." in body["messages"][0]["content"]
    assert body["max_tokens"] == 7
    cost, used = said.err.splitlines()
    assert " tokens, $0.0000, " in cost
    assert used.startswith("used  ")
    assert used.endswith("  The capital of Freedonia is Zenda")


def test_with_a_memory_json_is_the_attempt(
    server: OpenAIServer, memory: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    server.then(says("Zenda"))
    assert status(["run", "What is the capital of Freedonia?", "--memory", str(memory), "--json"]) == 0
    attempt = json.loads(capsys.readouterr().out)
    assert (attempt["answer"], len(attempt["used"]), attempt["stopped"]) == ("Zenda", 1, "")
    with Memory.open(memory) as opened:
        assert [item.uses for item in opened.list()] == [0]


def test_with_a_memory_that_has_nothing_to_say_verbose_says_so(
    server: OpenAIServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Memory.open(tmp_path / "memory", embedder="hash").close()
    server.then(says("hello"))
    assert status(["run", "hi", "--memory", str(tmp_path / "memory"), "-v"]) == 0
    assert capsys.readouterr().err.endswith("\nnothing was recalled\n")


def test_a_namespace_of_the_memory_can_be_named(
    server: OpenAIServer, memory: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    server.default = says("hello")
    with Memory.open(memory, namespace="geography") as opened:
        opened.insert("Freedonia has no capital")
    ask = ["run", "What is the capital of Freedonia?", "--memory", str(memory), "-v"]
    assert status([*ask, "--namespace", "geography"]) == 0
    assert capsys.readouterr().err.endswith("  Freedonia has no capital\n")
    assert status(ask) == 0
    assert capsys.readouterr().err.endswith("  The capital of Freedonia is Zenda\n")
    assert status([*ask, "--namespace", "history"]) == 2
    assert "there is no namespace 'history'" in capsys.readouterr().err


@pytest.mark.usefixtures("server")
def test_a_namespace_without_a_memory_is_misuse(capsys: pytest.CaptureFixture[str]) -> None:
    assert status(["run", "hi", "--namespace", "geography"]) == 2
    assert "say which memory with --memory FOLDER" in capsys.readouterr().err


@pytest.mark.usefixtures("server")
def test_a_memory_that_is_not_there_is_misuse(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert status(["run", "hi", "--memory", str(tmp_path / "none")]) == 2
    assert "there is no memory in " in capsys.readouterr().err
    assert not (tmp_path / "none").exists()


def test_with_a_memory_too_a_model_that_fails_is_one_line(
    server: OpenAIServer, memory: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    server.then(http_status(400, message="bad\nrequest"))
    assert status(["run", "hi", "--memory", str(memory)]) == 1
    said = capsys.readouterr()
    assert (said.out, said.err.count("\n")) == ("", 1)
    assert said.err.startswith("error: the answer ended early: model: ")
