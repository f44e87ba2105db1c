"""A game for two who must not do the same: what the partner will do has to be learned."""

from agentevo.environments.text.duo.environment import Duo

__all__ = ["Duo"]
