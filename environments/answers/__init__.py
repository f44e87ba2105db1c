"""Questions with known answers, and texts with labels, as an environment."""

from agentevo.environments.answers.checks import Check, Choice, Exact, Number, Pattern
from agentevo.environments.answers.environment import Answers

__all__ = ["Answers", "Check", "Choice", "Exact", "Number", "Pattern"]
