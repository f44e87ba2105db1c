"""Agents that get better at their work by remembering it.

Public names are loaded when they are first used, so that `import agentevo` costs next to nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from agentevo.agent import Agent as Agent
    from agentevo.errors import AgentEvoError as AgentEvoError
    from agentevo.errors import BudgetExceeded as BudgetExceeded
    from agentevo.errors import ModelError as ModelError
    from agentevo.memory import Draft as Draft
    from agentevo.memory import Memory as Memory
    from agentevo.models import Budget as Budget
    from agentevo.models import FunctionModel as FunctionModel
    from agentevo.models import ScriptedModel as ScriptedModel
    from agentevo.models import as_embedder as as_embedder
    from agentevo.models import as_model as as_model
    from agentevo.protocols import Recipe as Recipe
    from agentevo.protocols import State as State
    from agentevo.types import Attempt as Attempt
    from agentevo.types import Experience as Experience
    from agentevo.types import Feedback as Feedback
    from agentevo.types import Item as Item
    from agentevo.types import Objective as Objective
    from agentevo.types import Op as Op
    from agentevo.types import Reply as Reply
    from agentevo.types import Report as Report
    from agentevo.types import Task as Task
    from agentevo.types import Tool as Tool

__version__ = "0.1.0"

_HOMES = {
    "agentevo.agent": ("Agent",),
    "agentevo.errors": ("AgentEvoError", "BudgetExceeded", "ModelError"),
    "agentevo.memory": ("Draft", "Memory"),
    "agentevo.models": ("Budget", "FunctionModel", "ScriptedModel", "as_embedder", "as_model"),
    "agentevo.protocols": ("Recipe", "State"),
    "agentevo.types": (
        "Attempt", "Experience", "Feedback", "Item", "Objective", "Op", "Reply", "Report", "Task", "Tool",
    ),
}  # fmt: skip
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}

__all__ = sorted(_HOME_OF)  # pyright: ignore[reportUnsupportedDunderAll]


def __getattr__(name: str) -> object:
    if name not in _HOME_OF:
        raise AttributeError(f"module 'agentevo' has no attribute {name!r}")
    value = getattr(importlib.import_module(_HOME_OF[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
