"""A small shop on a database: what is asked is done by calls, in a convention that is learnt by trying."""

from agentevo.environments.tool.shop.environment import Shop

__all__ = ["Shop"]
