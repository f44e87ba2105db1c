"""A filter as a mask over the arrays of a namespace: each comparison asks the ledger once, and is then remembered."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from agentevo.memory.exact import Columns
from agentevo.memory.where import MOVING, Node, Test, rows_sql
from agentevo.types import RECALLED_KINDS

Mask = NDArray[np.bool_]
_REMEMBERED = 64


@dataclass(frozen=True, slots=True)
class Filter:
    """Which items count: live ones of these kinds that have not expired, and pass the tree."""

    kinds: Sequence[str] = RECALLED_KINDS
    node: Node | None = None
    now: float = 0.0


class Masks:
    """Masks of comparisons, kept while the namespace they were made for has not changed."""

    def __init__(self, ns: int) -> None:
        self._ns = ns
        self._kept: tuple[Columns | None, dict[Test, Mask]] = (None, {})

    def passing(self, db: sqlite3.Connection, columns: Columns, node: Node) -> Mask:
        """Return which rows pass the filter."""
        if isinstance(node, tuple):
            parts = np.stack([self.passing(db, columns, part) for part in node[1]])
            joined = np.logical_and if node[0] == "and" else np.logical_or
            return np.asarray(joined.reduce(parts, axis=0), dtype=np.bool_)
        if node.own in MOVING:
            return self._asked(db, columns, node)
        state = self._kept  # read and replaced as one: other threads may ask for other columns
        if state[0] is not columns:
            state = self._kept = (columns, {})
        kept = state[1]
        mask = kept.get(node)
        if mask is None:
            mask = kept[node] = self._asked(db, columns, node)
            if len(kept) > _REMEMBERED:
                kept.clear()
        return mask

    def _asked(self, db: sqlite3.Connection, columns: Columns, test: Test) -> Mask:
        query, parameters, negated = rows_sql(test, self._ns)
        found = np.fromiter((row for (row,) in db.execute(query, parameters)), np.int64)
        mask = np.zeros(len(columns.rows), dtype=bool)
        mask[columns.positions(found)] = True
        return ~mask if negated else mask
