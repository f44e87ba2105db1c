"""What a word about an attempt teaches: it stands in place of what earlier words about that attempt taught."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import takewhile
from typing import TYPE_CHECKING, TypeAlias

from agentevo.cycle import Learnt, commit, learn
from agentevo.memory.history import Change
from agentevo.models.usage import uncut
from agentevo.protocols import State
from agentevo.record import Record
from agentevo.together import to_the_end
from agentevo.types import Attempt, Experience, Item, Kind, Op, Transaction

if TYPE_CHECKING:
    from agentevo.memory import Memory

Said: TypeAlias = set[tuple[Kind, str]]
"""What is taught: kinds and texts."""

LOOKED_AT = 32
"""So many transactions are read at first to find those that came after another; ever more where that is too few."""


async def learned(state: State, memory: Memory, told: Attempt, record: Record) -> Transaction:
    """Learn from an attempt as it is judged now, and forget what it taught before and teaches no more.

    Other processes may hear of the same attempt meanwhile: what is committed last stands.
    """
    learnt = await learn(state, [Experience(task=told.task, attempts=(told,))], record)
    with uncut():
        return await to_the_end(_kept(state, memory, told, learnt, record))


async def _kept(state: State, memory: Memory, told: Attempt, learnt: Learnt, record: Record) -> Transaction:
    draft, experiences = learnt
    said = {(op.item.kind, op.item.text) for op in draft.ops if op.item is not None}
    await draft.aapply(_forgetting(await _stale(memory, told, said)))
    done = await commit(state, draft, experiences, record, "feedback")
    # What another process committed after we looked, and before this, is known only now.
    found = await _stale(memory, told, said)
    later = await _later(memory, done) if found else set()
    if raced := [item for item in found if await _made_by(memory, item) not in later]:
        await memory.aapply(_forgetting(raced), reason="feedback")
    return done


async def _stale(memory: Memory, told: Attempt, said: Said) -> list[Item]:
    """Return what an attempt taught that is still there, and is not what it teaches now."""
    made = [item for item in await memory.aderived(told.id) if told.id in item.derived_from]
    return [item for item in made if item.status == "live" and (item.kind, item.text) not in said]


def _forgetting(items: Sequence[Item]) -> list[Op]:
    return [Op(verb="forget", id=item.id, reason="judged anew") for item in items]


async def _made_by(memory: Memory, item: Item) -> str:
    """Return the transaction that an item came with."""
    first, *_ = [one for one in await memory.ahistory(item.id) if isinstance(one, Change)]
    return first.transaction


async def _later(memory: Memory, done: Transaction) -> set[str]:
    """Return the transactions that were committed after one."""
    limit = LOOKED_AT
    while True:
        names = [one.id for one in await memory.ahistory(limit=limit) if isinstance(one, Transaction)]
        if done.id in names or len(names) < limit:
            return set(takewhile(lambda name: name != done.id, names))
        limit *= 4
