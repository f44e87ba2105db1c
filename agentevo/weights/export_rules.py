"""What is exported and what is left out, as one record that is checked when it is made."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypedDict, get_args

from agentevo.errors import Misuse, UnknownName
from agentevo.memory.trust import LOW_TRUST
from agentevo.memory.where import Where, parse
from agentevo.types import Experience, Json
from agentevo.weights.rows import Shape, Strip, Turns

ALL = "*"
"""Stands for all namespaces of a memory."""


class Options(TypedDict, total=False):
    """The keywords of an export; `Rules` says what each means."""

    where: Where | None
    run: str | None
    namespaces: Sequence[str]
    min_score: float | None
    min_trust: float
    keep_used: bool
    strip: Sequence[Strip]
    shape: Shape
    turns: Turns
    against: Mapping[str, Iterable[str]]
    near: float | None
    per_ability: int | None
    ability: Callable[[Experience], str]
    max_chars: int
    min_margin: float
    per_task: int
    seed: int


def ability_of(experience: Experience) -> str:
    """Return what a task asks for, as far as it says: data["ability"], or else where it is from."""
    said = experience.task.data.get("ability")
    return said if isinstance(said, str) and said else experience.task.provenance or "unknown"


@dataclass(frozen=True, kw_only=True)
class Rules:
    """Which attempts become rows, and how they look.

    where filters by the task's data and by run, namespace, task, provenance, ability, score and $created_at.
    namespaces are those to read, "*" for all; by default the memory's own. min_score is what an answer to learn must
    score (None takes those too that nobody scored), min_trust how far it must be trusted. keep_used takes attempts
    whose prompt held what was forgotten or superseded since. strip takes what was recalled, or hinted, out of prompts.
    shape is "prompt" (prompt and completion) or "messages". turns="answer" keeps of what was done the answer alone.
    against holds the prompts of suites, by name, that must not be learned from. near is the likeness from which on two
    rows are duplicates. per_ability is how many rows of an ability stay, drawn by lot from `seed`. Longer rows than
    max_chars are left out. Of pairs the better must lead by min_margin; per_task of them are taken from a task.
    """

    where: Where | None = None
    run: str | None = None
    namespaces: Sequence[str] = ()
    min_score: float | None = 0.5
    min_trust: float = LOW_TRUST
    keep_used: bool = False
    strip: Sequence[Strip] = ()
    shape: Shape = "prompt"
    turns: Turns = "all"
    against: Mapping[str, Iterable[str]] = field(default_factory=dict)
    near: float | None = 0.8
    per_ability: int | None = None
    ability: Callable[[Experience], str] = ability_of
    max_chars: int = 200_000
    min_margin: float = 0.1
    per_task: int = 1
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("namespaces", "strip"):
            given = getattr(self, name)
            object.__setattr__(self, name, (given,) if isinstance(given, str) else tuple(dict.fromkeys(given)))
        for what, given, known in (
            ("part of a prompt to strip", self.strip, get_args(Strip)),
            ("shape of a row", (self.shape,), get_args(Shape)),
            ("choice of turns", (self.turns,), get_args(Turns)),
        ):
            for one in given:
                if one not in known:
                    raise UnknownName(what, str(one), known)
        parse(self.where)
        self._check_numbers()
        object.__setattr__(self, "against", _suites(self.against))

    def _check_numbers(self) -> None:
        for name in ("min_score", "min_trust", "near", "min_margin"):
            value = getattr(self, name)
            if value is not None and not (isinstance(value, int | float) and 0 <= value <= 1):
                raise Misuse(f"{name} is {value!r}; expected a number from 0 to 1")
        if not self.min_margin:
            raise Misuse("min_margin is 0; expected by how much the better answer must lead, above 0")
        for name in ("per_ability", "max_chars", "per_task"):
            value = getattr(self, name)
            if value is not None and (type(value) is not int or value < 1):
                raise Misuse(f"{name} is {value!r}; expected a whole number, 1 or more")

    def ability_in(self, experience: Experience) -> str:
        """Return what an experience's task asks for; raise Misuse where `ability` says no text."""
        said = self.ability(experience)
        if not isinstance(said, str):
            raise Misuse(f"ability gave {said!r:.80} for task {experience.task.id!r:.80}; expected a text")
        return said

    def as_json(self) -> dict[str, Json]:
        """Return the rules as data, for the card; suites and functions by their names."""
        shown: dict[str, Json] = {"where": None if self.where is None else dict(self.where)}
        for name in ("run", "min_score", "min_trust", "keep_used", "shape", "turns", "near", "per_ability",
                     "max_chars", "min_margin", "per_task", "seed"):  # fmt: skip
            shown[name] = getattr(self, name)
        return {**shown, "namespaces": [*self.namespaces], "strip": [*self.strip], "against": [*self.against]}


def _suites(against: object) -> dict[str, tuple[str, ...]]:
    """Return suites as the prompts of each; a text by itself is one prompt."""
    if not isinstance(against, Mapping):
        raise Misuse(
            f"against is {against!r:.80}; expected prompts by the name of their suite: {{'exam': ['What ...?']}}"
        )
    found = dict[str, tuple[str, ...]]()
    for name, given in against.items():
        prompts = (given,) if isinstance(given, str) else tuple(given) if isinstance(given, Iterable) else (given,)
        wrong = [one for one in prompts if not isinstance(one, str)]
        if wrong or not isinstance(name, str):
            raise Misuse(f"against[{name!r:.80}] holds {(wrong or [name])[0]!r:.80}; expected texts")
        found[name] = prompts
    return found
