"""Rows become questions: a task that may be shown, and apart from it what is right; and who is asked in which split."""

from __future__ import annotations

import hashlib
import itertools
import json
import string
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from agentevo.environments.answers.checks import Check, Choice, Pattern, Right, as_data, folded
from agentevo.environments.answers.rows import Row
from agentevo.errors import Misuse
from agentevo.types import Json, Task

PROMPTS = ("text", "question", "prompt", "input")
ANSWERS = ("category", "label", "answer", "target", "output")
"""Names that columns often have, the first that is there is taken."""


@dataclass(frozen=True, slots=True)
class Question:
    """A task, its split, and what only the environment knows of it: what is right, and an example of it."""

    task: Task
    split: str
    right: Right
    gold: str | None


@dataclass(frozen=True, slots=True)
class Columns:
    """Which columns of a row hold what; an empty name: found by itself (prompt, answer), or there is none."""

    prompt: str = ""
    answer: str = ""
    options: str | tuple[str, ...] = ""
    example: str = ""
    id: str = ""
    group: str = ""
    split: str = ""


class Reader:
    """Makes questions of rows: the same rows give the same ids, in any process."""

    def __init__(self, name: str, check: Check, columns: Columns) -> None:
        self._name, self._check, self._columns = name, check, columns
        self._taken: dict[str, str] = {}
        self._answered: dict[tuple[str, str], tuple[str, Right]] = {}

    def question(self, row: Row, split: str) -> Question:
        """Return the question of a row. Raise Misuse with the place of a row that makes none."""
        columns = self._columns
        options = self._options(row)
        right = Right(_texts(row, _column(row, columns.answer, "answer", ANSWERS), options), options)
        if problem := self._check.problem(right):
            raise Misuse(f"{row.where}: {problem}")
        data: dict[str, Json] = {"check": as_data(self._check)}
        if columns.group:
            data["group"] = _text(row, columns.group)
        if options:
            data["options"] = list(options)
        prompt = _asked(_text(row, _column(row, columns.prompt, "prompt", PROMPTS)), options)
        named = _text(row, columns.split) if columns.split else split
        self._must_agree(row, named, prompt, right)
        task = Task(id=self._id(row, prompt), prompt=prompt, data=data, provenance=self._name)
        return Question(task, named, right, self._gold(row, right))

    def _must_agree(self, row: Row, split: str, prompt: str, right: Right) -> None:
        """Raise Misuse where a split asks the same again and no reply is right both times; two patterns may agree."""
        where, earlier = self._answered.setdefault((split, prompt), (row.where, right))
        if isinstance(self._check, Pattern) or any(self._check.accepts(text, earlier) for text in right.texts):
            return
        if not set(right.texts) & set(earlier.texts):
            raise Misuse(
                f"{row.where} asks {prompt!r:.80} as {where} does, and answers {right.texts[0]!r:.80} rather than"
                f" {earlier.texts[0]!r:.80}, so that no reply is right for both; leave one out, or give both in one row"
                " of JSON, as a list"
            )

    def _options(self, row: Row) -> tuple[str, ...]:
        if not isinstance(self._check, Choice):
            return ()
        if not isinstance(self._columns.options, str):
            return tuple(_text(row, column) for column in self._columns.options)
        value = _value(row, self._columns.options)
        if isinstance(value, str):
            value = _list(value)
        if not isinstance(value, list) or not all(isinstance(v, (str, int, float)) and str(v).strip() for v in value):
            raise Misuse(f"{row.where}: its options are {value!r:.80}; expected a list of texts, or texts parted by |")
        return tuple(str(v).strip() for v in value)

    def _gold(self, row: Row, right: Right) -> str | None:
        if not isinstance(self._check, Pattern):
            return self._check.gold(right)
        if not self._columns.example:
            return None
        example = _text(row, self._columns.example)
        if not self._check.accepts(example, right):
            raise Misuse(f"{row.where}: the example {example!r:.80} does not match {right.texts[0]!r:.80}")
        return example

    def _id(self, row: Row, prompt: str) -> str:
        """Return the id that a row gives, or a digest of what is asked, which says nothing about the answer."""
        if self._columns.id:
            name = _text(row, self._columns.id)
            if name in self._taken:
                earlier = self._taken[name]
                raise Misuse(f"{row.where}: the id {name!r:.80} stands at {earlier} already; expected one row an id")
        else:
            digest = f"{self._name}-{hashlib.sha256(prompt.encode()).hexdigest()[:12]}"
            numbered = (f"{digest}-{n}" for n in itertools.count(2))
            name = next(name for name in itertools.chain([digest], numbered) if name not in self._taken)
        self._taken[name] = row.where
        return name


def shared_out(questions: Sequence[Question], shares: Mapping[str, float], seed: int) -> list[Question]:
    """Give each split its share of what is asked, drawn by the seed; what is asked twice stands in one split."""
    keys = {folded(question.task.prompt) for question in questions}
    drawn = sorted(keys, key=lambda key: hashlib.sha256(f"{seed}/{key}".encode()).digest())
    splits: dict[str, str] = {}
    reached, start = 0.0, 0
    for split, share in shares.items():
        reached += share
        end = round(reached * len(drawn))
        if end == start:
            raise Misuse(
                f"{len(drawn)} different questions are too few to give split {split!r} its share of {share:g}; "
                "add rows, or choose other shares"
            )
        splits.update(dict.fromkeys(drawn[start:end], split))
        start = end
    return [Question(q.task, splits[folded(q.task.prompt)], q.right, q.gold) for q in questions]


def labels_of(questions: Iterable[Question]) -> list[str]:
    """Return the answers, sorted, if each is given at least twice: then they are labels, and to be known is no help."""
    counts: dict[str, int] = {}
    for question in questions:
        counts[question.right.texts[0]] = counts.get(question.right.texts[0], 0) + 1
    return sorted(counts) if min(counts.values()) > 1 else []


def _column(row: Row, named: str, what: str, usual: Sequence[str]) -> str:
    """Return the column that was named, or the first with a usual name."""
    found = named or next((name for name in usual if name in row.columns), "")
    if not found:
        raise Misuse(f"{row.where} has no column {' or '.join(usual)}, but {_listed(row)}; name one with {what}=")
    return found


def _value(row: Row, column: str) -> object:
    if column not in row.columns:
        raise Misuse(f"{row.where} has no column {column!r}; it has: {_listed(row)}")
    return row.columns[column]


def _listed(row: Row) -> str:
    return ", ".join(map(str, row.columns)) or "none"


def _text(row: Row, column: str) -> str:
    """Return a cell as text without white space around it."""
    value = _value(row, column)
    if isinstance(value, bool) or not isinstance(value, (str, int, float)) or not str(value).strip():
        raise Misuse(f"{row.where}: column {column!r} holds {value!r:.80}; expected a text")
    return _utf8(str(value).strip(), row, column)


def _utf8(text: str, row: Row, column: str) -> str:
    """Return a text that can be written to a file: JSON may hold halves of surrogate pairs, which cannot."""
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise Misuse(f"{row.where}: column {column!r} holds {text!r:.80}, which is no valid Unicode") from error
    return text


def _texts(row: Row, column: str, options: Sequence[str]) -> tuple[str, ...]:
    """Return what counts as right: one text, or a list of them; for a choice a whole number may be its index."""
    value = _value(row, column)
    texts = []
    for one in value if isinstance(value, list) and value else [value]:
        if type(one) is int and 0 <= one < len(options) and str(one) not in options:
            texts.append(string.ascii_uppercase[one])
        else:
            texts.append(_text(Row(row.where, {column: str(one).lower() if isinstance(one, bool) else one}), column))
    return tuple(texts)


def _list(text: str) -> object:
    """Return a text of options as a list: JSON, or parted by |."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text.split("|")


def _asked(prompt: str, options: Sequence[str]) -> str:
    lettered = (f"{letter}) {option}" for letter, option in zip(string.ascii_uppercase, options, strict=False))
    return "\n".join((prompt, *lettered))
