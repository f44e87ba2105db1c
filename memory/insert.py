"""Insert: experiences become items. What is written is an extractor's business: raw, asked of a model, or derived."""

from __future__ import annotations

import asyncio
import inspect
import logging
import math
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field
from typing import TypeAlias

from agentevo.errors import BadReply, Misuse, ModelError
from agentevo.memory.admit import admitted, shows, too_long, unfit
from agentevo.memory.arguments import is_number, is_true, must_be_plain
from agentevo.memory.asking import failure, sources
from agentevo.memory.forget import kinds_of
from agentevo.memory.orders import gives_orders
from agentevo.memory.trust import TRUST, lowest, trust_of
from agentevo.protocols import State
from agentevo.types import Attempt, Experience, FeedbackSource, Item, Json, Kind, Op

LOG = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Extract:
    """A text to remember, what recall matches it by, and the attempts it rests on (none named: all of them)."""

    text: str
    key_text: str | None = None
    metadata: Mapping[str, Json] = field(default_factory=dict)
    attempts: tuple[str, ...] = ()


Extractor: TypeAlias = Callable[[State, Experience], list[Extract] | Awaitable[list[Extract]]]

FEEDBACK_TRUST: Mapping[FeedbackSource, float] = {
    "environment": 0.7, "human": 1.0, "rule": 0.7, "judge": 0.6, "peer": 0.5, "self": 0.5,
}  # fmt: skip
"""How far what was learned from feedback is trusted, by who gave it."""


def succeeded(experience: Experience) -> bool:
    """Say whether an attempt was scored, and the best one at least one half."""
    return _judged(experience) and experience.score >= 0.5


def failed(experience: Experience) -> bool:
    """Say whether attempts were scored, and none at least one half; what nobody judged has not failed."""
    return _judged(experience) and experience.score < 0.5


def _judged(experience: Experience) -> bool:
    return any(attempt.score is not None for attempt in experience.attempts)


def best(experience: Experience) -> Attempt | None:
    """Return the attempt with the highest score, of equals the first; an attempt nobody scored counts as 0."""
    return max(experience.attempts, key=lambda attempt: attempt.score or 0.0, default=None)


def raw(state: State, experience: Experience) -> list[Extract]:
    """Extract the task and its best answer, found again by the task; recalled, it can stand as turns of a chat."""
    attempt, task = best(experience), experience.task
    if attempt is None or not attempt.answer.strip():
        return []
    about: dict[str, Json] = {"task": task.id, "prompt": task.prompt, "answer": attempt.answer, "score": attempt.score}
    return [Extract(f"{task.prompt}\n\n{attempt.answer}", task.prompt, about, (attempt.id,))]


@dataclass(frozen=True)
class Insert:
    """Insert what an extractor finds in each experience that `when` lets through.

    The item is derived from the attempts it rests on and the items they used, and trusted no more than these, than
    the source, and than whoever judged. Where a tool's output tried to give orders, it is trusted as a tool's output.
    A model's reply that cannot be read is asked for again, then recorded as a failed insertion. Where the model fails
    at one experience, what the others gave is kept.
    """

    extract: Extractor = raw
    _: KW_ONLY
    when: Callable[[Experience], bool] | None = None
    kind: Kind = "experience"
    source: str = "agent"
    trust: float | None = None
    importance: float = 0.5
    lives_s: float | None = None
    """After so many seconds the item expires."""

    def __post_init__(self) -> None:
        if not callable(self.extract):
            raise Misuse(f"extract is {self.extract!r}; expected a callable of (state, experience), such as raw")
        if self.when is not None and not callable(self.when):
            raise Misuse(f"when is {self.when!r}; expected a function of an experience, such as failed")
        if self.when is not None:
            must_be_plain("when", self.when)
        kinds_of(self.kind)
        for name, value in (("trust", self.trust), ("importance", self.importance)):
            if value is not None and not (is_number(value) and 0 <= value <= 1):
                raise Misuse(f"{name} is {value!r}; expected a number from 0 to 1")
        if self.lives_s is not None and not (is_number(self.lives_s) and 0 < self.lives_s < math.inf):
            raise Misuse(f"lives_s is {self.lives_s!r}; expected a number of seconds above 0")

    async def __call__(self, state: State, experiences: Sequence[Experience]) -> list[Op]:
        chosen = [x for x in experiences if self.when is None or is_true("when", self.when(x))]
        found = await asyncio.gather(*(self._tried(state, experience) for experience in chosen))
        ops = [op for made in found if not isinstance(made, ModelError) for op in made]
        error = next((made for made in found if isinstance(made, ModelError)), None)
        if error is not None and not ops:
            raise error
        return ops

    async def _tried(self, state: State, experience: Experience) -> list[Op] | ModelError:
        try:
            return await self._ops(state, experience)
        except ModelError as error:
            LOG.warning("nothing is inserted from task %s: %s", experience.task.id, error)
            return error

    async def _ops(self, state: State, experience: Experience) -> list[Op]:
        used = await sources(state, [name for attempt in experience.attempts for name in attempt.used])
        attempts = [attempt.id for attempt in experience.attempts]
        try:
            extracts = self.extract(state, experience)
            if inspect.isawaitable(extracts):
                extracts = await extracts
        except BadReply as error:
            return [failure(state, "insertion", error, [*attempts, *used], used)]
        items = (self._item(state, experience, one, used) for one in extracts if not unfit(one.text))
        ops = [Op(verb="insert", id=i.id, item=i, reason=f"from task {experience.task.id}") for i in items]
        # What an agent says is no mistake of the caller's: it ends no run, and the attempt itself is kept anyway.
        long = (BadReply(why) for one in extracts if (why := too_long(one.text)))
        return [*ops, *(failure(state, "insertion", error, [*attempts, *used], used) for error in long)]

    def _item(self, state: State, experience: Experience, extract: Extract, used: Mapping[str, Item]) -> Item:
        attempts = [a for a in experience.attempts if not extract.attempts or a.id in extract.attempts]
        parents = [name for attempt in attempts for name in attempt.used if name in used]
        fields: dict[str, object] = {
            "kind": self.kind, "source": self.source, "metadata": dict(extract.metadata),
            "trust": lowest(trust_of(self.source) if self.trust is None else self.trust, map(_trust, attempts)),
            "importance": self.importance, "key_text": extract.key_text if shows(extract.key_text or "") else None,
            "derived_from": tuple(dict.fromkeys([*(attempt.id for attempt in attempts), *parents])),
            "expires_at": None if self.lives_s is None else state.now + self.lives_s,
        }  # fmt: skip
        return admitted([extract.text], fields, state.memory.namespace, state.now, used.get)[0]


def _trust(attempt: Attempt) -> float:
    """Return how far what happened in an attempt is trusted."""
    said = (str(message.get("content", "")) for message in attempt.messages if message.get("role") == "tool")
    outside = [TRUST["tool"]] if any(map(gives_orders, said)) else []
    return lowest(1.0, [*(FEEDBACK_TRUST[feedback.source] for feedback in attempt.feedback), *outside])
