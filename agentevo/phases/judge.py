"""Judges: what is thought of attempts. The environment knows; a vote and a critic estimate, and say who they are."""

from __future__ import annotations

import json
import logging
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import KW_ONLY, dataclass
from typing import Literal, get_args

from pydantic import BaseModel

from agentevo.errors import BadReply, Misuse, UnknownName
from agentevo.memory.asking import asked
from agentevo.memory.extract import evidence
from agentevo.protocols import FeedbackLevel, Golden, State
from agentevo.together import together
from agentevo.types import Attempt, Experience, Feedback, FeedbackSource, Json, Message, Task

LOG = logging.getLogger(__name__)

RIGHT, WRONG = "right", "wrong"
MAJORITY, MINORITY = "majority", "minority"

KNOWN: tuple[FeedbackSource, ...] = ("environment", "human", "rule")
"""Who scored an attempt so that the environment is not asked again; what others say of it are estimates."""


@dataclass(frozen=True)
class Verify:
    """Ask the environment how right each attempt is. What was scored by it, a person or a rule already is left alone.

    weak: the score and the verdict. strong: also what the environment says about it and, after a failure, what would
    have been right where it knows (`Golden`): in words, in evidence["answer"], and where that takes several actions
    in evidence["actions"]. none: nothing is asked or told.
    """

    feedback: FeedbackLevel = "weak"

    def __post_init__(self) -> None:
        if self.feedback not in get_args(FeedbackLevel):
            raise UnknownName("feedback level", str(self.feedback), get_args(FeedbackLevel))

    async def __call__(self, state: State, experience: Experience) -> Experience:
        if self.feedback == "none":
            return experience
        told = (self._told(state, experience.task, attempt) for attempt in experience.attempts)
        return experience.but(attempts=tuple(await together(told)))

    async def _told(self, state: State, task: Task, attempt: Attempt) -> Attempt:
        if any(f.score is not None and f.source in KNOWN for f in attempt.feedback):
            return attempt
        found = await state.environment.verify(task, attempt)
        if found.score is not None and not found.verdict:
            found = found.but(verdict=RIGHT if found.score >= 1 else WRONG)
        if self.feedback == "weak":
            return attempt.told(Feedback(score=found.score, verdict=found.verdict, source=found.source))
        if found.score is not None and found.score < 1 and isinstance(state.environment, Golden):
            found = _corrected(found, state.environment.gold(task))
        return attempt.told(found)


def _corrected(feedback: Feedback, actions: Sequence[Message]) -> Feedback:
    """Return feedback that also says what would have been right."""
    said = [text for action in actions if (text := _said(action))]
    if not said:
        return feedback
    right: dict[str, Json] = {"answer": said[-1]}
    text = f"The right answer is: {said[0]}"
    if len(said) > 1:
        right["actions"] = [dict(action) for action in actions]
        text = "\n".join(["What would have been right:", *(f"{n}. {one}" for n, one in enumerate(said, 1))])
    words = "\n".join(part for part in (feedback.text, text) if part)
    return feedback.but(text=words, evidence={**feedback.evidence, **right})


def _said(action: Message) -> str:
    """Return an assistant's message in words: what it says, and the calls it makes."""
    content, calls = action.get("content"), action.get("tool_calls")
    said = [content.strip()] if isinstance(content, str) else []
    said += [_called(call) for call in calls] if isinstance(calls, list) else []
    return "\n".join(part for part in said if part)


def _called(call: Json) -> str:
    inner = call.get("function", call) if isinstance(call, dict) else None
    if not isinstance(inner, dict):
        return ""
    arguments = inner.get("arguments", {})
    return f"{inner.get('name', '')}({arguments if isinstance(arguments, str) else json.dumps(arguments)})"


def plain(answer: str) -> str:
    """Return an answer without what makes no difference: case, spacing, a full stop at the end."""
    return " ".join(answer.casefold().split()).removesuffix(".").rstrip()


@dataclass(frozen=True)
class Vote:
    """Score each attempt by the share of the attempts that agree with it; those without an answer agree with nobody.

    Answers agree where `normalise` makes the same text of them. The verdict says which of them is the majority's: of
    equals, the answer given first.
    """

    normalise: Callable[[str], str] = plain

    def __post_init__(self) -> None:
        if not callable(self.normalise):
            raise Misuse(f"normalise is {self.normalise!r}; expected a function of an answer, such as str.strip")

    async def __call__(self, state: State, experience: Experience) -> Experience:
        answers = [self.normalise(attempt.answer) for attempt in experience.attempts]
        votes = Counter(answer for answer in answers if answer)
        winner = max(votes, key=votes.__getitem__, default="")
        judged = (
            attempt.told(_counted(votes[answer], len(answers), answer != "" and answer == winner))
            for attempt, answer in zip(experience.attempts, answers, strict=True)
        )
        return experience.but(attempts=tuple(judged))


def _counted(votes: int, of: int, is_majority: bool) -> Feedback:
    counts: dict[str, Json] = {"votes": votes, "of": of}
    verdict = MAJORITY if is_majority else MINORITY
    return Feedback(score=votes / of, verdict=verdict, source="self", evidence=counts)


class Review(BaseModel):
    """What a critic says: first why, then what follows from it."""

    text: str
    verdict: Literal["right", "wrong"]


CRITIQUE = """
Read the task and the answer that was given. Say in one to three sentences what is wrong with the answer and how to
correct it: check facts, steps, and the form that was asked for. Then give your verdict: "right" where nothing needs to
change, else "wrong".
"""


@dataclass(frozen=True)
class Critique:
    """Let the model read each attempt and say what is wrong with it; right counts as 1, wrong as 0.

    A `stop` phrase in what it says means that nothing needs to change, whatever the verdict. A critic does not see
    what others said of the attempt; where its reply cannot be read twice over, the attempt stays as it was.
    """

    prompt: str = CRITIQUE
    _: KW_ONLY
    stop: str = ""

    def __post_init__(self) -> None:
        if not self.prompt.strip():
            raise Misuse("Critique needs a prompt that says what to look for; leave it out for the one that is shipped")

    async def __call__(self, state: State, experience: Experience) -> Experience:
        told = (self._told(state, experience.task, attempt) for attempt in experience.attempts)
        return experience.but(attempts=tuple(await together(told)))

    async def _told(self, state: State, task: Task, attempt: Attempt) -> Attempt:
        alone = attempt.model_copy(update={"feedback": ()})
        prompt = (
            f'{self.prompt.strip()}\nWhere nothing needs to change, say "{self.stop}".' if self.stop else self.prompt
        )
        try:
            review = await asked(state.model, prompt, evidence(Experience(task=task, attempts=(alone,))), Review)
        except BadReply as error:
            LOG.warning("a critique of attempt %s could not be read and is left out: %s", attempt.id, error)
            return attempt
        is_right = review.verdict == RIGHT or (self.stop != "" and self.stop.casefold() in review.text.casefold())
        verdict = RIGHT if is_right else WRONG
        return attempt.told(Feedback(score=float(is_right), verdict=verdict, text=review.text, source="judge"))
