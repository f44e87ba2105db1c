"""SELF: the model learns to judge and to mend itself, then learns from what it mended. (Lu et al., 2023, 2310.00533)"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from pydantic import ValidationError

from agentevo.errors import Misuse
from agentevo.memory.asking import AS_DATA
from agentevo.memory.extract import evidence
from agentevo.phases.act import Sample
from agentevo.phases.combine import REFINE, Refined
from agentevo.phases.gate import HeldOut
from agentevo.phases.judge import CRITIQUE, Critique, Review
from agentevo.phases.refine import Threshold
from agentevo.phases.tasks.pool import Pool
from agentevo.protocols import Act, Gate, Judge, Recipe, State, Tasks
from agentevo.quote import fenced
from agentevo.types import Attempt, Experience, Feedback, Json, Message, Op, Record, Task, why_invalid
from agentevo.weights.policies import Train
from agentevo.weights.replay import Replay
from agentevo.weights.rows import Row

MENDED = "mended"


class Meta(Record):
    """An example of the skill: an answer, what is wrong with it in words, and the answer made better."""

    prompt: str
    answer: str
    feedback: str
    refined: str


def self(
    *,
    meta: str | Path | Sequence[Mapping[str, Json]] = (),
    tasks: int | None = None,
    online: bool = False,
    as_it_was: bool = False,
    temperature: float | None = 0.7,
    max_tokens: int | None = None,
    stop: Sequence[str] = (),
    replay: Sequence[Replay] = (),
    train: Mapping[str, Json] | None = None,
    gate: Gate | None = None,
) -> Recipe:
    """First train on examples of judging and mending; then answer, judge, mend, and train on what was mended well.

    meta: rows (prompt, answer, feedback, refined), in Python or as a file of JSON lines. With them the first turn is
    the training of that skill, and practises nothing. In each further turn the model answers tasks of which no label is
    read, says what is wrong with its answer, and mends it; the mended answers that it then finds right are trained on,
    alone and without the drafts. as_it_was: answers that it found right at once too. Run three turns or more; none
    is let in that does worse. online: mend answers when they count, too.
    """
    sample = Sample(temperature=temperature, max_tokens=max_tokens, stop=stop)
    answer = Sample(temperature=0.0, max_tokens=max_tokens, stop=stop)
    mend = Mended(sample, by=Critique(), as_it_was=as_it_was, max_tokens=max_tokens)
    skill = MetaSkill(tuple(read(meta)))
    config = {"min_real": 0.0, **(train or {})}
    return Recipe(
        tasks=AfterSkill(Pool(n=tasks), bool(skill.examples)),
        act=Refined(answer, by=Critique(), rounds=1, max_tokens=max_tokens, temperature=0.0) if online else answer,
        practice=mend,
        judge=[OfAnswer(Critique())],
        refine=[Threshold(1.0)],
        update=[Staged(Train("sft", turns="answer", replay=[skill, *replay], config=config), bool(skill.examples))],
        gate=gate or HeldOut(),
    )


def read(meta: str | Path | Sequence[Mapping[str, Json]]) -> list[Meta]:
    """Return examples as they are given, or from a file of JSON lines; raise Misuse where one is none."""
    try:
        lines = Path(meta).read_text("utf-8").splitlines() if isinstance(meta, str | Path) else []
        given = [json.loads(line) for line in lines if line.strip()] if isinstance(meta, str | Path) else meta
        return [Meta.model_validate(dict(row)) for row in given]
    except (OSError, ValueError, TypeError) as error:
        why = why_invalid(error) if isinstance(error, ValidationError) else str(error)
        raise Misuse(f"meta= takes rows of prompt, answer, feedback and refined: {why}") from error


@dataclass(frozen=True)
class AfterSkill:
    """No task in the first turn, where there is a skill to be learned in it; then those of another strategy."""

    tasks: Tasks
    has_skill: bool

    async def __call__(self, state: State) -> list[Task]:
        return [] if self.has_skill and state.round == 0 else await self.tasks(state)


@dataclass(frozen=True)
class Staged:
    """Train the skill alone in the first turn, where there is one; then only where a turn has rows of its own."""

    train: Train
    has_skill: bool

    async def __call__(self, state: State, experiences: Sequence[Experience]) -> list[Op]:
        alone = self.has_skill and state.round == 0
        return await (replace(self.train, at_least=0) if alone else self.train)(state, experiences)


@dataclass(frozen=True)
class Mended:
    """Answer, judge, and mend once; what was right at once, or was not mended, is given only if asked for."""

    act: Act
    by: Judge
    as_it_was: bool = False
    max_tokens: int | None = None

    async def __call__(self, state: State, task: Task) -> list[Attempt]:
        return [done for first in await self.act(state, task) for done in await self._mended(state, first)]

    async def _mended(self, state: State, first: Attempt) -> list[Attempt]:
        async def already(state: State, task: Task) -> list[Attempt]:
            return [first]

        mend = Refined(already, by=self.by, rounds=1, again="words", max_tokens=self.max_tokens)
        (last,) = await mend(state, first.task)
        if len(last.messages) > len(first.messages):
            return [last.told(Feedback(verdict=MENDED, source="rule"))]
        return [last.but(feedback=())] if self.as_it_was else []


@dataclass(frozen=True)
class OfAnswer:
    """Have attempts judged by their answers alone: a wrong draft, and its review, are not held against them."""

    by: Judge

    async def __call__(self, state: State, experience: Experience) -> Experience:
        bare = tuple(a.but(messages=(*a.messages[: a.prompt], _assistant(a.answer))) for a in experience.attempts)
        judged = await self.by(state, experience.but(attempts=bare))
        told = (a.but(feedback=seen.feedback) for a, seen in zip(experience.attempts, judged.attempts, strict=True))
        return experience.but(attempts=tuple(told))


@dataclass(frozen=True)
class MetaSkill:
    """Three rows of each example, as this framework asks: judge the answer, mend it, and answer well at once."""

    examples: tuple[Meta, ...]

    async def __call__(self, state: State, own: int) -> list[Row]:
        return [row for example in self.examples for row in rows_of(example)]


def rows_of(example: Meta) -> list[Row]:
    """Return an example as rows to train on; only what is to be learned from it is a completion."""
    task = Task(id="meta", prompt=example.prompt)
    tried = Attempt(id="meta", task=task, answer=example.answer)
    asked, drafted = _user(example.prompt), _assistant(example.answer)
    judging: list[Message] = [
        {"role": "system", "content": f"{CRITIQUE}\n{AS_DATA}".strip()},
        _user(evidence(Experience(task=task, attempts=(tried,)))),
    ]
    review = Review(text=example.feedback, verdict="wrong")
    said = fenced("\n".join((review.verdict, review.text)), "review")
    mending = f"{REFINE.strip()}\n{said}"
    return [
        _row(judging, review.model_dump_json()),
        _row([asked, drafted, _user(mending)], example.refined),
        _row([asked], example.refined),
    ]


def _row(prompt: list[Message], completion: str) -> Row:
    return {"prompt": [*prompt], "completion": [_assistant(completion)], "synthetic": False}


def _user(text: str) -> Message:
    return {"role": "user", "content": text}


def _assistant(text: str) -> Message:
    return {"role": "assistant", "content": text}
