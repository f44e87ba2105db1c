"""Programming tasks whose solutions run in the sandbox, and whose hidden tests score."""

from agentevo.environments.code.environment import Code
from agentevo.environments.code.library import HouseLibrary
from agentevo.environments.code.suites import MBPP, Exercism, HumanEval, LeetCode
from agentevo.environments.code.task import CodeTask

__all__ = ["MBPP", "Code", "CodeTask", "Exercism", "HouseLibrary", "HumanEval", "LeetCode"]
