"""What people say to an agent, as records: what is asked becomes a task, what is thought of the answer feedback."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from typing import TypeAlias

from pydantic import ValidationError

from agentevo.errors import Misuse
from agentevo.types import Feedback, Json, Message, Task, why_invalid

Asked: TypeAlias = str | Task | Sequence[Message]
"""What an agent is asked: a text, a task, or the messages of a conversation, the last of them the user's."""


def as_task(asked: Asked) -> Task:
    """Return what an agent is asked as a task; earlier messages of a conversation stand in its data."""
    if isinstance(asked, Task):
        return asked
    messages = [{"role": "user", "content": asked}] if isinstance(asked, str) else _messages(asked)
    last = messages[-1] if messages else {}
    prompt = last.get("content")
    if last.get("role") != "user" or not isinstance(prompt, str) or not prompt.strip():
        raise Misuse(f"an agent is asked a text, a Task, or messages that end with the user's; got {asked!r:.80}")
    earlier: list[Json] = [dict(message) for message in messages[:-1]]
    data: dict[str, Json] = {"messages": earlier} if earlier else {}
    try:
        return Task(id=secrets.token_hex(8), prompt=prompt, data=data, provenance="user")
    except ValidationError as error:
        raise Misuse(f"the earlier messages are no JSON: {why_invalid(error)}") from error


def _messages(asked: object) -> list[Message]:
    """Return the messages that an agent is asked; what are no messages has none."""
    if isinstance(asked, Sequence) and all(isinstance(message, Mapping) for message in asked):
        return [dict(message) for message in asked]
    return []


def as_feedback(score: float | None, text: str, correction: str | None) -> Feedback:
    """Return what a person said as feedback; who says what would have been right says that this was not."""
    for name, said in (("text", text), ("correction", correction if correction is not None else "")):
        if not isinstance(said, str):
            raise Misuse(f"{name} is {said!r:.80}; expected a text")
    if score is None and correction is None and not text.strip():
        raise Misuse("feedback says something: score=, text= or correction=")
    if score is not None and not _is_score(score):
        raise Misuse(f"score is {score!r:.80}; expected a number from 0 (wrong) to 1 (right)")
    if score == 1 and correction is not None:
        raise Misuse("a score of 1 says that it was right, a correction that it was not; give one of them")
    evidence: dict[str, Json] = {} if correction is None else {"answer": correction}
    given = 0.0 if score is None and correction is not None else score
    return Feedback(score=given, text=text, source="human", evidence=evidence)


def _is_score(value: object) -> bool:
    return isinstance(value, (int, float)) and 0 <= value <= 1
