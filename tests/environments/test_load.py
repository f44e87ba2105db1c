"""From the name of a suite to an environment and a split."""

from __future__ import annotations

import importlib
from pathlib import Path

import pytest

from agentevo.environments.load import ENVIRONMENTS, load, names
from agentevo.errors import MissingExtra, Misuse, UnknownName
from agentevo.types import Card


class Echo:
    """An environment that keeps the options it was made with."""

    def __init__(self, path: str, check: str = "exact", **more: object) -> None:
        self.told = {"path": path, "check": check, **more}
        self.card = Card(name="echo", version="2.1-rc")

    def splits(self) -> tuple[str, ...]:
        return ("all",)


@pytest.fixture
def echo(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(ENVIRONMENTS, "echo", f"{__name__}:Echo")


def told(suite: str) -> object:
    environment, _ = load(suite)
    assert isinstance(environment, Echo)
    return environment.told


def test_a_suite_names_environment_options_version_and_split() -> None:
    environment, split = load("house:level=2,convention=1@1/dev")
    assert (repr(environment), split) == ("House(convention=1, level=2, tasks=200)", "dev")


@pytest.mark.parametrize(("suite", "split"), [("house", "test"), ("house/train", "train"), ("house@1", "test")])
def test_what_a_suite_leaves_out_has_a_default(suite: str, split: str) -> None:
    assert load(suite)[1] == split


@pytest.mark.usefixtures("echo")
def test_without_a_test_split_the_first_is_meant() -> None:
    assert load("echo:path=x")[1] == "all"


@pytest.mark.usefixtures("echo")
def test_values_are_numbers_truths_or_text_and_text_can_be_quoted() -> None:
    suite = 'echo:path="a/b, c@d=.csv",check=number,tolerance=0.5,n=3,strict=true,loose=false,none=,word=1a@2.1-rc/all'
    assert told(suite) == {
        "path": "a/b, c@d=.csv", "check": "number", "tolerance": 0.5, "n": 3, "strict": True, "loose": False,
        "none": "", "word": "1a",
    }  # fmt: skip


@pytest.mark.usefixtures("echo")
@pytest.mark.parametrize(
    ("suite", "error", "said"),
    [
        ("hose/test", UnknownName, "unknown environment 'hose'; known: house, "),
        ("house/tst", UnknownName, "unknown split of house 'tst'; known: test"),
        ("house:levle=2", UnknownName, "unknown option of house 'levle'; known: level"),
        ("house@2/test", Misuse, "house is at version '1'; 'house@2/test' asks for '2'"),
        ("house:level=9", Misuse, "level is 9; expected 1"),
        ("echo", Misuse, "echo needs the option 'path': write echo:path=..."),
        ("echo:path=x@2", Misuse, "echo is at version '2.1-rc'"),
        ("", Misuse, "'' is no name of a suite; expected NAME"),
        ("house:level", Misuse, "'house:level' is no name of a suite"),
        ("echo:path=a/b/c", Misuse, "quote a value with , @ or / in it"),
        ("house/test\n", Misuse, "is no name of a suite"),
    ],
)
def test_suites_that_cannot_be_loaded_say_why(suite: str, error: type[Misuse], said: str) -> None:
    with pytest.raises(error) as refusal:
        load(suite)
    assert said in str(refusal.value)


def test_answers_are_read_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "a,b@c.csv"
    path.write_text("text,label\n" + "".join(f"text {n},label {n % 3}\n" for n in range(20)))
    environment, split = load(f'answers:source="{path}",licence=MIT/train')
    assert (len(environment.tasks(split)), environment.card.licence) == (16, "MIT")


@pytest.mark.usefixtures("echo")
def test_names_are_those_that_need_no_option() -> None:
    assert "house" in names()
    assert {"answers", "echo"}.isdisjoint(names())
    assert [named(name) for name in names()] == names()


def named(suite: str) -> str:
    """Return what an environment calls itself; of those whose package is not here, nothing can be made."""
    try:
        return load(suite)[0].card.name
    except MissingExtra:
        return suite


def test_every_name_leads_to_something_that_can_be_imported() -> None:
    for place in ENVIRONMENTS.values():
        module, _, attribute = place.partition(":")
        assert callable(getattr(importlib.import_module(module), attribute))
