"""From what a caller names as a model to the model itself."""

from __future__ import annotations

from agentevo.errors import Misuse
from agentevo.protocols import Model
from agentevo.settings import settings


def as_model(model: str | Model, *, timeout_s: float | None = None) -> Model:
    """Return the model of a litellm name, with the user's settings applied; a Model is returned as it is.

    `timeout_s` is for a whole call, in place of that of the settings.
    Raise UnknownName for a `local/` model that is neither installed nor known.
    """
    if isinstance(model, Model) and not isinstance(model, type):
        return model
    if not isinstance(model, str):
        raise Misuse(f"expected a model name such as 'local/smollm2-135m', or a Model; got {model!r:.80}")
    from agentevo.models.installed import LOCAL
    from agentevo.models.litellm_model import LiteLLMModel

    if model.startswith(LOCAL):
        _check_local(model.removeprefix(LOCAL))
    chosen = settings()
    real = LiteLLMModel(
        model, timeout_s=chosen.timeout_s if timeout_s is None else timeout_s, concurrency=chosen.concurrency
    )
    if not chosen.cache:
        return real
    from agentevo.models.cached import Cached

    return Cached(real)


def _check_local(name: str) -> None:
    from agentevo.models.catalogue import CATALOGUE
    from agentevo.models.installed import find

    weights, _, _ = name.partition("+")  # local/NAME+ADAPTER; the adapter is looked up when it is loaded
    if weights not in CATALOGUE:
        find(weights, "model")
