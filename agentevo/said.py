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
        return _whole(asked)
    messages = [{"role": "user", "content": asked}] if isinstance(asked, str) else _messages(asked)
    last = messages[-1] if messages else {}
    prompt = last.get("content")
    if last.get("role") != "user" or not isinstance(prompt, str) or not prompt.strip():
        raise Misuse(f"an agent is asked a text, a Task, or messages that end with the user's; got {asked!r:.80}")
    earlier: list[Json] = [dict(message) for message in messages[:-1]]
    data: dict[str, Json] = {"messages": earlier} if earlier else {}
    try:
        return _whole(Task(id=secrets.token_hex(8), prompt=prompt, data=data, provenance="user"))
    except ValidationError as error:
        raise Misuse(f"the earlier messages are no JSON: {why_invalid(error)}") from error


def _whole(task: Task) -> Task:
    """Return a task that can be written down. Raise Misuse for half of a surrogate pair, which no file can hold."""
    try:
        task.model_dump_json()
    except ValueError as error:
        raise Misuse(
            f"what is asked holds half of a surrogate pair ({task.prompt!r:.80}); expected whole characters, as bytes"
            " that are no text give when they are decoded with errors='replace'"
        ) from error
    return task


def _messages(asked: object) -> list[Message]:
    """Return the messages that an agent is asked; what are no messages has none."""
    if isinstance(asked, Sequence) and all(isinstance(message, Mapping) for message in asked):
        return [dict(message) for message in asked]
    return []


def as_feedback(score: float | None, text: str, correction: str | None) -> Feedback:
    """Return what a person said as feedback; who says what would have been right says that this was not.

    Blank words are none, as the fields of a form are that nobody touched.
    """
    for name, said in (("text", text), ("correction", correction if correction is not None else "")):
        _must_be_text(name, said)
    text = text if text.strip() else ""
    correction = correction if correction and correction.strip() else None
    if score is None and correction is None and not text:
        raise Misuse("feedback says something: score=, text= or correction=")
    if score is not None and not _is_score(score):
        raise Misuse(f"score is {score!r:.80}; expected a number from 0 (wrong) to 1 (right)")
    if score == 1 and correction is not None:
        raise Misuse("a score of 1 says that it was right, a correction that it was not; give one of them")
    evidence: dict[str, Json] = {} if correction is None else {"answer": correction}
    given = 0.0 if score is None and correction is not None else score
    return Feedback(score=given, text=text, source="human", evidence=evidence)


def _must_be_text(name: str, said: object) -> None:
    if not isinstance(said, str):
        raise Misuse(f"{name} is {said!r:.80}; expected a text")
    if not said.isascii() and said.encode("utf-8", "replace").decode() != said:
        raise Misuse(f"{name} is {said!r:.80}, which holds half of a surrogate pair; expected whole characters")


def _is_score(value: object) -> bool:
    return isinstance(value, (int, float)) and 0 <= value <= 1
