"""Lessons that need no model: where somebody said what would have been right, that is what is learned."""

from __future__ import annotations

from agentevo.memory.insert import Extract, failed, succeeded
from agentevo.protocols import State
from agentevo.types import Attempt, Experience, Json

ANSWER = "answer"
"""Feedback that knows what would have been right holds it in its evidence under this name."""


def corrected(state: State, experience: Experience) -> list[Extract]:
    """Extract the task and what would have been its answer, as one example to follow; and what was tried instead."""
    task = experience.task
    found: dict[str, Extract] = {}
    for attempt in experience.attempts:
        if (answer := _right_answer(attempt)) is not None:
            about: dict[str, Json] = {
                "task": task.id, "prompt": task.prompt, "answer": answer, "tried": attempt.answer,
                "score": attempt.score,
            }  # fmt: skip
            found.setdefault(answer, Extract(f"{task.prompt}\n\n{answer}", task.prompt, about, (attempt.id,)))
    return list(found.values())


def told(state: State, experience: Experience) -> list[Extract]:
    """Extract what people said about an attempt in words, with what they had asked."""
    task = experience.task
    return [
        Extract(
            f"Asked: {task.prompt}\nSaid about the answer: {feedback.text}", task.prompt, {"task": task.id}, (a.id,)
        )
        for a in experience.attempts
        for feedback in a.feedback
        if feedback.source == "human" and feedback.text.strip()
    ]


def has_correction(experience: Experience) -> bool:
    """Say whether it is known what would have been right for something that failed, or that a person corrected."""
    known = [attempt for attempt in experience.attempts if _right_answer(attempt) is not None]
    return bool(known) and (failed(experience) or any(map(_is_corrected, known)))


def is_example(experience: Experience) -> bool:
    """Say whether something succeeded, and no person said what would have been better."""
    return succeeded(experience) and not has_correction(experience)


def is_unexplained(experience: Experience) -> bool:
    """Say whether something failed, and nobody said what would have been right, or why it was not."""
    said = any(f.text.strip() and f.source == "human" for a in experience.attempts for f in a.feedback)
    return failed(experience) and not said and not has_correction(experience)


def _is_corrected(attempt: Attempt) -> bool:
    return attempt.score != 1 and any(f.source == "human" and ANSWER in f.evidence for f in attempt.feedback)


def _right_answer(attempt: Attempt) -> str | None:
    for feedback in reversed(attempt.feedback):
        answer = feedback.evidence.get(ANSWER)
        if isinstance(answer, str) and answer.strip():
            return answer
    return None
