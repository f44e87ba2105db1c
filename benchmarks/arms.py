"""Arms of a comparison: the recipe that is measured, the same without memory, and the cheap rules beside it."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from agentevo.benchmarks.baselines import CopyNearest, Null, SubstituteNearest
from agentevo.errors import UnknownName
from agentevo.protocols import Act, Recipe
from agentevo.recipes import as_recipe, names

BASELINES = ("none", "null", "copy", "rule")
"""none: the recipe without memory. null: no answer. copy: what the nearest remembered case was answered with. rule: the
same with the words substituted that differ between the two requests."""
MEMORY = "memory"


def arm(name: str, recipe: Recipe, make: Callable[[str], Recipe] = as_recipe) -> Recipe:
    """Return what an arm does: "memory" is the recipe itself, any other but the baselines the one made of its name."""
    match name:
        case "memory":
            return recipe
        case "none":
            return replace(recipe, act=without_memory(recipe.act), practice=None, update=())
        case "null":
            return replace(recipe, act=Null(), practice=None, update=())
        case "copy":
            return replace(recipe, act=CopyNearest(), practice=None)
        case "rule":
            return replace(recipe, act=SubstituteNearest(), practice=None)
    if name not in names():
        raise UnknownName("arm", name, [MEMORY, *BASELINES, *names()])
    return make(name)


def without_memory(act: Act) -> Act:
    """Return an act that is shown nothing from memory: of its context only the texts stay."""
    if not hasattr(act, "__dataclass_fields__"):
        return act
    strategy: Any = act
    changes: dict[str, object] = {}
    for field in dataclasses.fields(strategy):
        value = getattr(strategy, field.name)
        if field.name == "context":
            changes["context"] = tuple(part for part in value if isinstance(part, str))
        elif field.name == "act":
            changes["act"] = without_memory(value)
    changed: Act = replace(strategy, **changes)
    return changed
