"""Environments: where an agent acts, and what says whether it acted right."""

from agentevo.environments.check import BrokenContract, acheck_environment, check_environment
from agentevo.environments.load import load, names
from agentevo.environments.recorded import Recorded
from agentevo.environments.replay import Replayed
from agentevo.environments.sandbox import Sandbox
from agentevo.environments.wrappers import OutputLimit, TimeLimit

__all__ = [
    "BrokenContract", "OutputLimit", "Recorded", "Replayed", "Sandbox", "TimeLimit", "acheck_environment",
    "check_environment", "load", "names",
]  # fmt: skip
