"""`agentevo sandbox`: programs and verdicts on the command line, and what their exit statuses mean."""

from __future__ import annotations

import io
import json
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from locked_host import on_a_host_that_refuses

from agentevo.cli.app import status
from agentevo.cli.doctor import _sandbox
from agentevo.cli.sandbox import exit_status
from agentevo.environments.sandbox import RunResult

Written = Callable[[str], str]


@pytest.fixture
def written(tmp_path: Path) -> Written:
    """Write a file and give its path."""

    def write(text: str) -> str:
        path = tmp_path / f"{len([*tmp_path.iterdir()])}.py"
        path.write_text(text, "utf-8")
        return str(path)

    return write


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("print(1)", 0),
        ("import sys; sys.exit(3)", 3),
        ("1/0", 1),
        ("import os; os.kill(os.getpid(), 15)", 143),
        ("import mmap\nm = mmap.mmap(-1, 10**9)\nfor i in range(0, 10**9, 4096): m[i] = 1", 137),
    ],
)
def test_a_program_exits_as_it_did(written: Written, code: str, expected: int) -> None:
    assert status(["sandbox", "run", written(code), "--timeout", "300"]) == expected


def test_a_timeout_exits_with_124_and_says_so(written: Written, capsys: pytest.CaptureFixture[str]) -> None:
    assert status(["sandbox", "run", written("print('begun')\nimport time; time.sleep(600)"), "--timeout", "3"]) == 124
    said = capsys.readouterr()
    assert said.out == "begun\n"
    assert said.err.startswith("timeout after ")


def test_streams_go_where_the_program_sent_them(written: Written, capsys: pytest.CaptureFixture[str]) -> None:
    assert status(["sandbox", "run", written("import sys; print('out'); print('err', file=sys.stderr)")]) == 0
    said = capsys.readouterr()
    assert (said.out, said.err) == ("out\n", "err\n")


def test_a_result_is_printed_as_json(written: Written, capsys: pytest.CaptureFixture[str]) -> None:
    assert status(["sandbox", "run", written("print(input())"), "--stdin", written("given"), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["kind"], told["stdout"], told["exit_status"]) == ("ok", "given\n", 0)
    assert told["tier"] in ("namespaces", "landlock")


def test_a_program_is_read_from_standard_input(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"print(6 * 7)")))
    assert status(["sandbox", "run", "-"]) == 0
    assert capsys.readouterr().out == "42\n"


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["nowhere.py"], "cannot read nowhere.py: No such file"),
        (["CODE", "--timeout", "0"], "limit wall_s is 0"),
        (["CODE", "--tier", "none"], "unknown tier 'none'"),
    ],
)
def test_misuse_is_one_line_and_exits_with_2(
    written: Written, capsys: pytest.CaptureFixture[str], arguments: list[str], says: str
) -> None:
    code = written("print(1)")
    assert status(["sandbox", "run", *(code if one == "CODE" else one for one in arguments)]) == 2
    said = capsys.readouterr()
    assert (said.out, said.err.count("\n")) == ("", 1)
    assert says in said.err


TESTS = "def check(candidate):\n    assert candidate(1, 2) == 3\n"


def test_a_solution_is_judged(written: Written, capsys: pytest.CaptureFixture[str]) -> None:
    tests = written(TESTS)
    assert status(["sandbox", "judge", written("def add(a, b): return a + b"), tests, "--entry", "add"]) == 0
    assert capsys.readouterr().out == "ok    check\npassed: 1 of 1 checks\n"
    assert status(["sandbox", "judge", written("def add(a, b): return a"), tests, "--entry", "add"]) == 1
    assert capsys.readouterr().out.splitlines() == [
        "fail  check: assert candidate(1, 2) == 3: got 1, expected it == 3", "failed: 0 of 1 checks",
    ]  # fmt: skip


def test_a_verdict_is_printed_as_json(written: Written, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = [written("def add(a, b): return a + b"), written(TESTS.replace("3", "three")), "--entry", "add"]
    assert status(["sandbox", "judge", *arguments, "--support", written("three = 3"), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["passed"], told["weak"], told["checks"]) == (
        True, "", [{"name": "check", "passed": True, "message": ""}],
    )  # fmt: skip


def test_a_verdict_that_could_be_wrong_says_why(written: Written, capsys: pytest.CaptureFixture[str]) -> None:
    solution = written("three = 3\ndef add(a, b): return a + b")
    assert status(["sandbox", "judge", solution, written(TESTS.replace("3", "three")), "--entry", "add"]) == 0
    assert capsys.readouterr().err == "weak: three is used by the tests and defined by the solution only\n"


@pytest.mark.parametrize(
    ("kind", "ended", "expected"),
    [("timeout", None, 124), ("memory", None, 137), ("killed", -9, 137), ("error", -6, 134), ("output", 0, 0)],
)
def test_exit_statuses_are_those_of_a_shell(kind: str, ended: int | None, expected: int) -> None:
    result = RunResult.model_validate(
        {"kind": kind, "stdout": "", "stderr": "", "exit_status": ended, "seconds": 1, "memory_mb": 1}
    )
    assert exit_status(result) == expected


def test_where_no_tier_works_it_exits_with_125_and_doctor_says_why(written: Written) -> None:
    program = "from agentevo.cli.app import status\nsys.exit(status(sys.argv[1:]))\n"
    refused = "unshare,landlock_create_ruleset"
    done = on_a_host_that_refuses(refused, program, "sandbox", "run", written("print('ran')"))
    assert (done.returncode, done.stdout) == (125, "")
    assert done.stderr.startswith("error: no sandbox works here, so nothing was run (namespaces: ")
    looked = "from agentevo.cli.doctor import _sandbox\nfor one in _sandbox(): print(one.state, one.name)\n"
    assert on_a_host_that_refuses(refused, looked).stdout == (
        "skip sandbox namespaces\nskip sandbox landlock\nwarn sandbox\n"
    )


def test_doctor_shows_each_tier_and_what_was_refused() -> None:
    found = {one.name: one for one in _sandbox()}
    assert found["sandbox"].state == "ok"
    tier = found["sandbox"].detail.removeprefix("tier ").removesuffix(" is used")
    assert "read a file outside, write a file outside" in found[f"sandbox {tier}"].detail


def test_a_service_runs_and_judges_for_others_until_interrupted(
    written: Written, capsys: pytest.CaptureFixture[str]
) -> None:
    code = "from agentevo.cli.app import main; main()"
    command = [sys.executable, "-c", code, "sandbox", "serve", "127.0.0.1:0"]
    service = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        assert service.stdout is not None
        address = service.stdout.readline().split()[-1]
        remote = ["--remote", address]
        assert status(["sandbox", "run", written("print(6 * 7); raise SystemExit(3)"), *remote, "--json"]) == 3
        ran = json.loads(capsys.readouterr().out)
        assert (ran["stdout"], ran["tier"]) == ("42\n", "remote")
        solution, tests = written("def two(): return 2"), written("assert two() == 2")
        assert status(["sandbox", "judge", solution, tests, "--entry", "two", *remote]) == 0
        assert status(["sandbox", "serve", address]) == 125
        assert f"cannot serve at {address}" in capsys.readouterr().err
        service.send_signal(signal.SIGINT)
        assert service.communicate(timeout=60)[1] == "ended\n"
        assert service.returncode == 0
    finally:
        service.kill()
        service.communicate()
    assert status(["sandbox", "run", solution, *remote]) == 125
