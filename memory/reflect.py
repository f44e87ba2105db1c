"""Reflect: many items become a few insights that name what they rest on. Sources are never forgotten by it."""

from __future__ import annotations

import asyncio
import datetime
import hashlib
import json
import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass

import numpy as np
from pydantic import BaseModel, Field

from agentevo.errors import BadReply, Misuse, ModelError
from agentevo.memory import rows
from agentevo.memory.admit import admitted, shows, too_long, unfit
from agentevo.memory.arguments import is_number, is_whole
from agentevo.memory.asking import SHOWN, asked, failure, numbered, stopped
from agentevo.memory.change import is_past
from agentevo.memory.dates import undated
from agentevo.memory.forget import kinds_of
from agentevo.memory.trust import LOW_TRUST, lowest, trust_of
from agentevo.memory.vitals import ALL_KINDS, own, vectors
from agentevo.memory.where import Where, parse, unexpired
from agentevo.protocols import State
from agentevo.quote import fenced
from agentevo.types import Experience, Item, Json, Kind, Op, Status

LOG = logging.getLogger(__name__)

ALL: tuple[Status, ...] = ("live", "quarantined", "forgotten")


class Insight(BaseModel):
    """What the model found, and the numbers of the inputs it rests on."""

    text: str
    rests_on: list[int] = []


MOST = 5
"""So many insights of a reply are taken."""


class Insights(BaseModel):
    # Told to the model, which then comes to an end, and not held against a reply that has more.
    insights: list[Insight] = Field(json_schema_extra={"maxItems": MOST})


class Summary(BaseModel):
    summary: str


INSIGHTS = """
Below are numbered memories. Write the few insights that they support together: what holds across several of them and
will help with what comes next. Each is one to three sentences that stand by themselves, and names the numbers of the
memories it rests on. Repeat no single memory. If nothing holds across several of them, write none.
"""
SUMMARY = """
Below are numbered memories, and, where there is one, the summary of those before them. Write one summary of all of it
that keeps names, dates, numbers, preferences and decisions, and drops what was superseded. It stands by itself.
"""


@dataclass(frozen=True, slots=True)
class _Group:
    """Items that are reflected on together; the label stays the same as items join."""

    label: str
    items: tuple[Item, ...]

    @property
    def digest(self) -> str:
        """Return what says that just these items, as they are now, were reflected on."""
        said = json.dumps(sorted((item.id, item.text) for item in self.items))
        return hashlib.blake2b(said.encode(), digest_size=12).hexdigest()


@dataclass(frozen=True)
class Reflect:
    """Ask the model for insights about groups of live items, and insert them, derived from the items they rest on.

    What is past its date is passed over.

    by: "similar" (near vectors), "day" (UTC), "all", or "group:KEY" (equal metadata). Groups larger than `at_most` are
    taken in parts, oldest first; the same items, saying the same, are not reflected on twice. Items of low trust are
    never mixed with others, and an insight is trusted no more than the least trusted item that the model was shown.
    recursive: one summary a group, which supersedes the one before it, made of that and of what is new since; where
    somebody took that one back, it is made of all that what is left does not tell.
    """

    by: str = "similar"
    _: KW_ONLY
    where: Where | None = None
    kinds: Sequence[Kind] = ("experience", "fact")
    to: Kind = "lesson"
    at_least: int = 3
    at_most: int = 20
    similar: float = 0.5
    recursive: bool = False
    prompt: str = ""
    source: str = "agent"

    def __post_init__(self) -> None:
        if self.by not in ("similar", "day", "all") and not self.by.removeprefix("group:") not in ("", self.by):
            raise Misuse(f"by is {self.by!r}; expected 'similar', 'day', 'all' or 'group:METADATA KEY'")
        if self.recursive and self.by == "similar":
            raise Misuse("a recursive summary needs groups that last: by 'day', 'all' or 'group:METADATA KEY'")
        if not (is_whole(self.at_least) and is_whole(self.at_most) and 1 <= self.at_least <= self.at_most):
            raise Misuse(f"at_least={self.at_least!r}, at_most={self.at_most!r}: expected 1 <= at_least <= at_most")
        if not (is_number(self.similar) and -1 <= self.similar <= 1):
            raise Misuse(f"similar is {self.similar!r}; expected a cosine from -1 to 1")
        kinds_of(self.kinds)
        kinds_of(self.to)
        parse(unexpired(self.where, 0.0))

    async def __call__(self, state: State, experiences: Sequence[Experience]) -> list[Op]:
        where = unexpired(self.where, state.now)
        items = await state.memory.alist(where=where, kind=self.kinds, order="oldest")
        # What reflection wrote is no input to the same reflection, or it would feed on itself.
        items = [item for item in items if "reflected" not in item.metadata]
        ops: list[Op] = []
        for trusted in (True, False):
            level = [item for item in items if (item.trust >= LOW_TRUST) == trusted]
            for group in await self._groups(state, level, "" if trusted else "untrusted:"):
                try:
                    await (self._summarised if self.recursive else self._reflected)(state, group, ops)
                except ModelError as error:
                    return stopped("reflection", ops, error)
        return ops

    # --- groups

    async def _groups(self, state: State, items: Sequence[Item], prefix: str) -> list[_Group]:
        if self.by == "similar":
            known = await vectors(state.memory, [item.id for item in items])
            parts = await asyncio.to_thread(_alike, items, known, self.similar, self.at_most)
            return [_Group(f"{prefix}similar", part) for part in parts if len(part) >= self.at_least]
        labelled: dict[str, list[Item]] = {}
        for item in items:
            for label in _labels(self.by, item):
                labelled.setdefault(prefix + label, []).append(item)
        return [_Group(label, tuple(members)) for label, members in labelled.items()]

    # --- insights

    async def _reflected(self, state: State, group: _Group, ops: list[Op]) -> None:
        for part in _parts(group.items, self.at_most):
            piece = _Group(group.label, part)
            if len(part) >= self.at_least and not await self._is_done(state, piece):
                ops += await self._insights(state, piece, ops)

    async def _is_done(self, state: State, group: _Group) -> bool:
        where: Mapping[str, Json] = {"reflected": f"{self.to}:{group.digest}"}
        return bool(await state.memory.alist(where=where, kind=ALL_KINDS, status=ALL, limit=1))

    async def _insights(self, state: State, group: _Group, before: Sequence[Op]) -> list[Op]:
        try:
            found = (await asked(state.model, self.prompt or INSIGHTS, numbered(group.items), Insights)).insights
            written = [insight for insight in found if shows(insight.text)][:MOST]
            if why := next(filter(None, (too_long(insight.text) for insight in written)), ""):
                raise BadReply(why)
        except BadReply as error:
            return [self._failure(state, group.items, error)]
        items = [self._insight(state, group, insight) for insight in written]
        reason = f"reflected on {len(group.items)} items ({group.label})"
        if len(found) > MOST:
            LOG.warning("%d insights came from %d items, the first %d are kept", len(found), len(group.items), MOST)
            reason += f"; the first {MOST} of {len(found)} insights"
        ops = [Op(verb="insert", id=item.id, item=item, reason=reason) for item in items]
        # What is said already is not inserted, and its mark, by which the group is known as done, is lost with it.
        is_marked = any([not await _is_said(state, item, before) for item in items])
        return ops if is_marked else [*ops, self._nothing(state, group)]

    def _insight(self, state: State, group: _Group, insight: Insight) -> Item:
        named = [group.items[n - 1] for n in dict.fromkeys(insight.rests_on) if 1 <= n <= len(group.items)]
        return self._item(state, group, insight.text, named or group.items, {})

    def _nothing(self, state: State, group: _Group) -> Op:
        """Return a note, forgotten from the start, that only says that this was done."""
        text = f"nothing new was found in {len(group.items)} items ({group.label}, {group.digest})"
        item = self._item(state, group, text, group.items, {"status": "forgotten", "kind": "note"})
        return Op(verb="insert", id=item.id, item=item, reason="reflected, and found nothing new")

    # --- recursive summaries

    async def _summarised(self, state: State, group: _Group, ops: list[Op]) -> None:
        where: Mapping[str, Json] = {"summary_of": f"{self.to}:{group.label}"}
        versions = await state.memory.alist(where=where, kind=ALL_KINDS, status=ALL, order="newest")
        old = next((one for one in versions if one.status == "live" and not is_past(one, state.now)), None)
        told, covered = _told(old, versions), _covered(versions, group, self.to)
        left = [item for item in group.items if item.id not in told]
        if sum(item.id not in covered for item in left) < self.at_least:
            return
        for part in _parts(left, self.at_most):
            op = await self._folded(state, _Group(group.label, part), old, ops)
            ops.append(op)
            if op.item is None or op.item.status == "quarantined":
                break
            old = op.item

    async def _folded(self, state: State, group: _Group, old: Item | None, before: Sequence[Op]) -> Op:
        """Return the op that puts a new summary in the old one's place; a pinned one stays, with the new beside it."""
        so_far = f"The summary so far:\n{fenced(old.text, 'summary', 4 * SHOWN)}\n\n" if old else ""
        replaced = old if old and not old.pinned else None
        parents = [*([old] if old else []), *group.items]
        try:
            found = await asked(state.model, self.prompt or SUMMARY, so_far + numbered(group.items), Summary)
            item = self._summary(state, group, found.summary, parents)
            if await _is_said(state, item, before, replaced):  # by another group's, say, which it would stand for
                item = self._summary(state, group, f"{group.label}: {found.summary}", parents)
        except BadReply as error:
            return self._failure(state, group.items, error)
        reason = f"summary of {len(group.items)} more items ({group.label})"
        if replaced is None:
            return Op(verb="insert", id=item.id, item=item, reason=reason)
        return Op(verb="supersede", id=replaced.id, item=item, reason=reason)

    def _summary(self, state: State, group: _Group, text: str, parents: Sequence[Item]) -> Item:
        if why := unfit(text):
            raise BadReply(f"the summary is {why}")
        about: dict[str, Json] = {"summary_of": f"{self.to}:{group.label}"}
        return self._item(state, group, text, parents, {"metadata": about})

    # --- items

    def _item(
        self, state: State, group: _Group, text: str, parents: Sequence[Item], more: Mapping[str, object]
    ) -> Item:
        told: Mapping[str, Json] = {"reflected": f"{self.to}:{group.digest}", "group": group.label}
        about = more.get("metadata", {})
        assert isinstance(about, dict)
        shown = [item.trust for item in (*group.items, *parents)]
        fields = {
            "kind": self.to, "source": self.source, "trust": lowest(trust_of(self.source), shown),
            "derived_from": tuple(item.id for item in parents), **more, "metadata": {**told, **about},
        }  # fmt: skip
        return admitted([text], fields, state.memory.namespace, state.now, lambda name: None)[0]

    def _failure(self, state: State, items: Sequence[Item], error: BadReply) -> Op:
        return failure(state, "reflection", error, [item.id for item in items], {item.id: item for item in items})


async def _is_said(state: State, item: Item, before: Sequence[Op], replaced: Item | None = None) -> bool:
    """Say whether what these ops leave has the very text, so that the item would not be inserted beside it."""
    gone = {op.id for op in before if op.verb == "supersede"} | ({replaced.id} if replaced else set())
    others = [op.item for op in before if op.item is not None and op.item.status != "forgotten"]
    twin = await asyncio.to_thread(own(state.memory)._twin_of, item)
    return any(
        (other.kind, other.text) == (item.kind, item.text) and other.id not in gone
        for other in [*others, *([twin] if twin else [])]
    )


def _told(summary: Item | None, versions: Sequence[Item]) -> set[str]:
    """Return the ids of what a summary tells: what it was made of, and what the summaries it was made of tell."""
    known = {version.id: version for version in versions}
    told, left = set[str](), [summary] if summary else []
    while left:
        new = set(left.pop().derived_from) - told
        told |= new
        left += [known[name] for name in new if name in known]
    return told


def _covered(versions: Sequence[Item], group: _Group, to: Kind) -> set[str]:
    """Return the ids of what any summary was made of, taken back or not, but for one whose sources were edited since.

    Of a summary with a source that is no longer there nobody can tell that.
    """
    known, here = {version.id for version in versions}, {item.id: item for item in group.items}
    covered = set[str]()
    for version in versions:
        sources = [name for name in version.derived_from if name not in known]
        there = tuple(here[name] for name in sources if name in here)
        mark = f"{to}:{_Group(group.label, there).digest}"
        if len(there) < len(sources) or version.metadata.get("reflected") == mark:
            covered.update(sources)
    return covered


def _labels(by: str, item: Item) -> Iterator[str]:
    if by == "all":
        yield "all"
    elif by == "day":
        if not undated(item.created_at):  # an import may have brought such
            yield f"day:{datetime.datetime.fromtimestamp(item.created_at, datetime.UTC):%Y-%m-%d}"
    else:
        key = by.removeprefix("group:")
        told = (value for name, value in rows.fields(item.metadata) if name == key)
        yield from (f"{key}={_NAMES.get(value, value)}" for value in told if value != rows.HOLDS)


_NAMES: Mapping[object, str] = {rows.scalar(value): json.dumps(value) for value in (True, False, None)}


def _parts(items: Sequence[Item], size: int) -> Iterator[tuple[Item, ...]]:
    for start in range(0, len(items), size):
        yield tuple(items[start : start + size])


def _alike(
    items: Sequence[Item], known: Mapping[str, np.ndarray], similar: float, at_most: int
) -> list[tuple[Item, ...]]:
    """Part items into groups around the oldest that is in no group yet: those nearest to it, so many at most."""
    left = [item for item in items if item.id in known]
    if not left:
        return []
    matrix = np.stack([known[item.id] for item in left])
    free = np.ones(len(left), dtype=bool)
    groups = []
    for n in range(len(left)):
        if not free[n]:
            continue
        likeness = np.where(free, matrix @ matrix[n], -2.0)
        likeness[n] = 2.0
        near = np.argsort(-likeness, kind="stable")[:at_most]
        members = sorted(int(i) for i in near if likeness[i] >= similar)
        free[members] = False
        groups.append(tuple(left[i] for i in members))
    return groups
