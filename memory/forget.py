"""Forgetting: by a curve, to a size, by a rule, by date. It is soft and reversible, and pinned items always stay."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass
from typing import Literal, TypeAlias, get_args

from agentevo.described import describe
from agentevo.errors import Misuse, UnknownName
from agentevo.memory.arguments import is_number, is_true, is_whole, must_be_plain
from agentevo.memory.change import forgetting
from agentevo.memory.nearness import nearness
from agentevo.memory.rank import DAY_S
from agentevo.memory.vitals import ALL_KINDS, Vitals, counted, surveyed, vitals
from agentevo.memory.where import Where, parse
from agentevo.protocols import State
from agentevo.types import RECALLED_KINDS, Experience, Item, Kind, Op

Curve: TypeAlias = Literal["exp", "power"]
Since: TypeAlias = Literal["use", "insert"]
Mode: TypeAlias = Literal["threshold", "sample"]
Order: TypeAlias = Literal["lru", "lfu", "fifo", "utility", "help", "near", "importance", "retention"]
Kinds: TypeAlias = Kind | Sequence[Kind] | None
"""None stands for the kinds that recall covers: notes, prompts and adapters are forgotten only where they are named."""


def retention(
    item: Item | Vitals, now: float, *, curve: Curve = "exp", scale_days: float = 30.0, since: Since = "use"
) -> float:
    """Return how much of an item is left, from 1 to 0: it falls with time and rises with the item's strength.

    exp: e^(-t / (S * scale)); power: 1 / (1 + t / (S * scale)), t in days since the last use (or the insertion), S the
    strength, which grows with each use. A published implementation has t * S in the exponent, which is upside down.
    """
    start = item.created_at if since == "insert" or item.last_used_at is None else item.last_used_at
    age_days = max(0.0, now - start) / DAY_S
    if age_days == 0:
        return 1.0
    span = item.strength * scale_days
    if span <= 0:
        return 0.0
    return math.exp(-age_days / span) if curve == "exp" else 1 / (1 + age_days / span)


@dataclass(frozen=True)
class Decay:
    """Forget what has faded: items whose retention is below the floor, or, sampled, below a number drawn for each."""

    curve: Curve = "exp"
    _: KW_ONLY
    scale_days: float = 30.0
    floor: float = 0.05
    since: Since = "use"
    mode: Mode = "threshold"
    kind: Kinds = None
    where: Where | None = None

    def __post_init__(self) -> None:
        _one_of("curve", self.curve, get_args(Curve))
        _one_of("since", self.since, get_args(Since))
        _one_of("mode", self.mode, get_args(Mode))
        if not (is_number(self.scale_days) and 0 < self.scale_days < math.inf):
            raise Misuse(f"scale_days is {self.scale_days!r}; expected a number of days above 0")
        if not (is_number(self.floor) and 0 <= self.floor <= 1):
            raise Misuse(f"floor is {self.floor!r}; expected a retention from 0 to 1")
        _checked(self.kind, self.where)

    async def __call__(self, state: State, experiences: Sequence[Experience]) -> list[Op]:
        salt = f"{state.dice('decay', '').getrandbits(64)}"

        def faded(here: Iterator[Vitals]) -> list[Op]:
            return [forgetting(one.id, why) for one in here if (why := self._faded(one, state.now, salt))]

        return await surveyed(state.memory, faded, where=self.where, kinds=kinds_of(self.kind))

    def _faded(self, one: Vitals, now: float, salt: str) -> str:
        """Say why an item has to go; nothing where it stays."""
        left = retention(one, now, curve=self.curve, scale_days=self.scale_days, since=self.since)
        limit = _drawn(salt, one.id) if self.mode == "sample" else self.floor
        if left >= limit or one.pinned:
            return ""
        return f"retention {left:.3g} below " + (f"drawn {limit:.3g}" if self.mode == "sample" else f"{limit:g}")


def _drawn(salt: str, id: str) -> float:
    """Return a number from 0 to 1 for an item that does not depend on what else is there."""
    return int.from_bytes(hashlib.blake2b(f"{salt}/{id}".encode(), digest_size=8).digest(), "big") / 2**64


def _last(one: Vitals) -> float:
    return one.created_at if one.last_used_at is None else one.last_used_at


_WORTH: Mapping[str, Callable[[Vitals, float], float]] = {
    "lru": lambda one, now: _last(one),
    "lfu": lambda one, now: one.uses,
    "fifo": lambda one, now: one.created_at,
    "utility": lambda one, now: one.utility,
    "help": lambda one, now: one.utility * (one.wins + 1),
    "near": lambda one, now: one.utility * (one.wins + 1),
    "importance": lambda one, now: one.importance,
    "retention": lambda one, now: retention(one, now),
}

_LAST = "coalesce(last_used_at, created_at)"
_UTILITY = "(wins + 1.0) / (wins + losses + 2.0)"
_BY_LEDGER: Mapping[str, str] = {
    "lru": _LAST, "lfu": "uses", "fifo": "created_at", "importance": "importance",
    "utility": _UTILITY, "help": f"{_UTILITY} * (wins + 1.0)",
}  # fmt: skip
"""The same in the ledger's words, for what it can say."""


_USED = 2.0
"""What was used is nearer to what was used than any cosine says."""


@dataclass(frozen=True)
class Evict:
    """Keep at most `cap` items: those worth least by the order go.

    `utility` is how surely an item helps when it is used, `help` that and how often it did: what helped ten times of
    twelve outlives what helped the one time, and what was tried in vain goes before what was never tried.
    `near` is help, but of those that were never used the one goes first that is least like what was used last.
    Of equals the one goes that was last used (or made) longest ago, then the least used, then the one inserted first:
    where nobody told what helped, all are of equal utility, and what was used is still worth more than what was not.
    """

    cap: int
    order: Order = "lru"
    kind: Kinds = None
    _: KW_ONLY
    where: Where | None = None

    def __post_init__(self) -> None:
        if not (is_whole(self.cap) and self.cap >= 0):
            raise Misuse(f"cap is {self.cap!r}; expected how many items may stay, a whole number from 0 up")
        _one_of("order", self.order, _WORTH)
        _checked(self.kind, self.where)

    async def __call__(self, state: State, experiences: Sequence[Experience]) -> list[Op]:
        total, over = await self._over(state)
        reason = f"evicted: {total} items, {self.cap} may stay, first to go by {self.order}"
        return [forgetting(name, reason) for name in over]

    async def _over(self, state: State) -> tuple[int, list[str]]:
        """Return how many items there are, and those that have to go."""
        kinds, order = kinds_of(self.kind), _BY_LEDGER.get(self.order)
        by_ledger = f"{order}, {_LAST}, uses"
        found = order and await counted(state.memory, by_ledger, self.cap, where=self.where, kinds=kinds)
        if found:
            return found
        here = await vitals(state.memory, where=self.where, kinds=kinds)
        worth = _WORTH[self.order]
        near: Mapping[str, float] = {}
        if self.order == "near" and len(here) > self.cap:
            near = {one.id: _USED for one in here if one.uses} | await nearness(state.memory, here)
        loose = (one for one in here if not one.pinned)
        first = sorted(loose, key=lambda one: (worth(one, state.now), near.get(one.id, 0.0), _last(one), one.uses))
        return len(here), [one.id for one in first[: max(0, len(here) - self.cap)]]


@dataclass(frozen=True)
class Discard:
    """Forget the items that a rule names: a function of an item, or a `where` filter (which is much faster)."""

    which: Callable[[Item], bool] | Where
    kind: Kinds = None
    reason: str = ""

    def __post_init__(self) -> None:
        if not callable(self.which) and not isinstance(self.which, Mapping):
            raise Misuse(f"Discard takes a function of an item or a filter, not {self.which!r}")
        if callable(self.which):
            must_be_plain("the function of Discard", self.which)
        _checked(self.kind, None if callable(self.which) else self.which)

    async def __call__(self, state: State, experiences: Sequence[Experience]) -> list[Op]:
        kinds, reason = kinds_of(self.kind), self.reason or f"discarded: {_said(self.which)}"
        if isinstance(self.which, Mapping):
            return await surveyed(state.memory, lambda here: _forgotten(here, reason), where=self.which, kinds=kinds)
        items = await state.memory.alist(kind=kinds, order="oldest")
        loose = (item for item in items if not item.pinned)
        return [forgetting(i.id, reason) for i in loose if is_true("the function of Discard", self.which(i))]


def _said(which: Callable[[Item], bool] | Where) -> str:
    return json.dumps(which, default=str) if isinstance(which, Mapping) else describe(which)


@dataclass(frozen=True)
class Expire:
    """Forget what is past its own date, of whatever kind; recall passes over it anyway."""

    async def __call__(self, state: State, experiences: Sequence[Experience]) -> list[Op]:
        past: Where = {"$expires_at": {"$lte": state.now}}
        return await surveyed(state.memory, lambda here: _forgotten(here, "expired"), where=past, kinds=ALL_KINDS)


def kinds_of(kind: Kinds) -> Sequence[Kind]:
    """Return kinds as a list, checked."""
    if kind is None:
        return RECALLED_KINDS
    kinds: Sequence[Kind] = (kind,) if isinstance(kind, str) else tuple(kind)
    for name in kinds:
        _one_of("kind", name, ALL_KINDS)
    return kinds


def _checked(kind: Kinds, where: Where | None) -> None:
    kinds_of(kind)
    parse(where)


def _one_of(what: str, value: str, known: Sequence[str] | Mapping[str, object]) -> None:
    if value not in known:
        raise UnknownName(what, str(value), known)


def _forgotten(here: Iterator[Vitals], reason: str) -> list[Op]:
    return [forgetting(one.id, reason) for one in here if not one.pinned]
