"""House commands: a sentence in, a command out, in a made-up convention that can only be learned from examples."""

from agentevo.environments.tool.house.environment import House

__all__ = ["House"]
