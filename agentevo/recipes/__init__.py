"""Recipes: methods as data, one file each; the file, the function in it and the recipe bear one name."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cache
from typing import Any

from agentevo.errors import Misuse, UnknownName
from agentevo.protocols import Recipe


@cache
def _modules() -> dict[str, str]:
    """Return where each recipe is: its name, and the module that holds it."""
    return dict(_found(__name__, __path__))


def _found(package: str, path: Any) -> Iterator[tuple[str, str]]:
    for module in pkgutil.iter_modules(path):
        if module.ispkg:
            inner = importlib.import_module(f"{package}.{module.name}")
            yield from _found(inner.__name__, inner.__path__)
        else:
            yield module.name, f"{package}.{module.name}"


def names() -> list[str]:
    """Return the names of all recipes, sorted."""
    return sorted(_modules())


def maker(name: str) -> Callable[..., Recipe]:
    """Return the function that makes a recipe; its arguments are what can be chosen about it."""
    if name not in _modules():
        raise UnknownName("recipe", name, names())
    found: Callable[..., Recipe] = getattr(importlib.import_module(_modules()[name]), name)
    return found


def load(name: str, **options: object) -> Recipe:
    """Return the recipe of a name; raise UnknownName, listing the near ones, where there is none."""
    try:
        return replace(maker(name)(**options), name=name)
    except TypeError as error:
        raise Misuse(f"recipe {name!r} cannot be made so: {error}") from error


def as_recipe(recipe: str | Recipe) -> Recipe:
    """Return a recipe as it is, or the one of a name."""
    if isinstance(recipe, Recipe):
        return recipe
    if not isinstance(recipe, str):
        raise Misuse(f"expected the name of a recipe, such as 'evo', or a Recipe; got {recipe!r:.80}")
    return load(recipe)
