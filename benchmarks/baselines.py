"""Acts that use memory and no model: what a cheap rule reaches stands beside what the agent reaches."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import NamedTuple

from agentevo.errors import Misuse
from agentevo.phases.trajectory import Trajectory
from agentevo.protocols import State
from agentevo.types import Attempt, Section, Task, Usage

EXAMPLES: Mapping[str, Mapping[str, bool]] = {"prompt": {"$exists": True}, "answer": {"$exists": True}}


class Example(NamedTuple):
    """A remembered request, and what was right for it."""

    prompt: str
    answer: str


@dataclass(frozen=True)
class Null:
    """Answer nothing: what this scores, a task gives away for free."""

    async def __call__(self, state: State, task: Task) -> list[Attempt]:
        return [_attempt(task, "")]


@dataclass(frozen=True)
class CopyNearest:
    """Answer as the nearest remembered request was answered; nothing while there is none."""

    async def __call__(self, state: State, task: Task) -> list[Attempt]:
        nearest = await recalled(state, task, 1)
        return [_attempt(task, nearest[0].answer if nearest else "")]


@dataclass(frozen=True)
class SubstituteNearest:
    """Answer as a near request was answered, with the words substituted in which the two requests differ.

    An answer that two of the k nearest requests share is a label, and is copied if it is that of the nearest. Else the
    first example is taken of which every differing word has its place in the answer, or else the nearest.
    by_looks: see `substituted`; without it this is the plain rule, with it a far stronger one that knows of names and
    numbers.
    """

    k: int = 8
    by_looks: bool = True

    def __post_init__(self) -> None:
        if type(self.k) is not int or self.k < 1:
            raise Misuse(f"k is {self.k!r}; expected how many examples are looked at, 1 or more")

    async def __call__(self, state: State, task: Task) -> list[Attempt]:
        examples = await recalled(state, task, self.k)
        if not examples or _is_label(examples[0].answer, examples):
            return [_attempt(task, examples[0].answer if examples else "")]
        tried = [substituted(example, task.prompt, self.by_looks) for example in examples]
        chosen = next((answer for answer in tried if answer.is_complete), tried[0])
        return [_attempt(task, chosen.text)]


def _is_label(answer: str, examples: Sequence[Example]) -> bool:
    """Say whether different requests have this one answer."""
    return len({example.prompt.casefold() for example in examples if example.answer == answer}) > 1


async def recalled(state: State, task: Task, k: int) -> list[Example]:
    """Return the k nearest examples by vector: items with a prompt and an answer, unless that answer failed."""
    hits = await state.memory.arecall(task.prompt, 4 * k, where=EXAMPLES, mode="vector", now=state.now)
    found = (_example(hit.item.metadata) for hit in hits)
    return [example for example in found if example is not None][:k]


def _example(kept: Mapping[str, object]) -> Example | None:
    """Return what an item keeps as an example. One that says what was `tried` holds the correction as its answer."""
    prompt, answer, score = kept.get("prompt"), kept.get("answer"), kept.get("score")
    has_failed = isinstance(score, (int, float)) and score < 0.5 and "tried" not in kept
    return Example(prompt, answer) if isinstance(prompt, str) and isinstance(answer, str) and not has_failed else None


def _attempt(task: Task, answer: str) -> Attempt:
    """Return an attempt that credits no item: where a rule fails, that is not the fault of the example."""
    trajectory = Trajectory(task)
    trajectory.show(Section(messages=({"role": "user", "content": task.prompt},)))
    trajectory.add({"role": "assistant", "content": answer})
    return trajectory.ended(answer, Usage())


class Substituted(NamedTuple):
    """An answer made from an example's; complete if all words in which the requests differ played a part in it."""

    text: str
    is_complete: bool


_WORD = re.compile(r"\w+(?:[.:'’@/-]\w+)*")


def substituted(example: Example, request: str, by_looks: bool = True) -> Substituted:
    """Align two requests word by word, and put the new words in the answer where the old ones stood, all at once.

    Words are paired by their place in what differs. With by_looks, where more or fewer words stand than before, they
    are paired by what they look like: a name for a name and a number for a number, wherever in the request they have
    moved to, and plain words with plain words in the same place.
    """
    places: dict[str, str] = {}
    moved: list[tuple[list[str], list[str]]] = []
    is_complete = True
    for old, new in _differences(_WORD.findall(example.prompt), _WORD.findall(request)):
        slots = [word for word in old if re.search(_standing(word), example.answer, re.IGNORECASE)]
        is_complete = is_complete and len(old) == len(new) == len(slots)
        if by_looks and len(old) != len(new):
            moved.append((slots, new))
        else:
            places |= {word.casefold(): other for word, other in zip(old, new, strict=False) if word in slots}
    return Substituted(_put({**dict(_by_looks(moved)), **places}, example.answer), is_complete)


def _by_looks(moved: list[tuple[list[str], list[str]]]) -> Iterator[tuple[str, str]]:
    """Pair words with the first that look the same and are left: in their own place, or if marked, in any."""
    left = [list(new) for _, new in moved]
    for own, (slots, _) in zip(left, moved, strict=True):
        for slot in slots:
            looks = _looks(slot)
            for words in (own, *left) if looks else (own,):
                chosen = next((word for word in words if _looks(word) == looks), None)
                if chosen is not None:
                    words.remove(chosen)
                    yield slot.casefold(), chosen
                    break


def _differences(old: list[str], new: list[str]) -> Iterator[tuple[list[str], list[str]]]:
    matcher = SequenceMatcher(None, [w.casefold() for w in old], [w.casefold() for w in new], autojunk=False)
    for tag, i, j, k, n in matcher.get_opcodes():
        if tag != "equal":
            yield old[i:j], [new[0].lower(), *new[1:n]] if k == 0 < n else new[k:n]


def _looks(word: str) -> str:
    """Return what marks a word: it is a number, begins with a digit, or with a capital; empty for plain words."""
    return "number" if word.isdigit() else "digit" if word[0].isdigit() else "name" if word[0].isupper() else ""


def _put(places: Mapping[str, str], answer: str) -> str:
    if not places:
        return answer
    found = re.compile("|".join(map(_standing, sorted(places, key=len, reverse=True))), re.IGNORECASE)
    return found.sub(lambda match: places[match[0].casefold()], answer)


def _standing(word: str) -> str:
    """Return a pattern for a word where it is no part of a longer run of letters, or of digits."""
    before, after = (r"\d" if end.isdigit() else r"[^\W\d_]" for end in (word[0], word[-1]))
    return rf"(?<!{before}){re.escape(word)}(?!{after})"
