"""Doubt: what was derived from something that was purged or corrected is held back until somebody looks at it."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING

from agentevo.memory.trust import BLOCKED, DOUBTED
from agentevo.types import Item, Json, Op

if TYPE_CHECKING:
    from agentevo.memory.source import Source


def descendants(source: Source, ids: Sequence[str], *, but: Collection[str] = ()) -> list[Item]:
    """Return everything derived from these ids, however far down, but for some, and what rests on those alone."""
    found: dict[str, Item] = {}
    with source.reading():
        waiting = list(ids)
        while waiting:
            for child in source.children(waiting.pop()):
                item = source.find(child)
                if item is not None and child not in found and child not in ids and child not in but:
                    found[child] = item[0]
                    waiting.append(child)
    return list(found.values())


def questioned(derived: Sequence[Item], reason: str) -> list[Op]:
    """Return ops that quarantine what was derived from something, and mark it, also what is forgotten: it may be
    restored, and goes into quarantine then. Adapters hold no text that could be held back.
    """
    ops: list[Op] = []
    for item in derived:
        if item.kind != "adapter":
            changes: dict[str, Json] = {"metadata": {**item.metadata, DOUBTED: reason}}
            ops.append(Op(verb="edit", id=item.id, changes=changes, reason=reason))
            ops += [Op(verb="quarantine", id=item.id, reason=reason)] if item.status == "live" else []
    return ops


def barred(derived: Sequence[Item], reason: str) -> list[Op]:
    """Return ops that mark adapters as trained on what is no more, for good, and take those in use out of it."""
    ops: list[Op] = []
    for item in derived:
        if item.kind == "adapter":
            told = {**item.metadata, BLOCKED: reason}
            ops.append(Op(verb="edit", id=item.id, changes={"metadata": told}, reason=reason))
            ops += [Op(verb="quarantine", id=item.id, reason=reason)] if item.status == "live" else []
    return ops


def corrected(id: str) -> str:
    """Return why what was derived from an item is doubted that was corrected."""
    return f"derived from {id}, which was corrected"


class Doubts:
    """What is derived from what a series of ops corrects, gathered while they are carried out.

    Whoever made the ops looked at what was derived by then; between that and the moment they are carried out others
    may have derived more.
    """

    def __init__(self, source: Source) -> None:
        self._source = source
        self._why: dict[str, str] = {}
        self._settled: set[str] = set()

    def see(self, op: Op, before: Item, after: Item, instead: Collection[str] = ()) -> bool:
        """Look at an op that was carried out, and say whether it corrects; `instead` is what holds from then on."""
        if before.metadata.get(DOUBTED) != after.metadata.get(DOUBTED):
            self.settle([before.id])
        corrects = _corrects(op, before, after)
        if corrects:
            self.suspect(before.id, instead)
        return corrects

    def suspect(self, id: str, instead: Collection[str]) -> None:
        """Suspect what is derived from an item that is not true; what holds instead is not doubted with it."""
        for item in descendants(self._source, [id], but=instead):
            self._why.setdefault(item.id, corrected(id))

    def settle(self, ids: Collection[str]) -> None:
        """Let items be as the ops seen leave them."""
        self._settled.update(ids)

    def left(self) -> list[Op]:
        """Return ops that doubt what the ops seen so far said nothing of, and begin anew."""
        names = [name for name in self._why if name not in self._settled]
        found = self._source.found(names)
        ops = [op for name in names if name in found for op in questioned([found[name].item], self._why[name])]
        self._why, self._settled = {}, set()
        return ops


def _corrects(op: Op, before: Item, after: Item) -> bool:
    """Say whether an op takes back what an item said. What is derived from what it replaces says that better."""
    if op.verb == "supersede":
        return op.item is not None and before.id not in op.item.derived_from
    if op.verb == "forget":
        return bool(op.to) and before.status != after.status
    return op.verb == "edit" and before.text != after.text
