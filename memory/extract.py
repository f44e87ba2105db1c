"""Extractors that ask a model (lessons, rules, thoughts, anything), and one that needs none (workflow)."""

from __future__ import annotations

import inspect
import json
import re
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass

from pydantic import BaseModel, ConfigDict, Field

from agentevo.errors import Misuse
from agentevo.memory.admit import shows
from agentevo.memory.asking import asked
from agentevo.memory.insert import Extract, best, succeeded
from agentevo.memory.named_secrets import masked_value
from agentevo.protocols import State
from agentevo.quote import fenced
from agentevo.types import Attempt, Experience, Json, Message, Step

# --- asked of a model


class Writing(BaseModel, ABC):
    """What a model is asked to write about an experience; `extracts` says what is remembered of it."""

    model_config = ConfigDict(frozen=True)

    @abstractmethod
    def extracts(self) -> list[Extract]: ...


class Texts(Writing):
    """Texts as they are."""

    texts: list[str] = Field(json_schema_extra={"maxItems": 5})

    def extracts(self) -> list[Extract]:
        return [Extract(text) for text in self.texts]


@dataclass(frozen=True)
class Ask:
    """Let a model write texts about an experience: at most so many, found again by the task unless by="text"."""

    prompt: str
    schema: type[Writing] = Texts
    _: KW_ONLY
    most: int = 3
    by: str = "task"

    def __post_init__(self) -> None:
        if not self.prompt.strip():
            raise Misuse("Ask needs a prompt that says what to write")
        if inspect.isabstract(self.schema) or not issubclass(self.schema, Writing):
            raise Misuse(f"schema is {self.schema!r}; expected a class derived from Writing that defines extracts")
        if self.most < 1 or self.by not in ("task", "text"):
            raise Misuse(f"Ask(most={self.most!r}, by={self.by!r}): expected most from 1 up, and by 'task' or 'text'")

    async def __call__(self, state: State, experience: Experience) -> list[Extract]:
        if not experience.attempts:
            return []
        written = await asked(state.model, self.prompt, evidence(experience), self.schema)
        task, shown = experience.task, tuple(attempt.id for attempt in _shown(experience.attempts))
        return [
            Extract(
                extract.text,
                extract.key_text or (task.prompt if self.by == "task" else None),
                {"task": task.id, **extract.metadata},
                extract.attempts or shown,
            )
            for extract in written.extracts()[: self.most]
        ]


class Lesson(BaseModel):
    title: str
    description: str
    content: str


class Lessons(Writing):
    """Lessons as ReasoningBank keeps them."""

    lessons: list[Lesson] = Field(json_schema_extra={"maxItems": 3})

    def extracts(self) -> list[Extract]:
        return [
            Extract(f"{one.title}: {one.description}\n{one.content}", metadata={"title": one.title})
            for one in self.lessons
            if shows(one.title + one.description + one.content)
        ]


class Rules(Writing):
    """Rules as TRAN keeps them."""

    rules: list[str] = Field(json_schema_extra={"maxItems": 3})

    def extracts(self) -> list[Extract]:
        return [Extract(rule) for rule in self.rules]


class Thought(BaseModel):
    head: str
    relation: str
    tail: str


class Thoughts(Writing):
    """Relations between two things, as Think-in-Memory keeps them."""

    thoughts: list[Thought] = Field(json_schema_extra={"maxItems": 10})

    def extracts(self) -> list[Extract]:
        return [
            Extract(
                f"{t.head} {t.relation} {t.tail}", metadata={"head": t.head, "relation": t.relation, "tail": t.tail}
            )
            for t in self.thoughts
        ]


LESSONS = """
Read what was asked, what was tried, and how it was judged. Write at most three lessons that will help with other tasks
of this kind: from what succeeded, what to do again; from what failed, what to avoid and what to do instead. Each has a
short title, one sentence that says when it applies, and the lesson itself in one to three sentences. Name no detail
that belongs to this task alone. If there is nothing to learn, write none.
"""
RULES = """
An answer was wrong, or could have been. Read the task, the answer and what was said about it. Find the reasons for the
mistake, generalise them, and write at most three rules of the form "If ..., then ..." that would have prevented it and
that hold for other tasks too.
"""
THOUGHTS = """
Read what was asked and answered. Write what it tells about the world as thoughts: a head, a relation and a tail, each
a few words, such as "Anna", "lives in", "Oslo". Only what was said; if nothing was, write none.
"""

lessons = Ask(LESSONS, Lessons)
rules = Ask(RULES, Rules)
thoughts = Ask(THOUGHTS, Thoughts, most=10, by="text")


# --- what the model is shown

_ATTEMPTS, _STEPS = 4, 12
_PROMPT, _ANSWER, _STEP = 4_000, 2_000, 600


def evidence(experience: Experience) -> str:
    """Return an experience as a model is shown it: everything in it is quoted as data."""
    parts = ["Task:", fenced(experience.task.prompt, "task", _PROMPT)]
    for n, attempt in enumerate(_shown(experience.attempts), 1):
        parts.append(f"Attempt {n}{_verdict(attempt)}:")
        parts += [fenced(_step(step), "step", _STEP) for step in _cut(attempt.steps)] if len(attempt.steps) > 1 else []
        parts.append(fenced(attempt.answer or "(no answer)", "answer", _ANSWER))
        parts += [fenced(_told(f.verdict, f.text), f"feedback from {f.source}", _ANSWER) for f in attempt.feedback]
    return "\n".join(parts)


def _shown(attempts: Sequence[Attempt]) -> Sequence[Attempt]:
    """Return a few attempts, best first: the best and the worst, which teach most side by side."""
    ordered = sorted(attempts, key=lambda attempt: -(attempt.score or 0.0))
    return ordered if len(ordered) <= _ATTEMPTS else [*ordered[: _ATTEMPTS // 2], *ordered[-_ATTEMPTS // 2 :]]


def _verdict(attempt: Attempt) -> str:
    return " (not judged)" if attempt.score is None else f" (score {attempt.score:g} of 1)"


def _told(verdict: str, text: str) -> str:
    return "\n".join(part for part in (verdict, text) if part) or "(a score only)"


def _cut(steps: Sequence[Step]) -> Sequence[Step]:
    return steps if len(steps) <= _STEPS else [*steps[: _STEPS // 2], *steps[-_STEPS // 2 :]]


def _step(step: Step) -> str:
    said = [_spoken(step.action), *(call.shown() for call in _calls(step.action))]
    seen = [f"-> {_spoken(message)}" for message in step.observations]
    return "\n".join(part for part in [*said, *seen] if part)


def _spoken(message: Message) -> str:
    content = message.get("content")
    return content.strip() if isinstance(content, str) else "" if content is None else json.dumps(content)


# --- without a model


@dataclass(frozen=True, slots=True)
class _Call:
    """A tool call of a chat message; `id` joins it to its result."""

    id: str
    name: str
    arguments: Mapping[str, Json]

    def shown(self, known: Mapping[str, str] | None = None) -> str:
        """Return the call in one line, with variables in the place of the values that are known."""
        known = known or {}
        given = ((k, v if _is_plain(v) and str(v) in known else masked_value(k, v)) for k, v in self.arguments.items())
        return f"{self.name}({', '.join(f'{k}={_abstract(v, known)}' for k, v in given)})"


def workflow(state: State, experience: Experience) -> list[Extract]:
    """Extract the successful steps of the best attempt, what the task named abstracted to variables; no model needed.

    A step failed when its observation says error; of a repeated call the last one counts.
    """
    attempt, task = best(experience), experience.task
    if attempt is None or not succeeded(experience):
        return []
    calls = list(_successful(attempt))
    known = dict(_variables(calls, task.prompt))
    lines = list(dict.fromkeys(call.shown(known) for call in calls))
    if not lines:
        return []
    goal = _replaced(task.prompt, known)
    text = "\n".join([f"To do: {goal}", *(f"{n}. {line}" for n, line in enumerate(lines, 1))])
    about: dict[str, Json] = {
        "task": task.id, "goal": goal, "variables": {name.strip("{}"): value for value, name in known.items()},
        "steps": len(lines), "score": attempt.score,
    }  # fmt: skip
    return [Extract(text, task.prompt, about, (attempt.id,))]


def _successful(attempt: Attempt) -> Iterator[_Call]:
    for step in attempt.steps:
        answers = {str(m.get("tool_call_id", "")): m for m in step.observations}
        for call in _calls(step.action):
            answer = answers.get(call.id) or (step.observations[0] if len(step.observations) == 1 else None)
            if answer is None or not _is_error(answer):
                yield call


def _is_error(message: Message) -> bool:
    said = _spoken(message).lstrip("{[\"' ").lower()
    return bool(message.get("is_error")) or said.startswith(("error", "traceback", "exception", "failed"))


def _calls(message: Message) -> Iterator[_Call]:
    """Yield the tool calls of a message, in the shapes that chat APIs and our own records have."""
    listed = message.get("tool_calls")
    for call in listed if isinstance(listed, list) else []:
        if not isinstance(call, dict):
            continue
        inner = call.get("function")
        function: Mapping[str, Json] = inner if isinstance(inner, dict) else call
        yield _Call(str(call.get("id", "")), str(function.get("name", "")), _arguments(function.get("arguments")))


def _arguments(given: Json) -> dict[str, Json]:
    try:
        parsed = json.loads(given) if isinstance(given, str) else given
    except ValueError:
        return {"arguments": given}
    return parsed if isinstance(parsed, dict) else {}


def _variables(calls: Sequence[_Call], prompt: str) -> Iterator[tuple[str, str]]:
    """Yield (value, {variable}) for the argument values that the prompt names, each value once."""
    taken: dict[str, str] = {}
    for name, value in ((k, str(v)) for call in calls for k, v in call.arguments.items() if _is_plain(v)):
        if value in taken or not _word(value).search(prompt):
            continue
        others = sum(1 for variable in taken.values() if variable == name or variable.rpartition("_")[0] == name)
        taken[value] = name if not others else f"{name}_{others + 1}"
        yield value, f"{{{taken[value]}}}"


def _is_plain(value: Json) -> bool:
    return isinstance(value, (str, int, float)) and not isinstance(value, bool) and bool(str(value).strip())


def _word(value: str) -> re.Pattern[str]:
    return re.compile(rf"(?<!\w){re.escape(value)}(?!\w)")


def _abstract(value: Json, known: Mapping[str, str]) -> str:
    if _is_plain(value) and str(value) in known:
        return known[str(value)]
    return _replaced(json.dumps(value, ensure_ascii=False), known) if isinstance(value, str) else json.dumps(value)


def _replaced(text: str, known: Mapping[str, str]) -> str:
    """Return a text with the values it holds replaced by their variables, in one pass, the longest first."""
    if not known:
        return text
    either = "|".join(re.escape(value) for value in sorted(known, key=len, reverse=True))
    return re.sub(rf"(?<!\w)(?:{either})(?!\w)", lambda found: known[found.group()], text)
