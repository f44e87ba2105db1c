"""Export and import: a memory as lines of JSON, with nothing left out."""

from __future__ import annotations

import base64
import json
import sqlite3
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np
from pydantic import ValidationError

from agentevo.errors import LedgerCorrupt, Misuse
from agentevo.memory import rows
from agentevo.memory.exact import Vector
from agentevo.memory.source import Stored
from agentevo.memory.writer import Writer
from agentevo.types import Experience, Item, Op, why_invalid

FORMAT = 1
_TABLES = {
    "transaction": ("transactions", "txn", ("id", "actor", "reason", "key", "at", "content", "undone_by", "skipped")),
    "credit": ("credits", "key, item", ("key", "item", "changes")),
    "experience": ("experiences", "row", ("id", "run", "task", "score", "at", "body")),
}


def exported(stored: Stored) -> Iterator[str]:
    """Yield the namespace line by line: a header, then items with vectors, experiences, credits and the journal."""
    yield _line("header", {"format": FORMAT, "namespace": stored.namespace})
    with stored.ledger.reading() as db:
        yield from _items(db, stored)
        for kind, (table, order, columns) in _TABLES.items():
            query = f"SELECT {', '.join(columns)} FROM {table} WHERE ns = ? ORDER BY {order}"
            for row in db.execute(query, (stored.ns,)):
                yield _line(kind, dict(zip(columns, row, strict=True)))
        query = """SELECT transactions.id, verb, item, ops.reason, detail, before FROM ops JOIN transactions USING (txn)
            WHERE ns = ? ORDER BY seq"""
        for row in db.execute(query, (stored.ns,)):
            yield _line(
                "op", dict(zip(("transaction", "verb", "item", "reason", "detail", "before"), row, strict=True))
            )


def _items(db: sqlite3.Connection, stored: Stored) -> Iterator[str]:
    query = f"""SELECT vectors.vector, {rows.SELECT} FROM items LEFT JOIN vectors ON vectors.row = items.row
        WHERE ns = ? ORDER BY items.row"""
    cursor = db.execute(query, (stored.ns,))
    while True:
        try:
            row = cursor.fetchone()
        except sqlite3.DatabaseError as error:
            raise LedgerCorrupt(
                f"{stored.ledger.name} is damaged ({error}); the items before the damage were exported"
            ) from error
        if row is None:
            return
        vector = base64.b64encode(row[0]).decode() if row[0] is not None else None
        item = rows.to_item(row[1:], stored.namespace).model_dump(mode="json", exclude_defaults=True)
        yield _line("item", {**item, "vector": vector})


def _line(kind: str, values: dict[str, Any]) -> str:
    return json.dumps({"type": kind, **values}, ensure_ascii=False, separators=(",", ":"))


def imported(
    stored: Stored, lines: Iterable[str], writing: Callable[[], Any], dimensions: Callable[[int], None], at: float
) -> int:
    """Read an export into a namespace in one transaction; return how many items came in.

    Into an empty namespace everything comes back as it was. Elsewhere the items are added, without those that are here
    already, and the journal notes an import.
    """
    with writing() as db:
        empty = db.execute("SELECT 1 FROM transactions WHERE ns = ? LIMIT 1", (stored.ns,)).fetchone() is None
        target = _Whole(db, stored) if empty else _Added(db, stored, at)
        for number, line in enumerate(lines, 1):
            if line.strip():
                _take(target, line, number, dimensions)
        target.finish()
        return target.count


def _take(target: _Whole | _Added, line: str, number: int, dimensions: Callable[[int], None]) -> None:
    try:
        values = json.loads(line)
        kind = values.pop("type")
        if kind == "header":
            if values.get("format", 0) > FORMAT:
                raise Misuse(f"line {number}: this export has format {values['format']}; upgrade agentevo to read it")
            return
        if kind == "item":
            blob = values.pop("vector", None)
            vector = None if blob is None else np.frombuffer(base64.b64decode(blob, validate=True), np.float32)
            if vector is not None:
                dimensions(len(vector))
            target.item(Item.model_validate({**values, "namespace": target.stored.namespace}), vector)
        else:
            target.other(kind, values)
    except (ValueError, KeyError, TypeError, AttributeError, sqlite3.IntegrityError) as error:
        if isinstance(error, Misuse):
            raise
        said = why_invalid(error) if isinstance(error, ValidationError) else error
        raise Misuse(f"line {number} is no line of an export ({said}); nothing was imported") from error


class _Added:
    """Items join others: duplicates are left out, and what happened to them elsewhere is not journaled here."""

    def __init__(self, db: sqlite3.Connection, stored: Stored, at: float) -> None:
        self.db, self.stored, self.count = db, stored, 0
        self._vectors: dict[str, Vector] = {}
        self._writer = Writer(db, stored.namespace, stored.ns, self._vectors)
        self._writer.begin(actor="import", reason="import", key=None, at=at)
        self._ops: list[Op] = []

    def item(self, item: Item, vector: Vector | None) -> None:
        if self.db.execute("SELECT 1 FROM items WHERE ns = ? AND id = ?", (self.stored.ns, item.id)).fetchone():
            return
        if vector is not None:
            self._vectors[item.id] = vector
        self._ops.append(Op(verb="insert", id=item.id, item=item))

    def other(self, kind: str, values: dict[str, Any]) -> None:
        query = "SELECT 1 FROM experiences WHERE ns = ? AND id = ?"
        if kind == "experience" and not self.db.execute(query, (self.stored.ns, values["id"])).fetchone():
            _put(self.db, self.stored, kind, values)

    def finish(self) -> None:
        self._writer.put(self._ops)
        self.count = len(self._ops) - len(self._writer.twins)


class _Whole:
    """A namespace comes back as it was, journal and all."""

    def __init__(self, db: sqlite3.Connection, stored: Stored) -> None:
        self.db, self.stored, self.count = db, stored, 0
        self._items: list[tuple[Item, Vector | None]] = []
        self._ops: list[dict[str, Any]] = []

    def item(self, item: Item, vector: Vector | None) -> None:
        self._items.append((item, vector))

    def other(self, kind: str, values: dict[str, Any]) -> None:
        if kind == "op":
            self._ops.append(values)
        else:
            _put(self.db, self.stored, kind, values)

    def finish(self) -> None:
        txns = dict(self.db.execute("SELECT id, txn FROM transactions WHERE ns = ?", (self.stored.ns,)))
        seqs: dict[str, int] = {}
        query = "INSERT INTO ops (txn, verb, item, reason, detail, before) VALUES (?,?,?,?,?,?)"
        for op in self._ops:
            bound = (txns[op["transaction"]], op["verb"], op["item"], op["reason"], op["detail"], op["before"])
            seqs[op["item"]] = int(self.db.execute(query, bound).lastrowid or 0)
        vectors = {item.id: vector for item, vector in self._items if vector is not None}
        writer = Writer(self.db, self.stored.namespace, self.stored.ns, vectors)
        for item, _ in self._items:
            writer.add_row(item, seqs.get(item.id, 0))
        self.count = len(self._items)


def _put(db: sqlite3.Connection, stored: Stored, kind: str, values: dict[str, Any]) -> None:
    table, _, columns = _TABLES[kind]
    if kind == "experience":
        Experience.model_validate_json(values["body"])
    bound = (stored.ns, *(values[name] for name in columns))
    db.execute(f"INSERT INTO {table} (ns, {', '.join(columns)}) VALUES ({', '.join('?' * len(bound))})", bound)
