"""Recall strategies: which hits a task gets. Each is a callable of (state, task) that reads and never writes."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import KW_ONLY, dataclass, field
from typing import TypeAlias

import numpy as np
from pydantic import BaseModel

from agentevo.errors import BadReply, Misuse, UnknownName
from agentevo.memory.arguments import is_number, is_whole
from agentevo.memory.asking import SHOWN, asked, numbered
from agentevo.memory.exact import Vector
from agentevo.memory.forget import Kinds, kinds_of
from agentevo.memory.rank import Weights, about_tokens, ordered
from agentevo.memory.recall import MODES, Mode
from agentevo.memory.vitals import own, vector_of, vectors, vitals
from agentevo.memory.where import Where, parse, unexpired
from agentevo.protocols import Memory, State
from agentevo.quote import fenced
from agentevo.types import Hit, Item, Kind, Task

LOG = logging.getLogger(__name__)

Recall: TypeAlias = Callable[[State, Task], Awaitable[list[Hit]]]


def _checked(k: int, kind: Kinds, where: Where | None, mode: str = "hybrid", name: str = "k") -> None:
    if not (is_whole(k) and k >= 1):
        raise Misuse(f"{name} is {k!r}; expected how many items are wanted, 1 or more")
    if mode not in MODES:
        raise UnknownName("recall mode", mode, MODES)
    kinds_of(kind)
    parse(unexpired(where, 0.0))


@dataclass(frozen=True)
class Window:
    """The latest k items, newest first, whatever the task."""

    k: int = 4
    kind: Kinds = None
    _: KW_ONLY
    where: Where | None = None

    def __post_init__(self) -> None:
        _checked(self.k, self.kind, self.where)

    async def __call__(self, state: State, task: Task) -> list[Hit]:
        where = unexpired(self.where, state.now)
        items = await state.memory.alist(where=where, kind=kinds_of(self.kind), limit=self.k)
        return [_ranked(item, n, "latest") for n, item in enumerate(items)]


def _ranked(item: Item, place: int, part: str) -> Hit:
    """Return a hit that only a place in a row speaks for."""
    return Hit(item=item, score=1 / (1 + place), parts={part: 1 / (1 + place)})


@dataclass(frozen=True)
class TopK:
    """The k items that answer the task's prompt best; the other fields are those of `Memory.recall`."""

    k: int = 4
    mode: Mode = "hybrid"
    _: KW_ONLY
    weights: Weights | None = None
    where: Where | None = None
    kind: Kinds = None
    mmr: float | None = None
    tokens: int | None = None
    count: Callable[[str], int] = about_tokens

    def __post_init__(self) -> None:
        _checked(self.k, self.kind, self.where, self.mode)
        if self.mmr is not None and not (is_number(self.mmr) and 0 <= self.mmr <= 1):
            raise Misuse(f"mmr is {self.mmr!r}; expected a number from 0 (only unlike) to 1 (only good)")

    async def __call__(self, state: State, task: Task) -> list[Hit]:
        return await own(state.memory).arecall(
            task.prompt, self.k, where=self.where, kind=kinds_of(self.kind), mode=self.mode, now=state.now,
            weights=self.weights, mmr=self.mmr, tokens=self.tokens, count=self.count,
        )  # fmt: skip


@dataclass(frozen=True)
class TwoStage:
    """The past cases most like the task first, then the rules that belong to these cases, ranked by the task.

    A rule belongs to a case that it is derived from, that it shares an attempt with, or that a link joins it to.
    """

    first: int = 5
    then: int = 3
    mode: Mode = "hybrid"
    _: KW_ONLY
    cases: Kind = "experience"
    rules: Kind = "lesson"
    where: Where | None = None

    def __post_init__(self) -> None:
        _checked(self.first, self.cases, self.where, self.mode, "first")
        _checked(self.then, self.rules, self.where, self.mode, "then")

    async def __call__(self, state: State, task: Task) -> list[Hit]:
        memory, prompt = state.memory, task.prompt
        found = await memory.arecall(
            prompt, self.first, where=self.where, kind=self.cases, mode=self.mode, now=state.now
        )
        belonging = await self._belonging(memory, [hit.item for hit in found], state.now)
        if not belonging:
            return []
        where = {"$id": [item.id for item in belonging]}
        hits = await memory.arecall(prompt, self.then, where=where, kind=self.rules, mode=self.mode, now=state.now)
        # A rule need not share a word with the task: those of the nearest case still come.
        missed = [item for item in belonging if item.id not in {hit.item.id for hit in hits}]
        return [*hits, *(Hit(item=item, score=0.0) for item in missed[: self.then - len(hits)])]

    async def _belonging(self, memory: Memory, cases: Sequence[Item], now: float) -> list[Item]:
        """Return the rules of the cases, those of the nearest case first."""
        where = unexpired(self.where, now)
        rules = await memory.alist(where=where, kind=self.rules, order="oldest") if cases else []
        found: dict[str, Item] = {}
        for case in cases:
            marks = {case.id, *case.links}
            marks |= {name for name in case.derived_from if await memory.aget(name) is None}
            found |= {r.id: r for r in rules if marks & {r.id, *r.derived_from, *r.links} and r.id not in found}
        return list(found.values())


class Pick(BaseModel):
    """The number of the example that will help most."""

    number: int


PICK = """
Below are a task and numbered memories. Pick the one memory that will help most with the task, by its number.
"""


@dataclass(frozen=True)
class LLMPick:
    """Let the model choose: the nearest items are dealt into groups, and the model picks one of each group.

    A pick that cannot be read falls back to the group's nearest; how many did is logged and stands in `parts` as
    "fallback", which adds nothing to the score.
    """

    groups: int = 4
    k: int = 10
    mode: Mode = "vector"
    _: KW_ONLY
    kind: Kinds = None
    where: Where | None = None
    prompt: str = PICK

    def __post_init__(self) -> None:
        _checked(self.groups, self.kind, self.where, self.mode, "groups")
        _checked(self.k, self.kind, self.where)

    async def __call__(self, state: State, task: Task) -> list[Hit]:
        near = await state.memory.arecall(
            task.prompt, self.groups * self.k, where=self.where, kind=kinds_of(self.kind), mode=self.mode, now=state.now
        )
        dealt = [near[n :: self.groups] for n in range(min(self.groups, len(near)))]
        picks = await asyncio.gather(*(self._pick(state, task, group) for group in dealt))
        lost = sum(1 for hit in picks if "fallback" in hit.parts)
        if lost:
            LOG.warning("%d of %d picks could not be read; the nearest of each group was taken", lost, len(picks))
        return ordered(picks)

    async def _pick(self, state: State, task: Task, group: Sequence[Hit]) -> Hit:
        if len(group) == 1:
            return group[0]
        material = f"Task:\n{fenced(task.prompt, 'task', SHOWN)}\n\nMemories:\n{numbered([hit.item for hit in group])}"
        try:
            number = (await asked(state.model, self.prompt, material, Pick)).number
        except BadReply:
            number = 0
        if 1 <= number <= len(group):
            return group[number - 1]
        return group[0].model_copy(update={"parts": {**group[0].parts, "fallback": 0.0}})


@dataclass(slots=True)
class Comparisons:
    """How many items were there, and how many of them were compared with the question."""

    items: int = 0
    compared: int = 0


@dataclass(frozen=True)
class Bucket:
    """Locality-sensitive hashing: only items that fall on the task's side of `bits` random planes are compared.

    The seed is part of what the strategy is: another one parts the items in another way. `seen` counts comparisons.
    """

    k: int = 4
    bits: int = 6
    seed: int = 0
    _: KW_ONLY
    kind: Kinds = None
    where: Where | None = None
    seen: Comparisons = field(default_factory=Comparisons, repr=False, compare=False)
    _codes: dict[tuple[str, int], int] = field(default_factory=dict, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        _checked(self.k, self.kind, self.where)
        if not (is_whole(self.bits) and 1 <= self.bits <= 62):
            raise Misuse(f"bits is {self.bits!r}; expected how many planes part the items, from 1 to 62")

    async def __call__(self, state: State, task: Task) -> list[Hit]:
        here = await vitals(state.memory, where=self.where, kinds=kinds_of(self.kind))
        here = [one for one in here if one.expires_at is None or one.expires_at > state.now]
        keys, created = [(one.id, one.version) for one in here], {one.id: one.created_at for one in here}
        question = await vector_of(state.memory, task.prompt)
        codes = await self._hashed(state.memory, keys)
        mine = self._code([question])[0]
        bucket = await vectors(state.memory, [name for name, _ in keys if codes.get(name) == mine])
        self.seen.items += len(keys)
        self.seen.compared += len(bucket)
        scores = ((float(vector @ question), name) for name, vector in bucket.items())
        scored = sorted(scores, key=lambda one: (-one[0], -created[one[1]]))
        return [hit for score, name in scored[: self.k] if (hit := await _hit(state.memory, name, score))]

    async def _hashed(self, memory: Memory, keys: Sequence[tuple[str, int]]) -> dict[str, int]:
        """Return each item's bucket; what was hashed before, and says the same still, is not hashed again."""
        new = [key for key in keys if key not in self._codes]
        found = await vectors(memory, [name for name, _ in new])
        fresh = dict(zip(found, self._code(list(found.values())), strict=True))
        # A draft's own items have no version to be known by.
        self._codes.update({key: fresh[key[0]] for key in new if key[0] in fresh and key[1] >= 0})
        return {name: self._codes[name, v] for name, v in keys if (name, v) in self._codes} | fresh

    def _code(self, given: Sequence[Vector]) -> list[int]:
        if not given:
            return []
        matrix = np.stack(given)
        planes = np.random.default_rng(self.seed).standard_normal((matrix.shape[1], self.bits))
        sides: list[int] = ((matrix @ planes > 0) @ (1 << np.arange(self.bits, dtype=np.int64))).tolist()
        return sides


async def _hit(memory: Memory, name: str, score: float) -> Hit | None:
    item = await memory.aget(name)
    return None if item is None else Hit(item=item, score=score, parts={"vector": score})
