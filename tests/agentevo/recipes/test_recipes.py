"""Recipes are found by their names, print themselves, and refuse what they do not know."""

from __future__ import annotations

import pytest

from agentevo.described import describe
from agentevo.errors import Misuse, UnknownName
from agentevo.protocols import Recipe
from agentevo.recipes import as_recipe, load, maker, names


def test_there_are_recipes() -> None:
    assert {"evo", "reflexion"} <= set(names())


@pytest.mark.parametrize("name", names())
def test_each_recipe_bears_its_name_and_prints_the_same_each_time(name: str) -> None:
    recipe = load(name)
    assert recipe.name == name
    assert describe(recipe) == describe(load(name))
    assert " at 0x" not in describe(recipe)


@pytest.mark.parametrize("name", names())
def test_each_recipe_says_what_it_is_and_where_it_is_from(name: str) -> None:
    assert (maker(name).__doc__ or "").strip()
    assert maker(name).__module__.rpartition(".")[2] == name


@pytest.mark.parametrize("name", names())
def test_an_option_that_a_recipe_does_not_have_is_refused(name: str) -> None:
    with pytest.raises(Misuse, match=f"recipe '{name}' cannot be made so: .*nonsense"):
        load(name, nonsense=1)


def test_an_unknown_name_lists_the_near_ones() -> None:
    with pytest.raises(UnknownName, match="unknown recipe 'reflection'; known: reflexion"):
        load("reflection")


def test_a_recipe_is_taken_as_it_is_and_nothing_else_for_one() -> None:
    recipe = load("evo")
    assert as_recipe(recipe) is recipe
    with pytest.raises(Misuse, match="expected the name of a recipe"):
        as_recipe(7)  # type: ignore[arg-type]


def test_options_change_what_a_recipe_does() -> None:
    assert describe(load("evo", k=2)) != describe(load("evo"))
    assert isinstance(load("evo", reflect=False), Recipe)
