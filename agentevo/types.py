"""The records everything else speaks in: frozen, validated, and equal to themselves after a trip through JSON."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal, Self, TypeAlias, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, JsonValue, ValidationError, model_validator

T = TypeVar("T", bound=BaseModel)

ABILITIES = (
    "instruction following", "reasoning", "math", "coding", "role-play", "knowledge",
    "planning", "tool use", "embodied control", "communication",
)  # fmt: skip
"""Abilities the survey names (section 3.1); any other text is as good."""

DIRECTIONS = ("performance", "adaptation to feedback", "knowledge expansion", "safety")
"""Directions of evolution the survey names (section 3.2); any other text is as good."""


def _finite(value: JsonValue) -> JsonValue:
    """Refuse what JSON cannot carry: NaN and the infinities."""
    match value:
        case float() if not math.isfinite(value):
            raise ValueError("NaN and infinity cannot be stored as JSON")
        case list():
            for element in value:
                _finite(element)
        case dict():
            for element in value.values():
                _finite(element)
    return value


Json: TypeAlias = Annotated[JsonValue, AfterValidator(_finite)]
Score: TypeAlias = Annotated[float, Field(ge=0, le=1)]
Message: TypeAlias = dict[str, Json]
"""One chat message as providers take it: role, content, perhaps tool_calls. What was sent is what is kept."""
ChatMessage: TypeAlias = Mapping[str, object]
"""The same where a caller hands it in: any mapping will do."""


class Record(BaseModel):
    """A frozen value with named fields; unknown fields are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    def but(self, **changes: object) -> Self:
        """Return a copy with some fields changed, validated again."""
        return type(self).model_validate({**dict(self), **changes})


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
    data: dict[str, Json] = {}
    provenance: str = ""
    epoch: int = 0


# --- what a model says


class Usage(Record):
    """What model calls cost; usages add up."""

    calls: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cost_usd: float = 0.0
    seconds: float = 0.0

    @property
    def tokens(self) -> int:
        return self.prompt_tokens + self.completion_tokens

    def __add__(self, other: Usage) -> Usage:
        return Usage.model_construct(
            calls=self.calls + other.calls,
            prompt_tokens=self.prompt_tokens + other.prompt_tokens,
            completion_tokens=self.completion_tokens + other.completion_tokens,
            cost_usd=self.cost_usd + other.cost_usd,
            seconds=self.seconds + other.seconds,
        )


class ToolCall(Record):
    """A call the model asks for; the arguments are already parsed."""

    id: str
    name: str
    arguments: dict[str, Json] = {}


class TokenLogprob(Record):
    """One generated token, its log-probability, and the likeliest others."""

    token: str
    logprob: float
    top: dict[str, float] = {}


class Tool(Record):
    """A tool as a model sees it; `parameters` is a JSON schema."""

    name: str
    description: str = ""
    parameters: dict[str, Json] = {"type": "object", "properties": {}}
    destructive: bool = False

    def as_openai(self) -> dict[str, Any]:
        """Return the tool in the shape that chat APIs take."""
        function = {"name": self.name, "description": self.description, "parameters": self.parameters}
        return {"type": "function", "function": function}


Finish: TypeAlias = Literal["stop", "length", "tool_calls", "content_filter", "other"]


class Reply(Record):
    """What a model answered: one text a sample; tool calls and log-probabilities belong to the first."""

    texts: tuple[str, ...] = ("",)
    tool_calls: tuple[ToolCall, ...] = ()
    usage: Usage = Usage()
    finish: Finish = "stop"
    model: str = ""
    logprobs: tuple[TokenLogprob, ...] | None = None

    @property
    def text(self) -> str:
        return self.texts[0] if self.texts else ""

    def parsed(self, schema: type[T]) -> T:
        """Return the first text as an instance of the schema that was asked for."""
        return schema.model_validate_json(self.text)


# --- what happened

FeedbackSource: TypeAlias = Literal["environment", "human", "rule", "judge", "peer", "self"]
TRUSTED_FIRST: tuple[FeedbackSource, ...] = ("environment", "human", "rule", "judge", "peer", "self")


class Feedback(Record):
    """What somebody or something thought of an attempt."""

    score: Score | None = None
    verdict: str = ""
    text: str = ""
    source: FeedbackSource = "environment"
    evidence: dict[str, Json] = {}


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
    bare: dict[str, tuple[Message, ...]] = {}
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


# --- what is remembered

Kind: TypeAlias = Literal["fact", "experience", "lesson", "note", "code", "prompt", "adapter"]
Status: TypeAlias = Literal["live", "quarantined", "forgotten"]
RECALLED_KINDS: tuple[Kind, ...] = ("fact", "experience", "lesson", "code")
"""What recall covers unless it is asked for something else."""


class Item(Record):
    """One thing in memory, with where it came from, how much it is trusted, and how it has served."""

    id: str
    namespace: str = "default"
    kind: Kind = "fact"
    text: str
    key_text: str | None = None
    """What recall matches against, where that is not the text itself."""
    metadata: dict[str, Json] = {}
    source: str = "user"
    trust: Score = 1.0
    status: Status = "live"
    pinned: bool = False
    created_at: float
    expires_at: float | None = None
    strength: float = 1.0
    last_used_at: float | None = None
    uses: int = 0
    importance: Score = 0.5
    wins: float = 0.0
    losses: float = 0.0
    links: tuple[str, ...] = ()
    supersedes: str | None = None
    derived_from: tuple[str, ...] = ()

    @property
    def utility(self) -> float:
        """The expected share of uses that helped: the mean of a Beta posterior with a flat prior."""
        return (self.wins + 1) / (self.wins + self.losses + 2)


class Hit(Record):
    """An item that recall found, its score, and the parts the score is made of."""

    item: Item
    score: float
    parts: dict[str, float] = {}


Verb: TypeAlias = Literal[
    "insert", "edit", "forget", "restore", "pin", "unpin", "quarantine", "release", "reinforce", "link", "supersede"
]


class Op(Record):
    """A change to memory, as data. `key` makes a repeated change replace the first; `reason` is journaled."""

    verb: Verb
    id: str
    item: Item | None = None
    """The new item of an insert, or the item that supersedes `id`."""
    changes: dict[str, Json] = {}
    """Fields that an edit sets, or counts that a reinforcement adds."""
    to: tuple[str, ...] = ()
    """The items that a link leads to; of what is forgotten because it is untrue, what holds instead."""
    key: str | None = None
    reason: str = ""

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if (self.item is not None) != (self.verb in ("insert", "supersede")):
            raise ValueError("insert and supersede carry an item, the other verbs do not")
        if self.verb == "insert" and self.item is not None and self.item.id != self.id:
            raise ValueError(f"insert of {self.id!r} carries the item {self.item.id!r}")
        if self.verb != "forget" and (self.verb == "link") != bool(self.to):
            raise ValueError("a link says what it leads to, a forget may say what holds instead, no other verb does")
        return self


class Transaction(Record):
    """A committed group of changes: who made it, why, and what was skipped because it had changed meanwhile."""

    id: str
    namespace: str
    actor: str
    reason: str = ""
    key: str | None = None
    at: float
    items: tuple[str, ...] = ()
    skipped: tuple[str, ...] = ()


# --- how well it went


class Report(Record):
    """The outcome of an evaluation, or of a turn of the cycle."""

    scores: dict[str, float] = {}
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
    bare: dict[str, tuple[Message, ...]] = {}
    """Of a whole prompt: what it would be without what is named, as on an Attempt."""


# --- where it happens


class Outcome(Record):
    """What a step in an environment led to."""

    observation: str
    reward: float = 0.0
    terminated: bool = False
    truncated: bool = False
    info: dict[str, Json] = {}


class Card(Record):
    """What an environment is: its licence, its splits, and what doing nothing and doing right score."""

    name: str
    version: str
    description: str = ""
    instruction: str = ""
    """What an agent is told before each of its tasks, in a sentence or two."""
    licence: str = ""
    ability: str = ""
    splits: dict[str, int] = {}
    null_score: float | None = None
    gold_score: float | None = None
    trusted: bool = False
    """True where episodes run in this process rather than behind a wall."""


def why_invalid(error: ValidationError) -> str:
    """Return a validation error as one line: field, what is wrong, and the value."""
    lines = (f"{'.'.join(map(str, e['loc'])) or 'value'}: {e['msg']} (got {e['input']!r:.80})" for e in error.errors())
    return "; ".join(lines)


def as_messages(prompt: str | Mapping[str, Json] | list[Message] | tuple[Message, ...]) -> list[Message]:
    """Return what a caller gave as chat messages: a text is one user message."""
    if isinstance(prompt, str):
        return [{"role": "user", "content": prompt}]
    return [dict(prompt)] if isinstance(prompt, Mapping) else [dict(message) for message in prompt]
