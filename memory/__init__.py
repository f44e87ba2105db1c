"""Memory: insert, reflect and forget over a ledger that loses nothing and an index that can be rebuilt."""

from agentevo.memory.draft import Draft
from agentevo.memory.memory import Memory
from agentevo.memory.rank import Weights

__all__ = ["Draft", "Memory", "Weights"]
