"""Suites by name: what a recipe is told where a domain asks for it. A table, no task code."""

from __future__ import annotations

import contextlib
from typing import Any

from agentevo.environments.load import load, names
from agentevo.errors import Misuse
from agentevo.protocols import Recipe
from agentevo.recipes import as_recipe
from agentevo.recipes import load as recipe_of
from agentevo.types import Card

OPTIONS: dict[tuple[str, str], dict[str, Any]] = {
    ("house", "evo"): {"stop": ("\n",), "max_tokens": 48, "temperature": 0.0},
    ("house", "reflexion"): {"stop": ("\n",), "max_tokens": 48, "temperature": 0.0},
}
"""By suite and recipe: a command is one line."""


def tuned(suite: str, recipe: str) -> Recipe:
    """Return a recipe as a suite needs it."""
    name = suite.partition("@")[0].partition("/")[0].partition(":")[0]
    options = OPTIONS.get((name, recipe))
    return as_recipe(recipe) if options is None else recipe_of(recipe, **options)


def suites() -> list[Card]:
    """Return the cards of the environments that need nothing but their name."""
    found = []
    for name in names():
        with contextlib.suppress(Misuse):  # it needs options: a path, say
            found.append(load(name)[0].card)
    return found
