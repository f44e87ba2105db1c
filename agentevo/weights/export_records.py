"""Which records may be exported: experiences of a memory by filter, and whether an attempt may still be learned from.

Covered: what was made of an attempt (its experience items), and what stood in its prompt: forgotten, quarantined,
superseded, edited, purged, or of low trust; feedback from sources of low trust; tools that gave orders. Not covered:
text of a forgotten item that an attempt quotes without having recalled it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from functools import lru_cache

from agentevo.errors import Misuse, UnknownName
from agentevo.memory.corrections import ANSWER
from agentevo.memory.draft import Draft
from agentevo.memory.insert import FEEDBACK_TRUST
from agentevo.memory.memory import Memory
from agentevo.memory.orders import gives_orders
from agentevo.memory.trust import TRUST, lowest
from agentevo.memory.where import fits, parse
from agentevo.types import Attempt, Experience, Item, Json
from agentevo.weights.export_rules import ALL, Rules
from agentevo.weights.rows import Found, Left

_REMEMBERED = 4_096
"""So many items are looked up once: many attempts recall the same ones."""


class Records:
    """Experiences to export, with what is known of each attempt's standing."""

    def __init__(self, source: Memory | Iterable[Experience], rules: Rules, items: Mapping[str, Item] | None) -> None:
        if isinstance(source, Draft) or not isinstance(source, Memory | Iterable):
            raise Misuse(f"{type(source).__name__} holds no experiences to export; give a memory, or experiences")
        self._source, self._rules, self._items = source, rules, items
        self._filter = parse(rules.where)

    def found(self) -> Iterator[tuple[Found, Standing, bool]]:
        """Yield the experiences and whether they pass the filter, namespace by namespace, oldest first.

        What passes not may take back what passes: that is yielded too, where a person judged it, and all else is not.
        """
        for found, standing, passes in self._all():
            if passes or any(map(is_judged, found.experience.attempts)):
                yield found, standing, passes

    def _all(self) -> Iterator[tuple[Found, Standing, bool]]:
        if not isinstance(self._source, Memory):
            standing = Standing(self._rules, None if self._items is None else self._items.get)
            for experience in self._source:
                if not isinstance(experience, Experience):
                    raise Misuse(f"{experience!r:.80} is no Experience; give a memory, or experiences")
                found = Found(experience)
                yield found, standing, self._passes(found)
            return
        for name in self._namespaces(self._source):
            with closing(self._source.within(name)) as memory:
                yield from self._within(memory)

    def _namespaces(self, memory: Memory) -> Sequence[str]:
        known = memory.namespaces()
        for name in self._rules.namespaces:
            if name not in (*known, ALL):
                raise UnknownName("namespace", name, known)
        return known if ALL in self._rules.namespaces else self._rules.namespaces or [memory.namespace]

    def _within(self, memory: Memory) -> Iterator[tuple[Found, Standing, bool]]:
        standing = Standing(self._rules, memory.get, memory)
        for kept in memory.kept():
            found = Found(kept.experience, kept.id, kept.run, memory.namespace, kept.at)
            yield found, standing, self._rules.run in (None, kept.run) and self._passes(found)

    def _passes(self, found: Found) -> bool:
        return self._filter is None or fits(self._filter, _as_item(found, self._rules.ability_in(found.experience)))


def is_judged(attempt: Attempt) -> bool:
    """Say whether a person judged an attempt: the last such word on it stands."""
    return any(f.source == "human" for f in attempt.feedback)


def _as_item(found: Found, ability: str) -> Item:
    """Return an experience as what a filter judges."""
    task = found.experience.task
    about: dict[str, Json] = {
        "namespace": found.namespace, "run": found.run, "task": task.id, "provenance": task.provenance,
        "ability": ability, "score": found.experience.score,
    }  # fmt: skip
    return Item.model_construct(id=found.id, text=task.prompt, metadata={**task.data, **about}, created_at=found.at)


class Standing:
    """Whether attempts may be learned from, by what became of the items they used and of those made of them."""

    def __init__(
        self, rules: Rules, get: Callable[[str], Item | None] | None, memory: Memory | Draft | None = None
    ) -> None:
        self._rules, self._get, self._memory = rules, get, memory
        self._used = lru_cache(_REMEMBERED)(self._why_not_used)

    def must_be_good(self, attempt: Attempt, *, is_correction: bool = False) -> None:
        """Raise Left, saying why, where an attempt must not be learned from, or what a person said instead."""
        if self._memory and self._memory.was_purged(attempt.id):
            raise Left("purged")
        for item in self._memory.made_from(attempt.id) if self._memory else ():
            says_it = item.metadata.get(ANSWER) == attempt.answer if is_correction else item.kind == "experience"
            if says_it and (why := self._fate(item) or self._edited(item, attempt)):
                raise Left(why)
        for name in attempt.used if self._get is not None else ():
            why = self._used(name)
            if why and not (self._rules.keep_used and why in ("forgotten", "superseded")):
                raise Left(why)
        if _trust(attempt) < self._rules.min_trust:
            raise Left("low trust")

    def _why_not_used(self, name: str) -> str:
        assert self._get is not None
        item = self._get(name)
        return "purged" if item is None else self._fate(item)

    def _fate(self, item: Item) -> str:
        """Say why an item must not be learned from; empty where it may."""
        if item.status == "quarantined":
            return "quarantined"
        if item.status == "forgotten":
            return "superseded" if "supersede" in self._verbs(item)[-1:] else "forgotten"
        return "low trust" if item.trust < self._rules.min_trust else ""

    def _verbs(self, item: Item) -> list[str]:
        """Return what made an item what it is, the latest last."""
        changes = self._memory.history(item.id) if self._memory else []
        verbs = [str(getattr(change, "verb", "")) for change in changes]
        return [verb for verb in verbs if verb in ("insert", "forget", "restore", "supersede")]

    def _edited(self, item: Item, attempt: Attempt) -> str:
        """Say whether an item no longer says what the attempt did, because somebody edited it."""
        if self._memory is None or attempt.answer in item.text:
            return ""
        before = [getattr(change, "before", None) for change in self._memory.history(item.id)]
        return "superseded" if any(isinstance(old, Item) and old.text != item.text for old in before) else ""


def _trust(attempt: Attempt) -> float:
    outside = any(gives_orders(str(m.get("content", ""))) for m in attempt.messages if m.get("role") == "tool")
    return lowest(TRUST["tool"] if outside else 1.0, (FEEDBACK_TRUST[f.source] for f in attempt.feedback))
