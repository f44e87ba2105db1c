"""Many items at a glance: what forgetting and hashing look at, as plain numbers rather than whole items."""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, TypeVar, get_args

from agentevo import protocols
from agentevo.errors import Misuse
from agentevo.memory.exact import Vector
from agentevo.memory.overlay import Overlay
from agentevo.memory.rank import place
from agentevo.memory.source import Source, Stored
from agentevo.memory.verbs import Verbs
from agentevo.memory.where import Node, Where, fits, parse, to_sql
from agentevo.types import Item, Kind

T = TypeVar("T")

ALL_KINDS: tuple[Kind, ...] = get_args(Kind)
_AT_ONCE = 500


class Vitals(NamedTuple):
    """The numbers of one live item; `version` moves when its text does, and is negative in a draft."""

    row: int
    id: str
    version: int
    kind: str
    pinned: int
    created_at: float
    expires_at: float | None
    strength: float
    last_used_at: float | None
    uses: int
    importance: float
    wins: float
    losses: float

    @property
    def utility(self) -> float:
        return (self.wins + 1) / (self.wins + self.losses + 2)


_COLUMNS = ", ".join(f"items.{name}" for name in Vitals._fields)


def own(memory: protocols.Memory) -> Verbs:
    """Return the memory as one of agentevo's own; raise Misuse for any other."""
    if not isinstance(memory, Verbs):
        raise Misuse(f"this needs an agentevo memory or a draft of one, not {type(memory).__name__}")
    return memory


async def vitals(
    memory: protocols.Memory, *, where: Where | None = None, kinds: Sequence[Kind] = ALL_KINDS
) -> list[Vitals]:
    """Return the vitals of all live items that pass, in the order they were inserted."""
    return await surveyed(memory, list, where=where, kinds=kinds)


async def surveyed(
    memory: protocols.Memory,
    look: Callable[[Iterator[Vitals]], T],
    *,
    where: Where | None = None,
    kinds: Sequence[Kind] = ALL_KINDS,
) -> T:
    """Show a function the same one by one: of a hundred thousand that are not kept nothing is collected later."""
    source, node = own(memory)._source, parse(where)

    def shown() -> T:
        with source.reading():
            return look(_vitals(source, kinds, node))

    return await asyncio.to_thread(shown)


async def counted(
    memory: protocols.Memory, order: str, cap: int, *, where: Where | None = None, kinds: Sequence[Kind] = ALL_KINDS
) -> tuple[int, list[str]] | None:
    """Count what passes and name, in the ledger's order, the unpinned that are over the cap; None in a changed draft.

    The ledger counts and sorts a hundred thousand in a tenth of the time that looking at each takes.
    """
    source, node = own(memory)._source, parse(where)
    while isinstance(source, Overlay) and not source._items:
        source = source._base
    return await asyncio.to_thread(_counted, source, kinds, node, order, cap) if isinstance(source, Stored) else None


def _counted(source: Stored, kinds: Sequence[Kind], node: Node | None, order: str, cap: int) -> tuple[int, list[str]]:
    passing, parameters = _passing(source, kinds, node)
    with source.ledger.reading() as db:
        total = int(db.execute(f"SELECT count(*) FROM items WHERE {passing}", parameters).fetchone()[0])
        over = f"SELECT id FROM items WHERE {passing} AND NOT pinned ORDER BY {order}, row LIMIT ?"
        return total, [name for (name,) in db.execute(over, (*parameters, max(0, total - cap)))]


def _passing(source: Stored, kinds: Sequence[Kind], node: Node | None) -> tuple[str, list[Any]]:
    condition, parameters = to_sql(node, source.ns) if node else ("1", [])
    # `+ns`: a plain scan in the order of rows is faster than going through an index that most rows pass.
    passing = f"+ns = ? AND status = 'live' AND kind IN ({', '.join('?' * len(kinds))}) AND {condition}"
    return passing, [source.ns, *kinds, *parameters]


def _vitals(source: Source, kinds: Sequence[Kind], node: Node | None) -> Iterator[Vitals]:
    if isinstance(source, Overlay):
        below = (one for one in _vitals(source._base, kinds, node) if one.id not in source._rows)
        mine = ((r, x) for r, x in source._items.items() if x.status == "live" and x.kind in kinds and fits(node, x))
        changed = sorted((_of(row, item) for row, item in mine), key=_place)
        yield from heapq.merge(below, changed, key=_place)
        return
    assert isinstance(source, Stored)
    passing, parameters = _passing(source, kinds, node)
    with source.ledger.reading() as db:
        query = f"SELECT {_COLUMNS} FROM items WHERE {passing} ORDER BY row"
        yield from map(Vitals._make, db.execute(query, parameters))


def _place(one: Vitals) -> int:
    return place(one.row)


def _of(row: int, item: Item) -> Vitals:
    return Vitals(
        row, item.id, -1, item.kind, item.pinned, item.created_at, item.expires_at, item.strength, item.last_used_at,
        item.uses, item.importance, item.wins, item.losses,
    )  # fmt: skip


async def vectors(memory: protocols.Memory, ids: Sequence[str]) -> dict[str, Vector]:
    """Return the vector of each item that is here, by id."""
    return await asyncio.to_thread(_vectors, own(memory)._source, ids)


def _vectors(source: Source, ids: Sequence[str]) -> dict[str, Vector]:
    found: dict[str, Vector] = {}
    for start in range(0, len(ids), _AT_ONCE):
        rows: Mapping[str, int] = source.rows(ids[start : start + _AT_ONCE])
        known = source.vectors(list(rows.values()))
        found |= {name: known[row] for name, row in rows.items() if row in known}
    return found


async def vector_of(memory: protocols.Memory, text: str) -> Vector:
    """Return a text's vector, from the memory's own embedder."""
    found: Sequence[Any] = await asyncio.to_thread(own(memory)._embedded, [text])
    vector: Vector = found[0]
    return vector
