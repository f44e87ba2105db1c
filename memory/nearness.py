"""How near what was never used is to what was: past questions tell which of the unused ones may still be asked for."""

from __future__ import annotations

from collections.abc import Sequence
from heapq import nlargest

import numpy as np

from agentevo import protocols
from agentevo.memory.vitals import Vitals, vectors

_COMPARED = 256
"""Items are compared with so many of those used last: more tell little, and cost as much again."""
_AT_ONCE = 2_000


async def nearness(memory: protocols.Memory, here: Sequence[Vitals]) -> dict[str, float]:
    """Return for each item never used its cosine to the nearest of those used last; empty where none was used."""
    used = nlargest(_COMPARED, (one for one in here if one.uses), key=lambda one: one.last_used_at or one.created_at)
    known = await vectors(memory, [one.id for one in used])
    if not known:
        return {}
    columns = np.stack(list(known.values())).T
    unused = [one.id for one in here if not one.uses]
    found: dict[str, float] = {}
    for start in range(0, len(unused), _AT_ONCE):
        some = await vectors(memory, unused[start : start + _AT_ONCE])
        if some:
            found |= dict(zip(some, (np.stack(list(some.values())) @ columns).max(axis=1).tolist(), strict=True))
    return found
