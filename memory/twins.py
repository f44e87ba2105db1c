"""Inserts that were not needed, because an item says the very same: what names one of them names that item."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

from agentevo.memory.admit import held_because
from agentevo.memory.trust import lowest
from agentevo.types import Item, Op


class Twins(dict[str, str]):
    """The ids that such inserts came with, and the items that stand for them."""

    def __init__(self, known: Mapping[str, str] | None = None) -> None:
        super().__init__(known or {})
        self._unforeseen = set(self.values())
        """What may be trusted less than whoever derived something from it could know."""

    def add(self, id: str, twin: str) -> None:
        """Let an item stand for an insert."""
        self[id] = twin
        self._unforeseen.add(twin)

    def led(self, op: Op) -> Op:
        """Return an op that names the items that stand for the inserts it names."""
        item, to = op.item and self._led(op.item), self._each(op.to)
        return op if item is op.item and to is op.to else op.model_copy(update={"item": item, "to": to})

    def _led(self, item: Item) -> Item:
        led: dict[str, object] = {
            "derived_from": self._each(item.derived_from), "links": self._each(item.links),
            "supersedes": self.get(item.supersedes or "", item.supersedes),
        }  # fmt: skip
        return item.model_copy(update=led) if any(getattr(item, name) != value for name, value in led.items()) else item

    def _each(self, names: tuple[str, ...]) -> tuple[str, ...]:
        return names if self.keys().isdisjoint(names) else tuple(dict.fromkeys(self.get(name, name) for name in names))

    def lowered(self, item: Item, read: Callable[[Sequence[str]], Iterable[Item]]) -> tuple[Item, str]:
        """Return an item trusted no more than what it turns out to be derived from, and why it is held because of that.

        `read` is asked for the items of these ids.
        """
        names = sorted(self._unforeseen.intersection(item.derived_from))
        trust = lowest(item.trust, (parent.trust for parent in read(names))) if names else item.trust
        if trust == item.trust:
            return item, ""
        self._unforeseen.add(item.id)
        item = item.model_copy(update={"trust": trust})
        why = held_because(item) if item.status == "live" else None
        return (item.model_copy(update={"status": "quarantined"}), why) if why else (item, "")
