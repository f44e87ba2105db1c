"""Reconcile: what is new is held against what is near, and each pair is settled: add, update, merge, supersede, none.

Nothing is destroyed: what loses is forgotten (`restore` brings it back), and every op says what was decided and why.
A pinned item, or one that is trusted more, is never changed in favour of the other; what rests on several attempts is
not superseded by what rests on one.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import KW_ONLY, dataclass
from typing import Literal, TypeAlias

from pydantic import BaseModel

from agentevo.errors import BadReply, Misuse, ModelError
from agentevo.memory.admit import admitted, shows, too_long
from agentevo.memory.arguments import is_number, is_whole, must_be_plain, not_an_answer
from agentevo.memory.asking import asked, failure, numbered, shown, sources, stopped
from agentevo.memory.doubt import descendants, questioned
from agentevo.memory.forget import kinds_of
from agentevo.memory.history import Change
from agentevo.memory.trust import lowest
from agentevo.memory.verbs import Verbs
from agentevo.memory.vitals import own
from agentevo.memory.where import Where, fits, parse, unexpired
from agentevo.memory.words import STOP_WORDS, words
from agentevo.protocols import Memory, State
from agentevo.types import RECALLED_KINDS, Experience, Item, Json, Kind, Op

Choice: TypeAlias = Literal["add", "update", "merge", "supersede", "none"]


KEPT_WORDS = 0.3
"""A text that takes the place of others has at least this share of the words of each, stop words left out."""


class Verdict(BaseModel):
    """How a new item and those near it are settled; `about` are the numbers of the neighbours meant, from 1."""

    decision: Choice
    about: list[int] = []
    text: str = ""
    reason: str = ""


Rule: TypeAlias = Callable[[Item, Sequence[Item]], Verdict]

_ADDED = "add: "
"""So begins the reason of an op that leaves two items as they are, because neither says what the other says."""

RECONCILE = """
A new memory is held against numbered older ones that are near it. Decide one:
add: it says something that none of them says, and contradicts none.
update: it makes one of them (about) more complete; write the complete text.
merge: it and some of them (about) are parts of one statement; write that statement.
supersede: it makes some of them (about) untrue or out of date.
none: one of them (about) says the same already.
Where in doubt, add. Give a short reason.
"""


@dataclass(frozen=True)
class Reconcile:
    """Settle each newly inserted item of the draft with its neighbours; where nothing is new, in a sweep, each item.

    The model decides, or a rule: a plain function of the new item and its neighbours. A reply that cannot be read
    counts as add and is recorded. Neighbours are live items of the same kind, at least `similar` by cosine. What is
    past its date is neither new nor near; what stands for others expires with the last of them.
    """

    k: int = 4
    similar: float = 0.7
    _: KW_ONLY
    rule: Rule | None = None
    where: Where | None = None
    kinds: Sequence[Kind] = RECALLED_KINDS
    prompt: str = RECONCILE

    def __post_init__(self) -> None:
        if not (is_whole(self.k) and self.k >= 1):
            raise Misuse(f"k is {self.k!r}; expected how many neighbours are looked at, 1 or more")
        if not (is_number(self.similar) and -1 <= self.similar <= 1):
            raise Misuse(f"similar is {self.similar!r}; expected a cosine from -1 to 1")
        if self.rule is not None and not callable(self.rule):
            raise Misuse(f"rule is {self.rule!r}; expected a function of the new item and its neighbours")
        if self.rule is not None:
            must_be_plain("rule", self.rule)
        kinds_of(self.kinds)
        parse(unexpired(self.where, 0.0))

    async def __call__(self, state: State, experiences: Sequence[Experience]) -> list[Op]:
        new = await self._new(state, experiences)
        order = {item.id: n for n, item in enumerate(new)}
        gone: set[str] = set()
        ops: list[Op] = []
        for n, item in enumerate(new):
            if item.id in gone:
                continue
            near = [i for i in await self._near(state, item, len(new)) if order.get(i.id, -1) < n and i.id not in gone]
            near = await asyncio.to_thread(_unsettled, own(state.memory), item, near)
            if not near:
                continue
            try:
                settled = await self._settled(state, item, near[: self.k], gone)
            except ModelError as error:
                return stopped("reconciliation", ops, error)
            gone |= {op.id for op in settled if op.verb in ("forget", "supersede", "quarantine")}
            ops += settled
        return ops

    async def _new(self, state: State, experiences: Sequence[Experience]) -> list[Item]:
        """Return what is to be settled, oldest first: each pair is looked at once, from its newer side."""
        where = unexpired(self.where, state.now)
        node = parse(where)
        inserted = await sources(state, list(_inserted(state.memory)))
        if not inserted and not experiences:
            return await state.memory.alist(where=where, kind=self.kinds, order="oldest")
        # An insert that was not needed leads to the item that said the same before: that one is not new.
        new = [item for name, item in inserted.items() if item.id == name and item.status == "live"]
        return sorted((i for i in new if i.kind in self.kinds and fits(node, i)), key=lambda item: item.created_at)

    async def _near(self, state: State, item: Item, others: int) -> list[Item]:
        asked_for = self.k + 1 + min(others, 4 * self.k)
        said = item.key_text or item.text
        hits = await state.memory.arecall(said, asked_for, kind=item.kind, mode="vector", now=state.now)
        return [hit.item for hit in hits if hit.item.id != item.id and hit.score >= self.similar]

    async def _settled(self, state: State, item: Item, near: Sequence[Item], gone: Collection[str]) -> list[Op]:
        if self.rule is not None:
            ruled: object = self.rule(item, near)
            if not isinstance(ruled, Verdict):
                raise not_an_answer("rule", ruled, "a Verdict")
            return await _carried_out(state, item, near, ruled, gone)
        material = f"The new memory:\n{shown(item)}\n\nOlder ones:\n{numbered(near)}"
        try:
            verdict = await asked(state.model, self.prompt, material, Verdict)
            if verdict.decision in ("update", "merge") and (why := too_long(verdict.text)):
                raise BadReply(why)
        except BadReply as error:
            parents = {i.id: i for i in (item, *near)}
            return [failure(state, "reconciliation", error, list(parents), parents)]
        return await _carried_out(state, item, near, verdict, gone)


def _inserted(memory: Memory) -> Iterator[str]:
    """Yield the ids of what a draft adds; a committed memory adds nothing."""
    ops: Sequence[Op] = getattr(memory, "ops", ())
    yield from (op.item.id for op in ops if op.item is not None)


def _unsettled(memory: Verbs, item: Item, near: Sequence[Item]) -> list[Item]:
    """Return the neighbours that an item was not held against yet, or that one of the two was edited after."""
    linked = [other.id for other in near if other.id in item.links]
    if not linked:
        return [*near]
    history = _changes(memory, item.id)
    added = {name: one.at for one in history if _says_add(one) for name in one.to}
    edited = {name: _edited_at(_changes(memory, name)) for name in linked if name in added}
    settled = {name for name, at in edited.items() if max(at, _edited_at(history)) < added[name]}
    return [other for other in near if other.id not in settled]


def _changes(memory: Verbs, id: str) -> list[Change]:
    found = memory.history(id)
    return [one for one in found if isinstance(one, Change)]


def _says_add(change: Change) -> bool:
    return change.verb == "link" and change.reason.startswith(_ADDED)


def _edited_at(history: Sequence[Change]) -> float:
    return max((change.at for change in history if change.verb == "edit"), default=-math.inf)


# --- carrying it out


async def _carried_out(
    state: State, item: Item, near: Sequence[Item], verdict: Verdict, gone: Collection[str]
) -> list[Op]:
    meant = [near[n - 1] for n in dict.fromkeys(verdict.about) if 1 <= n <= len(near)]
    reason = f"{verdict.decision}: {verdict.reason or 'no reason given'}"
    against = await _against(state, item, meant, verdict)
    if verdict.decision in ("update", "merge") and not against:
        parts = [*(meant[:1] if verdict.decision == "update" else meant), item]
        whole = _whole(state, parts, verdict.text)
        same = await _saying(state, whole, parts)
        against = _hidden(same or whole, item, gone)
        if not against:
            return _joined(whole, parts, verdict, reason) if same is None else _kept(same, parts, reason)
    if verdict.decision == "add" or against:
        linked = tuple(other.id for other in (near if verdict.decision == "add" else meant or near))
        kept = f" ({against}: both are kept)" if against else ""
        return [Op(verb="link", id=item.id, to=linked, reason=reason + kept)]
    if verdict.decision == "none":
        return [_forget(item, f"{reason} (said already by {meant[0].id})")]
    return _superseded(item, meant, reason) + await _doubtful(state, item, meant)


async def _doubtful(state: State, item: Item, untrue: Sequence[Item]) -> list[Op]:
    """Hold back what was derived from items that are no longer true, but for what says so."""
    names = [other.id for other in untrue]
    derived = await asyncio.to_thread(descendants, own(state.memory)._source, names, but=[item.id])
    why = f"derived from {', '.join(names)}, which was superseded by {item.id}"
    return questioned(derived, why)


async def _against(state: State, item: Item, meant: Sequence[Item], verdict: Verdict) -> str:
    """Return what speaks against a verdict, or nothing."""
    if verdict.decision == "add":
        return ""
    if not meant:
        return "it names none of them"
    if verdict.decision in ("update", "merge") and not all(_keeps_words(verdict.text, i.text) for i in (item, *meant)):
        return "its text leaves out what they say"
    least = max if verdict.decision == "none" else min
    if verdict.decision != "supersede" and (why := _keeps(item, least(i.trust for i in meant))):
        return f"the new one {why}"
    if verdict.decision == "none":
        return "" if _ends(meant) == _ends([item, *meant]) else f"{meant[0].id} expires sooner"
    for other in meant:
        if why := _keeps(other, item.trust):
            return f"{other.id} {why}"
    return await _outweighed(state, item, meant) if verdict.decision == "supersede" else ""


async def _outweighed(state: State, item: Item, meant: Sequence[Item]) -> str:
    """Return which item rests on more than the new one, which may then not supersede it."""
    support = max(1, await _support(state, item))
    heavier = [other.id for other in meant if await _support(state, other) > support]
    return f"{heavier[0]} rests on more" if heavier else ""


def _keeps_words(whole: str, part: str) -> bool:
    """Say whether a text has enough of a part's words to stand for it: small models write texts that say nothing."""
    wanted = set(words(part)) - STOP_WORDS
    return shows(whole) and len(wanted & set(words(whole))) >= KEPT_WORDS * len(wanted)


def _keeps(item: Item, trust: float) -> str:
    """Return why an item may not go in favour of one that is trusted so much; nothing where it may."""
    if item.pinned:
        return "is pinned"
    return "is trusted more" if item.trust > trust else ""


async def _support(state: State, item: Item) -> float:
    """Return how much stands behind an item: the attempts, or else the items, it came from, and the uses that helped.

    An item that was merely in the prompt of the attempt is no evidence for what came of it.
    """
    items = await sources(state, item.derived_from)
    attempts = [name for name in item.derived_from if name not in items]
    return len(attempts or items) + item.wins


async def _saying(state: State, whole: Item, parts: Sequence[Item]) -> Item | None:
    """Return the item that says already what the whole says: one of its parts, or another that is not forgotten.

    The whole would not be inserted beside it.
    """
    part = next((part for part in parts if (part.kind, part.text) == (whole.kind, whole.text)), None)
    return part or await asyncio.to_thread(own(state.memory)._twin_of, whole)


def _hidden(stays: Item, item: Item, gone: Collection[str]) -> str:
    """Return why others may not be forgotten in favour of what says the same as they do; nothing where they may."""
    if stays.status != "live" or stays.id in gone:
        return "what says all of it is held back or forgotten"
    return "what says all of it is trusted less" if stays.trust < item.trust else ""


def _superseded(item: Item, meant: Sequence[Item], reason: str) -> list[Op]:
    why = f"{reason} (superseded by {item.id})"
    forgotten = [Op(verb="forget", id=other.id, to=(item.id,), reason=why) for other in meant]
    return [*forgotten, Op(verb="link", id=item.id, to=tuple(other.id for other in meant), reason=reason)]


def _joined(whole: Item, parts: Sequence[Item], verdict: Verdict, reason: str) -> list[Op]:
    """Return the ops that put the whole in the place of its parts; an update takes that of the older one."""
    forgotten = [_forget(part, f"{reason} (now in {whole.id})") for part in parts]
    if verdict.decision == "update":
        return [Op(verb="supersede", id=parts[0].id, item=whole, reason=reason), *forgotten[1:]]
    return [Op(verb="insert", id=whole.id, item=whole, reason=reason), *forgotten]


def _kept(same: Item, parts: Sequence[Item], reason: str) -> list[Op]:
    """Return the ops that leave the item that says all of it already: the others go; it has their uses, and lasts."""
    others = [part for part in parts if part.id != same.id]
    counted = [
        Op(verb="reinforce", id=same.id, changes=counts, key=f"now in {same.id}: {part.id}", reason=reason)
        for part in others
        if (counts := _counts(part))
    ]
    ends = _ends([same, *parts])
    lasting = Op(verb="edit", id=same.id, changes={"expires_at": ends}, reason=reason)
    return [
        Op(verb="link", id=same.id, to=tuple(part.id for part in others), reason=reason),
        *([lasting] if ends != same.expires_at else []),
        *counted,
        *(_forget(part, f"{reason} (now in {same.id})") for part in others),
    ]


def _counts(part: Item) -> dict[str, Json]:
    """Return how an item was used, as a reinforcement of another; nothing where it was not."""
    counts: dict[str, Json] = {name: getattr(part, name) for name in ("uses", "wins", "losses") if getattr(part, name)}
    return counts if part.last_used_at is None or not counts else {**counts, "at": part.last_used_at}


def _whole(state: State, parts: Sequence[Item], text: str) -> Item:
    """Return the item that says what its parts said, with their history of use, trusted as the least of them."""
    used = [part.last_used_at for part in parts if part.last_used_at is not None]
    said = {name: value for part in parts for name, value in part.metadata.items() if name not in ("prompt", "answer")}
    fields = {
        "kind": parts[-1].kind, "source": parts[0].source if len({part.source for part in parts}) == 1 else "agent",
        "trust": lowest(1.0, (part.trust for part in parts)), "metadata": said,
        "derived_from": tuple(part.id for part in parts), "strength": max(part.strength for part in parts),
        "importance": max(part.importance for part in parts), "last_used_at": max(used, default=None),
        "uses": sum(part.uses for part in parts), "wins": sum(part.wins for part in parts),
        "losses": sum(part.losses for part in parts), "expires_at": _ends(parts),
    }  # fmt: skip
    return admitted([text], fields, state.memory.namespace, state.now, lambda name: None)[0]


def _ends(items: Sequence[Item]) -> float | None:
    """Return when the last of these expires; None where one never does."""
    dates = [item.expires_at for item in items if item.expires_at is not None]
    return max(dates) if len(dates) == len(items) else None


def _forget(item: Item, reason: str) -> Op:
    return Op(verb="forget", id=item.id, reason=reason)
