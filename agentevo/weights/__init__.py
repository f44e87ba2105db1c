"""From memory into weights: experience as data to train on, training, and the way back."""

from agentevo.weights.card import DataCard
from agentevo.weights.export import export_pairs, export_sft
from agentevo.weights.export_rules import Rules

__all__ = ["DataCard", "Rules", "export_pairs", "export_sft"]
