"""Average: an update that makes one adapter of several, or lets the one in use drift less."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import KW_ONLY, dataclass, replace
from pathlib import Path
from statistics import fmean
from typing import Literal, TypeAlias, get_args

from agentevo.errors import Misuse, UnknownName
from agentevo.memory.trust import BLOCKED
from agentevo.phases.tasks.pool import tasks_of
from agentevo.protocols import Adaptable, State
from agentevo.scoring import answered
from agentevo.settings import home
from agentevo.together import together
from agentevo.types import Experience, Item, Json, Op
from agentevo.weights.adapters import POLICY, base_of, in_use, name_of, scores_of, trained
from agentevo.weights.average import Tensors, mean, moved, must_match, nothing, tensors_of, write
from agentevo.weights.config import ADAPTER
from agentevo.weights.machine import install_here
from agentevo.weights.order import Made
from agentevo.weights.policies import described, must_be_function

LOG = logging.getLogger(__name__)

How: TypeAlias = Literal["mean", "greedy", "ema"]
Install: TypeAlias = Callable[[Path, str], Awaitable[None]]
"""Makes an adapter's folder usable by a base, under the folder's name."""
Fitness: TypeAlias = Callable[[State, str], Awaitable[float]]
"""How well a state does with the adapter of a name."""
MOVING = "average"
"""The role of the adapter that is the moving average; it answers nothing."""


@dataclass(frozen=True)
class OnSplit:
    """The mean score on tasks of a split, at most n of them, as the environment verifies them."""

    split: str = "dev"
    n: int | None = None

    async def __call__(self, state: State, adapter: str) -> float:
        if not isinstance(state.model, Adaptable):
            raise Misuse(f"{state.model.name!r} takes no adapter, so none is tried on split {self.split!r}")
        trying = replace(state.on(state.memory.draft()), model=state.model.adapted(adapter))
        done = await together(answered(trying, task) for task in tasks_of(state, self.split)[: self.n])
        return fmean(x.score for x in done) if done else 0.0


@dataclass(frozen=True)
class Average:
    """Make an adapter of the last n that were trained for a role, none that was purged of, forgotten, or removed.

    mean: of all of them. greedy: of the best and, one after another, of those that do not lower `fitness`. ema: Elastic
    Reset; at each turn a moving average takes in the adapter that the turn has trained, or else the one in use, and
    each `every` turns that average takes its place and begins anew from the base, so that what drifts comes back while
    most of what was gained stays. What a gate refused, the average has not taken in.
    """

    how: How = "mean"
    n: int = 4
    _: KW_ONLY
    role: str = POLICY
    decay: float = 0.5
    every: int = 4
    fitness: Fitness = OnSplit()
    install: Install = install_here

    def __post_init__(self) -> None:
        if self.how not in get_args(How):
            raise UnknownName("way to average", str(self.how), get_args(How))
        if self.n < 2 or self.every < 1 or not 0 <= self.decay < 1:
            raise Misuse(
                f"Average(n={self.n!r}, every={self.every!r}, decay={self.decay!r}): expected n from 2 and every from 1"
                " up, and a decay from 0 to below 1"
            )
        must_be_function("fitness", self.fitness)
        must_be_function("install", self.install)

    async def __call__(self, state: State, experiences: Sequence[Experience]) -> list[Op]:
        if self.how == "ema":
            return await self._reset(state)
        parts = await self._lately(state)
        if len(parts) < 2:
            return []
        if self.how == "greedy":
            parts = await self._souped(state, parts)
        tensors = mean([tensors_of(_folder(item)) for item in parts])
        return [await self._made(state, tensors, parts, self.role)]

    async def _lately(self, state: State) -> list[Item]:
        where = {"base": base_of(state.model.name), "role": self.role}
        there = await state.memory.alist(kind="adapter", where=where, status=["live", "quarantined"], limit=self.n)
        found = [item for item in there if BLOCKED not in item.metadata and _lies_there(item)]
        must_match([_folder(item) for item in found])
        return found

    async def _souped(self, state: State, parts: Sequence[Item]) -> list[Item]:
        """Return the best adapter and those that do no harm when they are averaged into it, one after another."""
        known = {item.id: await self._fit(state, [item]) for item in parts}
        first, *others = sorted(parts, key=lambda item: known[item.id], reverse=True)
        soup, best = [first], known[first.id]
        for item in others:
            fit = await self._fit(state, [*soup, item])
            if fit >= best:
                soup, best = [*soup, item], fit
        return soup

    async def _fit(self, state: State, parts: Sequence[Item]) -> float:
        if len(parts) == 1:
            return await self.fitness(state, name_of(parts[0]))
        folder = self._written(mean([tensors_of(_folder(item)) for item in parts]), parts, "soup")
        await self.install(folder, base_of(state.model.name))
        return await self.fitness(state, folder.name)

    async def _reset(self, state: State) -> list[Op]:
        """Move the average towards the newest adapter; at each `every`-th turn let it take that one's place."""
        base = base_of(state.model.name)
        online = await self._online(state, base)
        if online is None or not _lies_there(online):
            return []
        now, last = tensors_of(_folder(online)), await self._so_far(state, base)
        parts = [online, last] if last else [online]
        must_match([_folder(item) for item in parts])
        average = moved(tensors_of(_folder(last)) if last else nothing(now), now, self.decay)
        if (state.round + 1) % self.every:
            return [await self._made(state, average, parts, MOVING)]
        reset = await self._made(state, average, parts, self.role)
        return [await self._made(state, nothing(now), [online], MOVING), reset]

    async def _so_far(self, state: State, base: str) -> Item | None:
        """Return the moving average that the gate let in last; without a gate nothing is let in: the last one."""
        if state.recipe.gate is not None:
            live = await in_use(state.memory, base, MOVING)
            return live if live and _lies_there(live) else None
        where = {"base": base, "role": MOVING}
        found = await state.memory.alist(kind="adapter", where=where, status=["live", "quarantined"])
        return next((item for item in found if BLOCKED not in item.metadata and _lies_there(item)), None)

    async def _online(self, state: State, base: str) -> Item | None:
        """Return the adapter that this turn has trained, or else the one in use."""
        drafted = trained(getattr(state.memory, "ops", ()))
        own = [item for item in drafted if (item.metadata.get("base"), item.metadata.get("role")) == (base, self.role)]
        return own[-1] if own else await in_use(state.memory, base, self.role)

    async def _made(self, state: State, tensors: Tensors, parts: Sequence[Item], role: str) -> Op:
        folder = self._written(tensors, parts, f"{self.how}-{role}-{state.round}")
        base = base_of(state.model.name)
        if role == self.role:
            await self.install(folder, base)
        config: dict[str, Json] = {"how": self.how, "of": [name_of(item) for item in parts]}
        held_out = [v for item in parts if isinstance(v := scores_of(item).get("held_out"), int | float)]
        scores: dict[str, Json] = {"parts": len(parts), **({"best_part": max(held_out)} if held_out else {})}
        item = described(state, folder.name, role, Made(path=str(folder), config=config, scores=scores), (), *parts)
        return Op(verb="insert", id=item.id, item=item, reason=f"{self.how} of {', '.join(map(name_of, parts))}")

    def _written(self, tensors: Tensors, parts: Sequence[Item], what: str) -> Path:
        """Write an average under a name that says what it is of: made twice, it is one."""
        said = hashlib.sha256(f"{what} {[name_of(item) for item in parts]} {self.decay}".encode())
        for name in tensors:
            said.update(tensors[name].tobytes())
        out = home() / "adapters" / f"{self.how}-{said.hexdigest()[:10]}"
        about = {"how": self.how, "of": [name_of(item) for item in parts]}
        return out if out.exists() else write(tensors, _folder(parts[0]), out, about)


def _lies_there(item: Item) -> bool:
    """Say whether an adapter is where it was put; one that was moved or removed must end no turn."""
    is_there = (_folder(item) / ADAPTER).is_file()
    if not is_there:
        LOG.warning("adapter %s is left out of the average: it lies no more in %s", name_of(item), _folder(item))
    return is_there


def _folder(item: Item) -> Path:
    return Path(str(item.metadata.get("path", "")))
