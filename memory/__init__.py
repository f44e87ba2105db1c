"""Memory: insert, reflect and forget over a ledger that loses nothing and an index that can be rebuilt."""

from agentevo.memory.check import check_memory
from agentevo.memory.choose import Bucket, LLMPick, TopK, TwoStage, Window
from agentevo.memory.draft import Draft
from agentevo.memory.extract import Ask, Writing, lessons, rules, thoughts, workflow
from agentevo.memory.forget import Decay, Discard, Evict, Expire, retention
from agentevo.memory.insert import Extract, Insert, failed, raw, succeeded
from agentevo.memory.memory import Memory
from agentevo.memory.rank import Weights
from agentevo.memory.reconcile import Reconcile, Verdict
from agentevo.memory.reflect import Reflect
from agentevo.memory.reinforce import Credit, Reinforce
from agentevo.memory.sweep import Sweep

__all__ = [
    "Ask", "Bucket", "Credit", "Decay", "Discard", "Draft", "Evict", "Expire", "Extract", "Insert", "LLMPick",
    "Memory", "Reconcile", "Reflect", "Reinforce", "Sweep", "TopK", "TwoStage", "Verdict", "Weights", "Window",
    "Writing", "check_memory", "failed", "lessons", "raw", "retention", "rules", "succeeded", "thoughts", "workflow",
]  # fmt: skip
