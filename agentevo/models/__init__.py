"""Language models and embedders behind one protocol each: litellm's, offline ones, fakes, caches and recordings."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from agentevo.models.cached import Cached as Cached
    from agentevo.models.cassette import Cassette as Cassette
    from agentevo.models.embedders import HashEmbedder as HashEmbedder
    from agentevo.models.embedders import as_embedder as as_embedder
    from agentevo.models.fakes import FunctionModel as FunctionModel
    from agentevo.models.fakes import ScriptedModel as ScriptedModel
    from agentevo.models.litellm_model import LiteLLMModel as LiteLLMModel
    from agentevo.models.named import as_model as as_model
    from agentevo.models.provider import register as register
    from agentevo.models.requests import Request as Request
    from agentevo.models.requests import allow_requests as allow_requests
    from agentevo.models.requests import forbid_requests as forbid_requests
    from agentevo.models.retry import Retry as Retry
    from agentevo.models.usage import Budget as Budget
    from agentevo.models.usage import Meter as Meter
    from agentevo.models.usage import spending as spending

_HOMES = {
    "cached": ("Cached",),
    "cassette": ("Cassette",),
    "embedders": ("HashEmbedder", "as_embedder"),
    "fakes": ("FunctionModel", "ScriptedModel"),
    "litellm_model": ("LiteLLMModel",),
    "named": ("as_model",),
    "provider": ("register",),
    "requests": ("Request", "allow_requests", "forbid_requests"),
    "retry": ("Retry",),
    "usage": ("Budget", "Meter", "spending"),
}
_HOME_OF = {name: f"agentevo.models.{home}" for home, names in _HOMES.items() for name in names}

__all__ = sorted(_HOME_OF)  # pyright: ignore[reportUnsupportedDunderAll]


def __getattr__(name: str) -> object:
    if name not in _HOME_OF:
        raise AttributeError(f"module 'agentevo.models' has no attribute {name!r}")
    value = getattr(importlib.import_module(_HOME_OF[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
