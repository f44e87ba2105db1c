"""An export: a namespace as lines of JSON, with nothing left out; of a damaged ledger all that can be read."""

from __future__ import annotations

import base64
import json
import sqlite3
from collections.abc import Iterator, Sequence
from typing import Any

from agentevo.errors import LedgerCorrupt
from agentevo.memory import rows, salvage
from agentevo.memory.incoming import FORMAT
from agentevo.memory.ledger import Ledger, Progress, silent
from agentevo.memory.trust import PURGED

TABLES = {
    "transaction": ("transactions", "txn", ("id", "actor", "reason", "key", "at", "content", "undone_by", "skipped")),
    "credit": ("credits", "key, item", ("key", "item", "changes")),
    "experience": ("experiences", "row", ("id", "run", "task", "score", "at", "body")),
    "purged": ("derived", "parent", ("parent", "child")),
}
"""The tables beside the items: what orders their rows, and what a line says of one."""
_ONLY = {"purged": f"AND child = '{PURGED}'"}
"""Which rows are told, where the others follow from the items."""
_UNNUMBERED = {"credit": "credit", "purged": "purge mark"}
"""The tables whose rows have no numbers, and what a row of each is called."""
_MADE_BY = ("dimensions", "embedder", "fingerprint")
"""What the ledger notes of the embedder: vectors of another one must not be mixed in."""
_PAGE = 200
_WHERE = "WHERE items.row BETWEEN ? AND ? AND ns = ? ORDER BY items.row"
_ITEMS = f"""SELECT vectors.vector, {rows.SELECT} FROM items NOT INDEXED
    LEFT JOIN vectors ON vectors.row = items.row {_WHERE}"""
_ITEMS_ALONE = f"SELECT NULL, {rows.SELECT} FROM items NOT INDEXED {_WHERE}"
_OP = ("transaction", "verb", "item", "reason", "detail", "before")
_OPS = """SELECT transactions.id, verb, item, ops.reason, detail, before FROM ops JOIN transactions USING (txn)
    WHERE ns = ? ORDER BY seq"""


def exported(ledger: Ledger, namespace: str, progress: Progress = silent) -> Iterator[str]:
    """Yield a namespace line by line: a header, items with vectors, the tables beside them, the journal, and an end.

    Of a damaged ledger everything that can be read is yielded; then LedgerCorrupt says what could not.
    """
    with ledger.snapshot() as db:
        readable = _Readable(db, namespace)
        yield readable.header()
        yield from readable.items(progress)
        for done, line in enumerate(readable.journal(), 1):
            progress("entries of the history", done, 0)
            yield line
        yield _line("end", {})
    if lost := readable.lost:
        raise LedgerCorrupt(
            f"{ledger.name} is damaged: {len(lost)} parts could not be read ({', '.join(lost[:5])}), "
            "all else was exported; import it into a new memory"
        )


class _Readable:
    """A namespace as far as it can be read; what of it cannot is gone around, table by table."""

    def __init__(self, db: sqlite3.Connection, namespace: str) -> None:
        self.db, self.namespace, self.ns = db, namespace, salvage.namespaces(db)[namespace]
        self.lost: list[str] = []
        self._query = _ITEMS

    def header(self) -> str:
        """Return the first line; where nothing says what made the vectors, none is exported: import makes new ones."""
        try:
            made_by = dict(self.db.execute(f"SELECT name, value FROM meta WHERE name IN {_MADE_BY}"))
        except sqlite3.DatabaseError:
            self.lost.append("what made the vectors, and so every vector")
            self._query, made_by = _ITEMS_ALONE, {}
        made_by = made_by if made_by.get("dimensions") else {}  # an embedder that has made nothing binds nobody
        return _line("header", {"format": FORMAT, "namespace": self.namespace, **made_by})

    def items(self, progress: Progress) -> Iterator[str]:
        try:
            last = salvage.last_row(self.db, "items", "row")
        except sqlite3.DatabaseError:
            self.lost.append("every item")
            return
        for low in range(1, last + 1, _PAGE):
            progress("items", low, last)
            yield from salvage.around(self._page, low, min(low + _PAGE - 1, last), "item", self.lost)

    def _page(self, low: int, high: int) -> list[str]:
        """Return the items of these rows; one whose vector cannot be read comes without."""
        try:
            return self._items(self._query, low, high)
        except salvage.UNREADABLE:
            if low < high:
                raise
            found = self._items(_ITEMS_ALONE, low, high)
            self.lost += [f"vector of the item in row {low}"] * len(found)
            return found

    def _items(self, query: str, low: int, high: int) -> list[str]:
        return [_item(row, self.namespace) for row in self.db.execute(query, (low, high, self.ns))]

    def journal(self) -> Iterator[str]:
        """Yield the tables beside the items, and the ops."""
        harmed = False
        for kind in TABLES:
            try:
                lines = list(self._told(kind))
            except salvage.UNREADABLE:
                lines = list(self._from_both_ends(kind) if kind in _UNNUMBERED else self._salvaged(kind))
                harmed = harmed or kind == "transaction"
            yield from lines
        try:
            ops = self._salvaged_ops() if harmed else list(self._rows("op", _OP, _OPS))
        except salvage.UNREADABLE:
            ops = self._salvaged_ops()
        yield from ops

    def _told(self, kind: str, way: str = "ASC") -> Iterator[str]:
        """Return the lines of a table in its order, or in the other."""
        table, order, columns = TABLES[kind]
        ordered = ", ".join(f"{name} {way}" for name in order.split(", "))
        query = f"SELECT {', '.join(columns)} FROM {table} WHERE ns = ? {_ONLY.get(kind, '')} ORDER BY {ordered}"
        return self._rows(kind, columns, query)

    def _rows(self, kind: str, columns: Sequence[str], query: str) -> Iterator[str]:
        return (_row(kind, columns, row) for row in self.db.execute(query, (self.ns,)))

    # --- around damage

    def _from_both_ends(self, kind: str) -> Iterator[str]:
        return salvage.from_both_ends(lambda way: self._told(kind, way), _UNNUMBERED[kind], self.lost)

    def _salvaged(self, kind: str) -> Iterator[str]:
        table, order, columns = TABLES[kind]

        def line(row: Sequence[Any]) -> str | None:
            return _row(kind, columns, row[1:]) if row[0] == self.ns else None

        return salvage.numbered(self.db, table, order, ("ns", *columns), line, kind, self.lost)

    def _salvaged_ops(self) -> list[str]:
        """Return the ops of transactions that can be read: nothing else says whose ops they are."""
        columns = ("txn", "ns", *TABLES["transaction"][2])  # all, as where they are exported: what is read is the same
        found = salvage.numbered(self.db, "transactions", "txn", columns, tuple, "transaction", [])
        owners = {txn: (ns, name) for txn, ns, name, *_ in found}

        def line(row: Sequence[Any]) -> str | None:
            ns, transaction = owners[row[0]]
            return _row("op", _OP, (transaction, *row[1:])) if ns == self.ns else None

        return list(salvage.numbered(self.db, "ops", "seq", ("txn", *_OP[1:]), line, "op", self.lost))


def _item(row: Sequence[Any], namespace: str) -> str:
    vector = base64.b64encode(row[0]).decode() if row[0] is not None else None
    item = rows.to_item(row[1:], namespace).model_dump(mode="json", exclude_defaults=True, exclude={"namespace"})
    return _line("item", {**item, "vector": vector})


def _row(kind: str, columns: Sequence[str], row: Sequence[Any]) -> str:
    return _line(kind, dict(zip(columns, row, strict=True)))


def _line(kind: str, values: dict[str, Any]) -> str:
    return json.dumps({"type": kind, **values}, ensure_ascii=False, separators=(",", ":"))
