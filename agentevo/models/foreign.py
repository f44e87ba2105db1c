"""What a model of somebody else's raises, as our own errors."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from agentevo.errors import AgentEvoError, ModelError, ModelTimeout, ModelUnavailable
from agentevo.models.failures import shortened
from agentevo.protocols import Model


@contextmanager
def as_ours(model: Model) -> Iterator[None]:
    """Raise a ModelError, chained, where what is asked of a model inside raises something that is no error of ours."""
    try:
        yield
    except AgentEvoError:
        raise
    except Exception as error:
        raise _kind(error)(f"model {model.name!r} failed: {type(error).__name__}: {shortened(error)}") from error


def _kind(error: Exception) -> type[ModelError]:
    if isinstance(error, TimeoutError):
        return ModelTimeout
    return ModelUnavailable if isinstance(error, ConnectionError) else ModelError
