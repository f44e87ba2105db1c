"""Text worlds: an agent reads what is to be seen, and writes commands."""

from agentevo.environments.text.express import TextWorldExpress
from agentevo.environments.text.java import MissingJava
from agentevo.environments.text.reasoning import ReasoningGym
from agentevo.environments.text.science import ScienceWorld

__all__ = ["MissingJava", "ReasoningGym", "ScienceWorld", "TextWorldExpress"]
