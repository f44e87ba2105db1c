"""`agentevo evolve` against a real HTTP server: a memory that gains, and runs that go on, are refused or given up."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from commands import done, interrupted
from obedient_server import CAPITALS, capitals, reader, reads
from openai_server import Exchange, OpenAIServer, hangs
from openai_server import status as http_status

from agentevo import Agent
from agentevo.cli.app import status
from agentevo.environments.load import load
from agentevo.memory import Memory

__all__ = ["capitals", "reader"]


def evolve(suite: str, folder: Path, *options: str) -> int:
    return status(["evolve", suite, "--memory", str(folder / "memory"), *options])


@pytest.mark.usefixtures("reader")
def test_a_turn_is_reported_and_kept(capitals: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert evolve(capitals, tmp_path, "--cycles", "2") == 0
    said = capsys.readouterr()
    assert said.out.count("accepted\n") == 2
    assert (
        "turn 1: accepted\n  practised  4 tasks, mean score 0.000\n  held out   0.000 before, 1.000 after" in said.out
    )
    assert "turn 2: accepted\n  practised  4 tasks, mean score 1.000" in said.out
    assert "go on after a stop with --run evolve-" in said.err
    with Memory.open(tmp_path / "memory") as memory:
        assert {str(item.metadata["answer"]) for item in memory.list()} >= set(CAPITALS.values())


@pytest.mark.usefixtures("reader")
def test_json_counts_the_experiences(capitals: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert evolve(capitals, tmp_path, "--json") == 0
    (report,) = json.loads(capsys.readouterr().out)
    kept = ("turn", "score", "accepted", "alarms", "experiences", "practised")
    assert {name: report[name] for name in kept} == {
        "turn": 1, "score": 1.0, "accepted": True, "alarms": [], "experiences": 4, "practised": 4,
    }  # fmt: skip
    assert report["cost"]["calls"] > 0


def test_a_named_run_goes_on_after_its_last_turn(capitals: str, reader: OpenAIServer, tmp_path: Path) -> None:
    assert evolve(capitals, tmp_path, "--run", "mine") == 0
    asked = len(reader.bodies)
    assert evolve(capitals, tmp_path, "--run", "mine") == 0
    assert len(reader.bodies) == asked
    assert evolve(capitals, tmp_path, "--run", "mine", "--cycles", "2") == 0
    assert len(reader.bodies) > asked


@pytest.mark.usefixtures("reader")
def test_a_run_is_not_gone_on_with_another_memory(
    capitals: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert evolve(capitals, tmp_path, "--run", "mine") == 0
    capsys.readouterr()
    assert evolve(capitals, tmp_path / "other", "--run", "mine") == 2
    said = capsys.readouterr()
    assert (said.out, said.err.count("\n")) == ("", 1)
    assert "was begun with another memory" in said.err
    assert not (tmp_path / "other").exists()


@pytest.mark.usefixtures("reader")
@pytest.mark.parametrize(
    ("options", "differing"),
    [(["--seed", "7"], "seed"), (["--recipe", "reflexion"], "recipe"), (["--namespace", "other"], "namespace")],
)
def test_a_run_is_not_gone_on_with_anything_else(
    options: list[str], differing: str, capitals: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert evolve(capitals, tmp_path, "--run", "mine") == 0
    capsys.readouterr()
    assert evolve(capitals, tmp_path, "--run", "mine", *options) == 2
    assert f"was begun with another {differing} ({differing}: then" in capsys.readouterr().err


@pytest.mark.usefixtures("reader")
def test_a_run_is_not_gone_on_with_answers_that_were_edited(
    capitals: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert evolve(capitals, tmp_path, "--run", "mine") == 0
    (tmp_path / "capitals.csv").write_text((tmp_path / "capitals.csv").read_text("utf-8").replace("Klow", "Zlip"))
    assert evolve(capitals, tmp_path, "--run", "mine") == 2
    assert (
        "was begun with another environment, instruction, options (environment: then 'capitals@"
        in capsys.readouterr().err
    )


def test_python_goes_on_with_a_run_of_the_command_line_and_it_with_one_of_pythons(
    capitals: str, reader: OpenAIServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def practised(run: str, cycles: int) -> list[float]:
        with Memory.open(tmp_path / "memory", actor="agent") as memory:
            agent = Agent("openai/test", memory=memory, environment=load(capitals)[0])
            return [report.score for report in agent.evolve(cycles=cycles, run=run)]

    assert evolve(capitals, tmp_path, "--run", "commands") == 0
    asked = len(reader.bodies)
    assert practised("commands", 1) == [1.0]
    assert len(reader.bodies) == asked
    first, *_ = practised("pythons", 2)
    capsys.readouterr()
    asked = len(reader.bodies)
    assert evolve(capitals, tmp_path, "--run", "pythons", "--cycles", "2", "--json") == 0
    assert [report["score"] for report in json.loads(capsys.readouterr().out)] == [first, 1.0]
    assert len(reader.bodies) == asked


def test_another_seed_draws_otherwise(capitals: str, reader: OpenAIServer, tmp_path: Path) -> None:
    assert evolve(capitals, tmp_path, "--seed", "7") == 0
    mine = {body["seed"] for body in reader.bodies}
    assert evolve(capitals, tmp_path / "other") == 0
    assert mine
    assert mine.isdisjoint(body["seed"] for body in reader.bodies[len(reader.bodies) // 2 :])


@pytest.mark.usefixtures("reader")
def test_a_memory_that_is_not_named_is_the_one_of_the_settings(
    capitals: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert status(["evolve", capitals, "--namespace", "geography"]) == 0
    capsys.readouterr()
    assert status(["memory", "--namespace", "geography", "list", "--json"]) == 0
    assert len(json.loads(capsys.readouterr().out)) >= len(CAPITALS)
    assert (tmp_path / "home" / "memory").is_dir()


@pytest.mark.usefixtures("reader")
@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["house/test"], "practises on one split and tests on another; write 'house'"),
        (["hous"], "unknown environment 'hous'; known: house"),
        (["house", "--recipe", "ev"], "unknown recipe 'ev'; known: evo"),
        (["house", "--model", "nonsense/xyz"], "unknown model provider 'nonsense'; known: "),
        (["house", "--model", "local/xyz"], "unknown model 'xyz'; known: smollm2-135m"),
        (["house", "--run", "a/b"], "a run is named like a folder"),
        (["answers"], "answers needs the option 'source'"),
    ],
)
def test_misuse_is_one_line_and_makes_nothing(
    arguments: list[str], complaint: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert status(["evolve", *arguments, "--memory", str(tmp_path / "memory")]) == 2
    said = capsys.readouterr()
    assert (said.out, said.err.count("\n")) == ("", 1)
    assert complaint in said.err
    assert not (tmp_path / "memory").exists()
    assert not (tmp_path / "home").exists()


@pytest.mark.usefixtures("reader")
def test_a_missing_key_leaves_neither_a_run_nor_a_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("OPENAI_API_KEY")
    assert evolve("house:tasks=10", tmp_path) == 2
    assert "needs OPENAI_API_KEY" in capsys.readouterr().err
    assert not (tmp_path / "memory").exists()
    assert list((tmp_path / "home" / "runs").iterdir()) == []


@pytest.mark.usefixtures("reader")
def test_a_suite_without_a_split_to_practise_on_is_misuse(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = tmp_path / "rows.csv"
    rows.write_text("question,answer,split\na,b,test\n", "utf-8")
    assert evolve(f'answers:source="{rows}",split=split', tmp_path) == 2
    assert "has no split 'train' to practise on; it has test" in capsys.readouterr().err


def test_a_budget_that_is_used_up_fails_with_its_report(
    capitals: str, reader: OpenAIServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert evolve(capitals, tmp_path, "--run", "mine") == 0
    paid = len(reader.bodies)
    capsys.readouterr()
    assert evolve(capitals, tmp_path, "--run", "mine", "--cycles", "2", "--max-cost", "0", "--json") == 1
    said = capsys.readouterr()
    _, report = json.loads(said.out)
    assert (report["accepted"], report["alarms"], len(reader.bodies)) == (False, ["budget"], paid)
    assert said.err.splitlines()[-1].startswith("error: the budget of 'evolve' is used up: max_cost_usd=0")
    assert evolve(capitals, tmp_path, "--run", "mine", "--cycles", "2", "--max-cost", "0") == 1
    assert "turn 2: not finished, the budget is used up\n" in capsys.readouterr().out


def test_where_nothing_can_be_spent_nothing_is_made(
    reader: OpenAIServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert evolve("house", tmp_path, "--max-cost", "0") == 1
    said = capsys.readouterr()
    assert (said.out, said.err.count("\n"), reader.bodies) == ("", 1, [])
    assert "the budget of 'evolve' is used up: max_cost_usd=0" in said.err
    assert not (tmp_path / "memory").exists()
    assert not list(tmp_path.glob("home/runs/*"))


def test_a_model_that_never_answers_is_given_up_early(
    reader: OpenAIServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    reader.default = http_status(404, message="no such model")
    assert evolve("house", tmp_path, "--concurrency", "1") == 1
    said = capsys.readouterr()
    assert (said.out, len(reader.bodies)) == ("", 3)
    *_, last = said.err.splitlines()
    assert last.startswith("error: the model failed in each of its first 3 answers")
    assert "no such model" in last
    with Memory.open(tmp_path / "memory") as memory:
        assert memory.list() == []


async def fails_on_syldavia(exchange: Exchange) -> None:
    is_it = "Syldavia" in exchange.body["messages"][-1]["content"]
    await (http_status(400, message="not that one") if is_it else reads)(exchange)


def test_a_model_that_fails_now_and_then_is_not_given_up(
    capitals: str, reader: OpenAIServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    reader.default = fails_on_syldavia
    assert evolve(capitals, tmp_path, "--cycles", "3") == 0
    assert "1.000 after" not in capsys.readouterr().out


def test_an_interrupted_run_goes_on_and_asks_nothing_twice(capitals: str, tmp_path: Path, reader: OpenAIServer) -> None:
    reader.then(reads, reads, hangs)
    command = ["evolve", capitals, "--memory", str(tmp_path / "memory"), "--run", "mine", "--concurrency", "1"]
    stopped = interrupted(reader, 3, *command)
    assert (stopped.status, stopped.out, stopped.talk.splitlines()[-1]) == (130, "", "interrupted")
    again = done(*command)
    assert (again.status, "turn 1: accepted" in again.out) == (0, True), again.talk
    practised = [body["messages"][-1]["content"] for body in reader.bodies[:5]]
    assert [practised.count(question) for question in dict.fromkeys(practised)] == [1, 1, 2, 1]
