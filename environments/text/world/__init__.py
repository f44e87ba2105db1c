"""A text world in pure Python: rooms and things, commands, and rules that can only be learned by trying."""

from agentevo.environments.text.world.environment import World

__all__ = ["World"]
