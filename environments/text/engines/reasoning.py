"""reasoning-gym in a worker: questions drawn by seed, and the scores of answers.

Some of its sets evaluate what an answer says as Python. Such an answer is scored only where nothing in it can be a
call, but for the functions of mathematics; what it then does to memory and time is between it and the wall.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any, TypeAlias

Entry: TypeAlias = dict[str, Any]

SEEDS: Mapping[str, int] = {"test": 2_000_000, "dev": 1_000_000, "train": 0}
"""Where the seeds of each split begin. What one asks, those after it do not."""
SIZE = 500
"""Questions in one draw; in one set they depend on how many are drawn."""
EVALUATED_LISTS = frozenset({"binary_matrix", "n_queens", "spiral_matrix", "string_insertion"})
EVALUATED_TERMS = frozenset(
    {"countdown", "intermediate_integration", "polynomial_multiplication", "puzzle24", "simple_integration"}
)
FUNCTIONS = frozenset(
    {"Abs", "abs", "acos", "asin", "atan", "cos", "cosh", "cot", "csc", "exp", "ln", "log", "sec", "sin", "sinh",
     "sqrt", "tan", "tanh"}
)  # fmt: skip
_TERM = re.compile(r"[\w\s+\-*/^=.,()]*")
_CALLED = re.compile(r"([A-Za-z_]\w*)\s*\(")
_ODD = re.compile(r"\)\s*\(|\.\s*[A-Za-z_]|\blambda\b")


def make() -> Reasoning:
    return Reasoning()


class Reasoning:
    """The sets, made when they are asked for."""

    def drawn(self, name: str, count: int) -> dict[str, list[Entry]]:
        """Return so many questions of a set for each split, with their answers; none is asked twice."""
        asked: set[str] = set()
        return {split: [*_distinct(name, first, count, asked)] for split, first in SEEDS.items()}

    def score(self, name: str, split: str, index: int, answer: str) -> float:
        """Return what an answer scores, from 0 to 1."""
        questions = _set(name, SEEDS[split])
        return _scored(name, questions, _entry(questions, index), answer)


def _scored(name: str, questions: Any, entry: Entry, answer: str) -> float:
    return min(1.0, max(0.0, float(questions.score_answer(answer, entry)))) if is_harmless(name, answer) else 0.0


def is_harmless(name: str, answer: str) -> bool:
    """Say whether an answer can be scored without a call in it being made."""
    if name in EVALUATED_LISTS:
        return "(" not in answer
    if name not in EVALUATED_TERMS:
        return True
    is_term = _TERM.fullmatch(answer) is not None and _ODD.search(answer) is None
    return is_term and FUNCTIONS.issuperset(_CALLED.findall(answer))


def _distinct(name: str, first: int, count: int, asked: set[str]) -> Iterator[Entry]:
    questions, found = _set(name, first), 0
    for index in range(SIZE):
        if found == count:
            return
        try:
            entry = _entry(questions, index)
            is_new = entry["question"] not in asked and _scored(name, questions, entry, entry["answer"]) == 1.0
        except Exception:  # noqa: BLE001 - a seed for which a set finds no question is passed over
            continue
        if is_new:
            asked.add(entry["question"])
            found += 1
            yield {"index": index, "question": entry["question"], "answer": entry["answer"]}
    if found < count:
        raise ValueError(f"{name} has {found} questions of its own from seed {first} on, and {count} are wanted")


def _entry(questions: Any, index: int) -> Entry:
    """Return a question; the generators that a process shares, by which two of the sets draw, are set for it."""
    import numpy as np

    random.seed(questions.seed + index)
    np.random.seed(questions.seed + index)
    entry: Entry = questions[index]
    return entry


@lru_cache(maxsize=128)
def _set(name: str, seed: int) -> Any:
    from reasoning_gym.factory import create_dataset

    return create_dataset(name, seed=seed, size=SIZE)
