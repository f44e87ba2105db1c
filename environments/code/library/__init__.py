"""The built-in programming domain: a small library of the house, whose conventions can only be learned."""

from agentevo.environments.code.library.environment import HouseLibrary

__all__ = ["HouseLibrary"]
