"""BFCL's multi-turn tasks: its data and simulators from its own wheel, which `agentevo env fetch bfcl` gets."""

from agentevo.environments.tool.bfcl.environment import BFCL
from agentevo.environments.tool.bfcl.wheel import fetch

__all__ = ["BFCL", "fetch"]
