"""Suites by name: which there are, and what a recipe is told where a domain asks for it. A table, no task code."""

from __future__ import annotations

from typing import Any

from agentevo.environments.load import ENVIRONMENTS, load
from agentevo.errors import Misuse
from agentevo.protocols import Recipe
from agentevo.recipes import as_recipe
from agentevo.recipes import load as recipe_of
from agentevo.types import Card, Record

TRAINED = (
    "elastic_reset",
    "eto",
    "rest",
    "rest_em",
    "rft",
    "sdft",
    "self",
    "self_reward",
    "spin",
    "ssr",
    "star",
    "v_star",
)
"""Recipes that train, and whose answers are no longer than those of the others."""

OPTIONS: dict[tuple[str, str], dict[str, Any]] = {
    ("duo", "evo"): {"max_tokens": 32, "temperature": 0.0},
    ("house", "evo"): {"stop": ("\n",), "max_tokens": 48, "temperature": 0.0},
    ("house", "reflexion"): {"stop": ("\n",), "max_tokens": 48, "temperature": 0.0},
    ("house", "self_consistency"): {"stop": ("\n",), "max_tokens": 48},
    ("house", "lmsi"): {"stop": ("\n",), "max_tokens": 48, "think": False},
    **{("house", name): {"stop": ("\n",), "max_tokens": 48} for name in TRAINED},
    ("library", "codet"): {"max_tokens": 160},
    ("library", "evo"): {"max_tokens": 160, "temperature": 0.0},
    ("library", "reflexion"): {"max_tokens": 160, "temperature": 0.0},
    ("library", "self_consistency"): {"max_tokens": 160},
    ("library", "self_debug"): {"max_tokens": 160},
    ("scienceworld", "evo"): {"steps": 60},
    ("scienceworld", "reflexion"): {"steps": 60},
    ("textworld_express", "evo"): {"steps": 60},
    ("textworld_express", "reflexion"): {"steps": 60},
    ("world", "evo"): {"max_tokens": 96, "temperature": 0.0},
}
"""By suite and recipe: a command is one line, a program by the library a few."""


class Suite(Record):
    """A suite by its name alone: its card, or what has to be said before it has one."""

    name: str
    card: Card | None = None
    needs: str = ""


def tuned(suite: str, recipe: str) -> Recipe:
    """Return a recipe as a suite needs it."""
    name = suite.partition("@")[0].partition("/")[0].partition(":")[0]
    options = OPTIONS.get((name, recipe))
    return as_recipe(recipe) if options is None else recipe_of(recipe, **options)


def suites() -> list[Suite]:
    """Return the suites there are, also those that need an option, a path say, or a package that is not here."""
    return [_suite(name) for name in sorted(ENVIRONMENTS)]


def _suite(name: str) -> Suite:
    try:
        return Suite(name=name, card=load(name)[0].card)
    except Misuse as error:
        return Suite(name=name, needs=str(error))
