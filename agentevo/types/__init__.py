"""The records everything else speaks in: frozen, validated, and equal to themselves after a trip through JSON.

record.py     what they are made of
work.py       what is to be done and where, what was tried, and what was thought of it
replies.py    what a model is offered, what it says, and what that costs
items.py      what is remembered, how it is found, and how it changes
"""

from __future__ import annotations

from agentevo.types.items import RECALLED_KINDS, Hit, Item, Kind, Op, Status, Transaction, Verb
from agentevo.types.record import ChatMessage, Json, Message, Record, Score, as_messages, why_invalid
from agentevo.types.replies import Finish, Reply, TokenLogprob, Tool, ToolCall, Usage
from agentevo.types.work import (
    ABILITIES,
    DIRECTIONS,
    MODEL_FAILED,
    TRUSTED_FIRST,
    Attempt,
    Card,
    Decision,
    Experience,
    Feedback,
    FeedbackSource,
    Objective,
    Outcome,
    Report,
    Section,
    Step,
    Task,
)

__all__ = [
    "ABILITIES",
    "DIRECTIONS",
    "MODEL_FAILED",
    "RECALLED_KINDS",
    "TRUSTED_FIRST",
    "Attempt",
    "Card",
    "ChatMessage",
    "Decision",
    "Experience",
    "Feedback",
    "FeedbackSource",
    "Finish",
    "Hit",
    "Item",
    "Json",
    "Kind",
    "Message",
    "Objective",
    "Op",
    "Outcome",
    "Record",
    "Reply",
    "Report",
    "Score",
    "Section",
    "Status",
    "Step",
    "Task",
    "TokenLogprob",
    "Tool",
    "ToolCall",
    "Transaction",
    "Usage",
    "Verb",
    "as_messages",
    "why_invalid",
]
