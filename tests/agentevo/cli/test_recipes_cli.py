"""`agentevo recipes`: what there is, and what a recipe is made of."""

from __future__ import annotations

import json

import pytest

from agentevo.cli.app import status
from agentevo.recipes import load, names


def test_every_recipe_is_listed_with_what_it_does(capsys: pytest.CaptureFixture[str]) -> None:
    assert status(["recipes", "list", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert [row["name"] for row in rows] == names()
    assert {row["folder"] for row in rows if row["name"] in ("evo", "reflexion")} == {"in_context"}
    assert all(row["description"].endswith(".") for row in rows)


def test_the_list_is_a_table(capsys: pytest.CaptureFixture[str]) -> None:
    assert status(["recipes", "list"]) == 0
    heading, *rows = capsys.readouterr().out.splitlines()
    assert heading.split() == ["name", "folder", "what", "it", "does"]
    assert [row.split()[0] for row in rows] == names()


@pytest.mark.parametrize("name", names())
def test_a_recipe_is_shown_slot_by_slot(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert status(["recipes", "show", name, "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    recipe = load(name)
    filled = {slot for slot, strategies in said["slots"].items() if strategies}
    assert filled == {slot for slot in said["slots"] if getattr(recipe, slot)}
    assert all(strategy in repr(recipe) for slot in filled - {"objective"} for strategy in said["slots"][slot])
    assert said["doc"].splitlines()[0]


def test_options_stand_with_their_defaults(capsys: pytest.CaptureFixture[str]) -> None:
    assert status(["recipes", "show", "evo"]) == 0
    said = capsys.readouterr().out
    assert said.startswith("Recall k items; ")
    assert "\njudge      Verify(feedback='strong')\n" in said
    assert "\ntasks      -\n" in said
    assert "\n  margin       0.02\n" in said


def test_an_unknown_recipe_is_misuse(capsys: pytest.CaptureFixture[str]) -> None:
    assert status(["recipes", "show", "evoo"]) == 2
    out, said = capsys.readouterr()
    assert out == ""
    told, _, known = said.partition("; known: ")
    assert told == "error: unknown recipe 'evoo'"
    assert known.startswith("evo, ")
    assert sorted(known.strip().split(", ")) == names()
