"""What is to be done, where, what was tried, and what was thought of it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal, Self, TypeAlias

from pydantic import Field, model_validator

from agentevo.types.record import Json, Message, Record, Score
from agentevo.types.replies import Tool, Usage

ABILITIES = (
    "instruction following", "reasoning", "math", "coding", "role-play", "knowledge",
    "planning", "tool use", "embodied control", "communication",
)  # fmt: skip
"""Abilities the survey names (section 3.1); any other text is as good."""

DIRECTIONS = ("performance", "adaptation to feedback", "knowledge expansion", "safety")
"""Directions of evolution the survey names (section 3.2); any other text is as good."""


SUITE = "suite"
"""The name in a task's data that says of which split beside others it is."""


# --- what is wanted


class Objective(Record):
    """What to get better at: an ability, a direction, and how its reaching is measured."""

    ability: str = ""
    direction: str = "performance"
    metric: str = "score"
    target: float | None = None
    parent: Objective | None = None


class Task(Record):
    """Something to be done. A checker in `data` is a name and its arguments, never code."""

    id: str
    prompt: str
    data: dict[str, Json] = Field(default_factory=dict)
    provenance: str = ""
    epoch: int = 0


# --- where it happens


class Outcome(Record):
    """What a step in an environment led to."""

    observation: str
    reward: float = 0.0
    terminated: bool = False
    truncated: bool = False
    info: dict[str, Json] = Field(default_factory=dict)


class Card(Record):
    """What an environment is: its licence, its splits, and what doing nothing and doing right score."""

    name: str
    version: str
    description: str = ""
    instruction: str = ""
    """What an agent is told before each of its tasks, in a sentence or two."""
    licence: str = ""
    ability: str = ""
    splits: dict[str, int] = Field(default_factory=dict)
    null_score: float | None = None
    gold_score: float | None = None
    trusted: bool = False
    """True where episodes run in this process rather than behind a wall."""


# --- what happened

FeedbackSource: TypeAlias = Literal["environment", "human", "rule", "judge", "peer", "self"]
TRUSTED_FIRST: tuple[FeedbackSource, ...] = ("environment", "human", "rule", "judge", "peer", "self")


class Feedback(Record):
    """What somebody or something thought of an attempt."""

    score: Score | None = None
    verdict: str = ""
    text: str = ""
    source: FeedbackSource = "environment"
    evidence: dict[str, Json] = Field(default_factory=dict)


class Step(Record):
    """A view of part of a trajectory: what the model said, and what came back before it spoke again."""

    action: Message
    observations: tuple[Message, ...] = ()


MODEL_FAILED = "model: "
"""What `Attempt.stopped` begins with where the model failed."""


class Attempt(Record):
    """One try at a task. The messages are the trajectory; `used` are the items that stood in its prompt."""

    id: str
    task: Task
    messages: tuple[Message, ...] = ()
    answer: str = ""
    used: tuple[str, ...] = ()
    usage: Usage = Usage()
    feedback: tuple[Feedback, ...] = ()
    prompt: int = 0
    """So many messages at the front are what it was given; what follows is what it did."""
    stopped: str = ""
    """Why it ended before its own end: a limit, a model that failed; empty where it came to an end."""
    bare: dict[str, tuple[Message, ...]] = Field(default_factory=dict)
    """Its prompt as it would have been without memory, hints, or "hints+memory"; only what stood in it is named."""
    tools: tuple[Tool, ...] = ()
    """The tools it was offered beside its messages; those described in words stand in its prompt."""

    @property
    def score(self) -> float | None:
        """The score given by the most trusted source, the latest if it spoke twice; None if nobody scored."""
        scored = [f for f in self.feedback if f.score is not None]
        if not scored:
            return None
        return min(reversed(scored), key=lambda f: TRUSTED_FIRST.index(f.source)).score

    @property
    def has_failed(self) -> bool:
        """Say whether it was the model that ended it, so that how it went says nothing about memory."""
        return self.stopped.startswith(MODEL_FAILED)

    @property
    def steps(self) -> tuple[Step, ...]:
        return tuple(_steps(self.messages[self.prompt :]))

    def told(self, *feedback: Feedback) -> Attempt:
        """Return this attempt with more feedback."""
        return self.model_copy(update={"feedback": (*self.feedback, *feedback)})


def _steps(messages: tuple[Message, ...]) -> Iterator[Step]:
    action: Message | None = None
    observations: list[Message] = []
    for message in messages:
        if message.get("role") == "assistant":
            if action is not None:
                yield Step(action=action, observations=tuple(observations))
            action, observations = message, []
        elif action is not None:
            observations.append(message)
    if action is not None:
        yield Step(action=action, observations=tuple(observations))


class Experience(Record):
    """All attempts at one task: what is judged, refined, stored, exported, trained on and written as a result."""

    task: Task
    attempts: tuple[Attempt, ...] = ()
    pairs: tuple[tuple[str, str], ...] = ()
    """Preferences among the attempts, by id: the better one, then the worse one."""

    @model_validator(mode="after")
    def _pairs_name_attempts(self) -> Self:
        known = {attempt.id for attempt in self.attempts}
        strangers = {name for pair in self.pairs for name in pair} - known
        if strangers:
            raise ValueError(f"pairs name attempts that are not here: {', '.join(sorted(strangers))}")
        return self

    @property
    def score(self) -> float:
        """The best score among the attempts; an attempt nobody scored counts as 0."""
        return max((attempt.score or 0.0 for attempt in self.attempts), default=0.0)


# --- how well it went


class Report(Record):
    """The outcome of an evaluation, or of a turn of the cycle."""

    scores: dict[str, float] = Field(default_factory=dict)
    """Mean score an ability."""
    experiences: tuple[Experience, ...] = ()
    """The held-out tasks, as they were answered."""
    practised: tuple[Experience, ...] = ()
    """What was attempted in order to learn, judged and refined."""
    cost: Usage = Usage()
    alarms: tuple[str, ...] = ()
    accepted: bool = True
    reason: str = ""

    @property
    def score(self) -> float:
        """The mean over all experiences; without any, the mean over the abilities."""
        values = [x.score for x in self.experiences] or list(self.scores.values())
        return sum(values) / len(values) if values else 0.0


class Decision(Record):
    """Whether a draft may replace what is there, and why."""

    accepted: bool
    reason: str


class Section(Record):
    """Part of a prompt: chat messages, and the ids of the items that stand in them."""

    messages: tuple[Message, ...] = ()
    used: tuple[str, ...] = ()
    bare: dict[str, tuple[Message, ...]] = Field(default_factory=dict)
    """Of a whole prompt: what it would be without what is named, as on an Attempt."""
