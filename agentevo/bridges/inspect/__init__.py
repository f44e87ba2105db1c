"""inspect-ai: an agent with its memory as the solver of any task, and inspect's model as the agent's."""

from agentevo.bridges.inspect.model import InspectModel
from agentevo.bridges.inspect.solver import remembering

__all__ = ["InspectModel", "remembering"]
