"""Answers as an environment: a question is asked, one answer is given, and it is right or not."""

from __future__ import annotations

import asyncio
import hashlib
import math
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TypeAlias, get_args

from agentevo.environments.answers.checks import LONGEST_REPLY, Check, Pattern, as_check, folded
from agentevo.environments.answers.questions import Columns, Question, Reader, labels_of, shared_out
from agentevo.environments.answers.rows import Given, rows_of
from agentevo.errors import Misuse, UnknownName
from agentevo.protocols import FeedbackLevel
from agentevo.types import Attempt, Card, Feedback, Message, Outcome, Task, Tool

Source: TypeAlias = str | Path | Iterable[Given]
MOST_LABELS = 40
"""So many labels, and no more, an agent is told before each task."""
SHARES: Mapping[str, float] = {"train": 0.8, "test": 0.2}


class Answers:
    """Questions with known answers, or texts with labels, from a file or from rows given in Python.

    source: a path (.csv, .tsv, .jsonl, .ndjson, also with .xz or .gz), rows as mappings, or a mapping of split names to
    either. Where it is no such mapping, rows are split by the column `split`, or else by `shares`, drawn by `seed`.
    check: how a reply is compared: "exact", "number", "choice" (needs `options`: a column with a list of texts, or the
    names of several columns, as "A,B,C" too), "pattern", or such as Number(tolerance=0.01). In JSON and in Python a
    list of answers means any of them.
    prompt, answer, example, id, group: columns; prompt and answer are found by their usual names.

    A source is read whole, at construction, and its questions stay in memory (1.3 kB for a short one): of a file larger
    than memory take its beginning, `limit` rows a source; the rest is not read. The answers stay in the environment: a
    task holds its check and options, and its id is made from what is asked alone. Unless rows are split by shares, the
    same may be asked in two splits, as the source has it; the card says how often. Raise Misuse where one split asks
    the same twice and no reply is right both times.
    """

    def __init__(
        self,
        source: Source | Mapping[str, Source],
        *,
        check: str | Check = "exact",
        prompt: str = "",
        answer: str = "",
        options: str | Sequence[str] = "",
        example: str = "",
        id: str = "",
        group: str = "",
        split: str = "",
        shares: Mapping[str, float] = SHARES,
        seed: int = 0,
        limit: int | None = None,
        name: str = "",
        version: str = "",
        instruction: str | None = None,
        licence: str = "not stated",
        ability: str = "knowledge",
    ) -> None:
        self._check = as_check(check)
        columns = options.split(",") if isinstance(options, str) and "," in options else options
        chosen = columns if isinstance(columns, str) else tuple(columns)
        _consistent(self._check, chosen, shares, limit)
        if split and isinstance(source, Mapping):
            raise Misuse(f"split is {split!r}, and there is a source for each split; expected one or the other")
        self._name = name or _name(source)
        reader = Reader(self._name, self._check, Columns(prompt, answer, chosen, example, id, group, split))
        self._questions = _read(source, reader, limit)
        if not split and not isinstance(source, Mapping):
            self._questions = shared_out(self._questions, shares, seed)
        self._by_id = {question.task.id: question for question in self._questions}
        self._digest = _digest(self._questions)
        self._splits = Counter(question.split for question in self._questions)
        self.card = Card(
            name=self._name,
            version=version or self._digest,
            description=f"{len(self._questions)} questions, checked by {self._check.name}{_repeated(self._questions)}",
            instruction=_instruction(self._check, self._questions) if instruction is None else instruction,
            licence=licence,
            ability=ability,
            splits=dict(self._splits),
            null_score=None if isinstance(self._check, Pattern) else 0.0,
            gold_score=None if any(question.gold is None for question in self._questions) else 1.0,
            trusted=True,
        )

    def __repr__(self) -> str:
        return f"Answers({self._name!r}, check={self._check!r}, {len(self._questions)} questions, {self._digest})"

    def splits(self) -> Sequence[str]:
        return tuple(self._splits)

    def tasks(self, split: str) -> Sequence[Task]:
        """Return the tasks of a split, in the order of the source. Raise UnknownName for a split that is not here."""
        if split not in self._splits:
            raise UnknownName(f"split of {self._name}", split, self._splits)
        return [question.task for question in self._questions if question.split == split]

    def task(self, id: str) -> Task:
        return self._question(id).task

    async def open(self, task: Task, seed: int = 0, feedback: FeedbackLevel = "weak") -> AnswerEpisode:
        if feedback not in get_args(FeedbackLevel):
            raise UnknownName("feedback level", feedback, get_args(FeedbackLevel))
        return AnswerEpisode(self, self._asked(task), feedback)

    async def verify(self, task: Task, attempt: Attempt) -> Feedback:
        is_right = await self.accepts(self._asked(task), attempt.answer)
        return Feedback(score=float(is_right), verdict="right" if is_right else "wrong", source="environment")

    def gold(self, task: Task) -> Sequence[Message]:
        """Return a right answer as a message; nothing where the source gives patterns and no examples of them."""
        gold = self._asked(task).gold
        return [] if gold is None else [{"role": "assistant", "content": gold}]

    async def accepts(self, question: Question, reply: str) -> bool:
        """Say whether a reply is right; a pattern is matched in a thread, so that a slow one holds up nobody."""
        if len(reply) > LONGEST_REPLY:
            return False
        if isinstance(self._check, Pattern):
            return await asyncio.to_thread(self._check.accepts, reply, question.right)
        return self._check.accepts(reply, question.right)

    def _question(self, id: str) -> Question:
        if id not in self._by_id:
            raise Misuse(f"{self!r} has no task {id!r:.80}; its first is {self._questions[0].task.id!r}")
        return self._by_id[id]

    def _asked(self, task: Task) -> Question:
        """Return the question of a task, also of one that has travelled; a prompt of its own is not one of ours."""
        question = self._question(task.id)
        if task.prompt != question.task.prompt:
            raise Misuse(f"task {task.id!r} is not the one of {self!r}: it says {task.prompt!r:.120}")
        return question


class AnswerEpisode:
    """One question. It needs no step: an answer is verified as it is. A step with the answer ends it, with feedback."""

    tools: Sequence[Tool] = ()

    def __init__(self, environment: Answers, question: Question, feedback: FeedbackLevel) -> None:
        self._environment, self._question, self._feedback = environment, question, feedback
        self._over = ""
        self.observation = question.task.prompt

    async def step(self, action: Message) -> Outcome:
        """Take the text of a message as the answer. Raise Misuse for a step after the only one, or after close."""
        if self._over:
            raise Misuse(f"this episode {self._over}; open another one")
        self._over = "has had its only step"
        said = _said(action)
        is_right = said is not None and await self._environment.accepts(self._question, said)
        if self._feedback == "none":
            return Outcome(observation="", terminated=True)
        told = "right" if is_right else "wrong"
        if self._feedback == "strong" and not is_right and self._question.gold is not None:
            told = f"wrong; the answer is: {self._question.gold}"
        return Outcome(observation=told, reward=float(is_right), terminated=True)

    async def close(self) -> None:
        self._over = "is closed"


def _said(action: object) -> str | None:
    """Return the text of a message, None where a model sent something else."""
    content = action.get("content") if isinstance(action, dict) else None
    return content if isinstance(content, str) else None


def _consistent(check: Check, options: str | tuple[str, ...], shares: Mapping[str, float], limit: int | None) -> None:
    if (check.name == "choice") != bool(options):
        raise Misuse(
            f"check is {check.name!r} and options is {options!r}; a choice, and only a choice, needs options=: "
            "a column with a list of texts, or the names of several columns"
        )
    if not shares or not all(share > 0 for share in shares.values()) or not math.isclose(sum(shares.values()), 1):
        raise Misuse(f"shares are {dict(shares)!r}; expected a positive share a split, together 1")
    if not all(map(str.strip, shares)):
        raise Misuse(f"shares are {dict(shares)!r}; expected a name for each split")
    if limit is not None and (type(limit) is not int or limit < 1):
        raise Misuse(f"limit is {limit!r}; expected how many rows to read, at least 1")


def _name(source: Source | Mapping[str, Source]) -> str:
    """Return the name of a file without the endings that say what it is, or `answers`."""
    if not isinstance(source, (str, Path)):
        return "answers"
    return re.sub(r"(\.(csv|tsv|jsonl|ndjson|xz|gz))+$", "", Path(source).name, flags=re.IGNORECASE) or "answers"


def _read(source: Source | Mapping[str, Source], reader: Reader, limit: int | None) -> list[Question]:
    by_split = source if isinstance(source, Mapping) else {"": source}
    if isinstance(source, Mapping) and not (source and all(map(str.strip, source))):
        raise Misuse(f"sources are given for the splits {list(source)!r}; expected a path or rows for each named split")
    return [reader.question(row, split) for split, one in by_split.items() for row in rows_of(one, limit)]


def _digest(questions: Sequence[Question]) -> str:
    """Return eight characters that change with the questions, answers, examples and splits, whatever the version."""
    digest = hashlib.sha256()
    for question in questions:
        asked = (question.task.id, question.task.prompt, question.split, question.right, question.gold)
        digest.update(repr(asked).encode())
    return digest.hexdigest()[:8]


def _instruction(check: Check, questions: Sequence[Question]) -> str:
    """Return what the check asks for; where the answers are a few labels, these."""
    labels = labels_of(questions) if check.name == "exact" else []
    if not 0 < len(labels) <= MOST_LABELS:
        return check.instruction
    return f"Answer with one of: {', '.join(labels)}."


def _repeated(questions: Sequence[Question]) -> str:
    """Say how many questions stand in more than one split."""
    splits: dict[str, set[str]] = {}
    for question in questions:
        splits.setdefault(folded(question.task.prompt), set()).add(question.split)
    count = sum(len(names) > 1 for names in splits.values())
    return f"; {count} of them stand in more than one split" if count else ""
