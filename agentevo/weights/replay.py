"""Replay: rows of other origin that are mixed into a training, so that what the model could do stays with it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field, replace
from pathlib import Path
from typing import TypeAlias

from agentevo.errors import Misuse
from agentevo.memory.named_secrets import masked_within
from agentevo.overlap import alike, grams, words
from agentevo.phases.act import Sample
from agentevo.phases.combine import made_awaitable
from agentevo.phases.practice import must_be_strategy
from agentevo.phases.tasks.generate import Generate
from agentevo.protocols import Act, Adaptable, State, Tasks
from agentevo.types import Attempt, Experience, Json
from agentevo.weights.adapters import base_of
from agentevo.weights.learnable import learnable
from agentevo.weights.rows import Row
from agentevo.weights.turn import WITHOUT, pair_rows, sft_rows

Replay: TypeAlias = Callable[[State, int], Awaitable[list[Row]]]
"""Given a moment and how many rows of its own a turn has, the rows to mix in."""


async def mixed(state: State, own: Sequence[Row], replays: Sequence[Replay]) -> list[Row]:
    """Return the rows of a turn with those that are replayed, without secrets, in an order drawn by chance."""
    rows = list(own)
    for replay in replays:
        rows += await replay(state, len(own))
    state.dice("train", "order").shuffle(rows)
    return [masked_within(row) for row in rows]


def must_be_replays(replays: object) -> tuple[Replay, ...]:
    """Return what is to be replayed as a tuple; raise Misuse where it is no list of callables."""
    given = (replays,) if callable(replays) else replays
    if not isinstance(given, Sequence) or not all(callable(one) and not isinstance(one, type) for one in given):
        raise Misuse(f"replay takes a list of strategies, such as [Rows('ordinary.jsonl', 0.3)], not {replays!r:.80}")
    return tuple(given)


@dataclass(frozen=True)
class Rows:
    """Rows that are given, a file of JSON lines or the rows themselves, so many that they are this share of all.

    No more than there are; a share of 1 takes all of them.
    """

    data: str | Path | Sequence[Mapping[str, Json]]
    share: float = 0.3

    def __post_init__(self) -> None:
        _must_be_share(self.share)

    async def __call__(self, state: State, own: int) -> list[Row]:
        from agentevo.weights.dataset import read

        return _drawn(state, "rows", [dict(row) for row in read(self.data)], self.share, own)


@dataclass(frozen=True)
class Earlier:
    """What earlier turns practised and kept, so much of it that it is this share of all rows: experience replay.

    pairs: their preferences rather than their attempts; of these, `least` is what an attempt must have scored. What
    memory and hints put into prompts is left out, and so is what was purged, forgotten or quarantined since.
    """

    share: float = 0.3
    least: float | None = None
    pairs: bool = False

    def __post_init__(self) -> None:
        _must_be_share(self.share)

    async def __call__(self, state: State, own: int) -> list[Row]:
        practised, _ = await learnable(state.memory, [x for report in state.history for x in report.practised])
        if self.pairs:
            return _drawn(state, "earlier", pair_rows(practised, WITHOUT), self.share, own)
        kept = [x.but(attempts=[a for a in x.attempts if self._is_enough(a)], pairs=()) for x in practised]
        return _drawn(state, "earlier", sft_rows(kept, WITHOUT), self.share, own)

    def _is_enough(self, attempt: Attempt) -> bool:
        return self.least is None or (attempt.score is not None and attempt.score >= self.least)


@dataclass(frozen=True)
class Synthesise:
    """Generative replay: the base writes tasks as it knew them, the latest model answers, the most diverse are kept.

    No data of earlier stages is read. The rows are marked as synthetic.
    """

    tasks: Tasks = field(default_factory=lambda: Generate(24))
    keep: int = 12
    _: KW_ONLY
    act: Act = field(default_factory=lambda: Sample(temperature=0.0))

    def __post_init__(self) -> None:
        must_be_strategy("Synthesise(tasks=...)", self.tasks)
        must_be_strategy("Synthesise(act=...)", self.act)
        made_awaitable(self, "tasks", "act")
        if self.keep < 1:
            raise Misuse(f"keep is {self.keep!r}; expected how many rows are replayed, 1 or more")

    async def __call__(self, state: State, own: int) -> list[Row]:
        written = await self.tasks(_on_base(state))
        attempts = [await self.act(state, task) for task in written]
        made = [x for x in map(_answered, attempts) if x is not None]
        chosen = diverse([x.task.prompt for x in made], self.keep)
        rows = sft_rows([made[n] for n in chosen], WITHOUT)
        return [{**row, "synthetic": True} for row in rows]


def _on_base(state: State) -> State:
    model = state.model
    if base_of(model.name) == model.name or not isinstance(model, Adaptable):
        return state
    return replace(state, model=model.adapted(""))


def _answered(attempts: Sequence[Attempt]) -> Experience | None:
    done = [a for a in attempts if a.answer.strip() and not a.stopped][:1]
    return Experience(task=done[0].task, attempts=tuple(done)) if done else None


def diverse(texts: Sequence[str], k: int) -> list[int]:
    """Return the places of k texts unlike each other: the first, then always what is least like those taken."""
    said = [grams(words(text), 2) for text in texts]
    taken: list[int] = []
    while len(taken) < min(k, len(texts)):
        left = [n for n in range(len(texts)) if n not in taken]
        taken.append(min(left, key=lambda n: max((alike(said[n], said[t]) for t in taken), default=0.0)))
    return taken


def _drawn(state: State, name: str, rows: list[Row], share: float, own: int) -> list[Row]:
    """Draw so many rows that they are a share of all, as far as they go."""
    wanted = len(rows) if share >= 1 else round(own * share / (1 - share))
    return state.dice("replay", name).sample(rows, min(wanted, len(rows)))


def _must_be_share(share: float) -> None:
    if not 0 < share <= 1:
        raise Misuse(f"share is {share!r}; expected which share of all rows is replayed, above 0 and up to 1")
