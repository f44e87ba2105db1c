"""Environments: where an agent acts, and what says whether it acted right."""

from agentevo.environments.check import BrokenContract, acheck_environment, check_environment
from agentevo.environments.load import load, names

__all__ = ["BrokenContract", "acheck_environment", "check_environment", "load", "names"]
