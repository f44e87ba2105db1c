"""Bad input is refused before anything runs, and the message says what was expected."""

from __future__ import annotations

import math

import pytest

from agentevo.environments.sandbox import Limits, Sandbox
from agentevo.errors import Misuse, UnknownName


@pytest.mark.parametrize(
    ("code", "says"),
    [
        (b"print('\xff')", "is not UTF-8"),
        ("print('\ud800')", "is not UTF-8"),
        ("print(1)\0", "NUL character at position 8"),
        ("x" * 100_000_000, "has 100,000,000 characters; at most 4,000,000"),
        (3, "code is int; expected str or bytes"),
    ],
)
def test_code_that_is_no_source_is_refused(best: Sandbox, code: str, says: str) -> None:
    with pytest.raises(Misuse, match=says):
        best.run(code)


@pytest.mark.parametrize("name", ["../up", "a/../../b", "/etc/passwd", "", ".", "nul\0", "x" * 300])
def test_file_names_that_lead_out_are_refused(best: Sandbox, name: str) -> None:
    with pytest.raises(Misuse, match="file name"):
        best.run("print(1)", files={name: "x"})


def test_files_that_do_not_fit_are_refused(best: Sandbox) -> None:
    with pytest.raises(Misuse, match="work disk 2 MB"):
        best.run("print(1)", files={"a": b"x" * 3_000_000}, limits=Limits(disk_mb=2))
    with pytest.raises(Misuse, match="is the name of the code itself"):
        best.run("print(1)", files={"main.py": "x"})
    with pytest.raises(Misuse, match="is int"):
        best.run("print(1)", files={"a": 3})  # type: ignore[dict-item]


def test_input_that_is_too_long_is_refused(best: Sandbox) -> None:
    with pytest.raises(Misuse, match="stdin has 32,000,001"):
        best.run("print(1)", stdin="x" * 32_000_001)


@pytest.mark.parametrize("value", [0, -1, math.inf, math.nan, "many", True])
def test_limits_of_zero_or_below_are_refused(value: float) -> None:
    with pytest.raises(Misuse, match="limit wall_s is"):
        Limits(wall_s=value)


def test_limits_no_worker_could_live_in_are_refused() -> None:
    with pytest.raises(Misuse, match="at least 32"):
        Limits(memory_mb=4)


def test_more_output_than_a_report_carries_is_refused() -> None:
    with pytest.raises(Misuse, match="at most 10,000,000"):
        Limits(output_bytes=10**9)


def test_a_timeout_of_zero_is_refused(best: Sandbox) -> None:
    with pytest.raises(Misuse, match="limit wall_s is 0"):
        best.run("print(1)", timeout_s=0)


@pytest.mark.parametrize(
    ("tests", "says"),
    [
        ("x = 1", "no style that is known"),
        ("def (", "the tests are not Python"),
        (f"class Test({'-' * 600}1): pass", "the tests are not Python: maximum recursion depth"),
        ([], "no tests in the list"),
        ([("a", 3)], "no pair of texts"),
        ([{"input": "a"}], "no pair of texts"),
    ],
)
def test_tests_of_no_known_style_are_refused(best: Sandbox, tests: str, says: str) -> None:
    with pytest.raises(Misuse, match=says):
        best.judge("x = 1", tests, "x")


@pytest.mark.parametrize("name", ["", "a.b", "class", "f()"])
def test_an_entry_point_that_is_no_name_is_refused(best: Sandbox, name: str) -> None:
    with pytest.raises(Misuse, match="entry_point"):
        best.judge("x = 1", "def check(candidate):\n    assert candidate()", name)


def test_unknown_tiers_and_numbers_of_workers_are_refused() -> None:
    with pytest.raises(UnknownName, match="known: namespaces, landlock, unsafe-local"):
        Sandbox(tier="namespace")  # type: ignore[arg-type]
    with pytest.raises(Misuse, match="workers is 0"):
        Sandbox(workers=0)
