"""Export and import: a memory as lines of JSON, with nothing left out."""

from __future__ import annotations

import base64
import json
import sqlite3
from collections.abc import Iterator, Sequence
from typing import Any

from agentevo.errors import LedgerCorrupt
from agentevo.memory import export_lines, rows
from agentevo.memory.incoming import FORMAT, Incoming, Vectors, incoming, named
from agentevo.memory.ledger import Progress, silent
from agentevo.memory.nearby import chunks, marks
from agentevo.memory.source import Stored
from agentevo.memory.writer import Writer
from agentevo.types import Item, Op

_MADE_BY = ("dimensions", "embedder", "fingerprint")
"""What the ledger notes of the embedder: vectors of another one must not be mixed in."""
_PAGE = 200
_OPS = """SELECT transactions.id, verb, item, ops.reason, detail, before FROM ops JOIN transactions USING (txn)
    WHERE ns = ? ORDER BY seq"""
_TABLES = {
    "transaction": ("transactions", "txn", ("id", "actor", "reason", "key", "at", "content", "undone_by", "skipped")),
    "credit": ("credits", "key, item", ("key", "item", "changes")),
    "experience": ("experiences", "row", ("id", "run", "task", "score", "at", "body")),
}


def exported(stored: Stored, progress: Progress = silent) -> Iterator[str]:
    """Yield the namespace line by line: a header, items with vectors, experiences, credits, the journal, and an end.

    Of a damaged ledger everything that can be read is yielded; then LedgerCorrupt says what could not.
    """
    lost: list[str] = []
    with stored.ledger.snapshot() as db:
        made_by = dict(db.execute(f"SELECT name, value FROM meta WHERE name IN {_MADE_BY}"))
        made_by = made_by if made_by.get("dimensions") else {}  # an embedder that has made nothing binds nobody
        yield _line("header", {"format": FORMAT, "namespace": stored.namespace, **made_by})
        last = db.execute("SELECT seq FROM sqlite_sequence WHERE name = 'items'").fetchone()
        rows_in_all = last[0] if last else 0
        for low in range(1, rows_in_all + 1, _PAGE):
            progress("items", low, rows_in_all)
            yield from _items(db, stored, low, low + _PAGE - 1, lost)
        for done, line in enumerate(_journal(db, stored, lost), 1):
            progress("entries of the history", done, 0)
            yield line
        yield _line("end", {})
    if lost:
        raise LedgerCorrupt(
            f"{stored.ledger.name} is damaged: {len(lost)} parts could not be read ({', '.join(lost[:5])}), "
            "all else was exported; import it into a new memory"
        )


def _items(db: sqlite3.Connection, stored: Stored, low: int, high: int, lost: list[str]) -> Iterator[str]:
    """Yield the items of these rows; around damage they are halved until only what is damaged is left out."""
    query = f"""SELECT vectors.vector, {rows.SELECT} FROM items NOT INDEXED LEFT JOIN vectors ON vectors.row = items.row
        WHERE items.row BETWEEN ? AND ? AND ns = ? ORDER BY items.row"""
    try:
        lines = [_item(row, stored) for row in db.execute(query, (low, high, stored.ns))]
    except (sqlite3.DatabaseError, ValueError):
        if low == high:
            lost.append(f"item in row {low}")
            return
        middle = (low + high) // 2
        yield from _items(db, stored, low, middle, lost)
        yield from _items(db, stored, middle + 1, high, lost)
    else:
        yield from lines


def _item(row: Sequence[Any], stored: Stored) -> str:
    vector = base64.b64encode(row[0]).decode() if row[0] is not None else None
    item = rows.to_item(row[1:], stored.namespace).model_dump(mode="json", exclude_defaults=True, exclude={"namespace"})
    return _line("item", {**item, "vector": vector})


def _journal(db: sqlite3.Connection, stored: Stored, lost: list[str]) -> Iterator[str]:
    """Yield the tables beside the items, each whole or not at all; ops make no sense without their transactions."""
    queries = {
        kind: (f"SELECT {', '.join(columns)} FROM {table} WHERE ns = ? ORDER BY {order}", columns)
        for kind, (table, order, columns) in _TABLES.items()
    }
    queries["op"] = (_OPS, ("transaction", "verb", "item", "reason", "detail", "before"))
    for kind, (query, columns) in queries.items():
        try:
            lines = [_line(kind, dict(zip(columns, row, strict=True))) for row in db.execute(query, (stored.ns,))]
        except sqlite3.DatabaseError:
            lost.append(f"every {kind}")
            continue
        if kind != "op" or "every transaction" not in lost:
            yield from lines


def _line(kind: str, values: dict[str, Any]) -> str:
    return json.dumps({"type": kind, **values}, ensure_ascii=False, separators=(",", ":"))


# --- import


def imported(
    stored: Stored, lines: Sequence[str], vectors: Vectors, actor: str, at: float, progress: Progress = silent
) -> int:
    """Read an export into a namespace in one transaction; return how many items came in.

    Into an empty namespace everything comes back as it was. Elsewhere the items are added, without those that are here
    already, and the journal notes an import. All lines are read, and found to be good, before anything is locked.
    """
    read = incoming(lines, stored.namespace, vectors, progress)
    made_by = _made_by(read, vectors)
    with stored.ledger.writing() as db:
        if made_by:
            vectors.fit(*made_by)  # others may have written since the lines were read
        used = "SELECT 1 FROM transactions WHERE ns = ? UNION ALL SELECT 1 FROM experiences WHERE ns = ? LIMIT 1"
        is_empty = db.execute(used, (stored.ns, stored.ns)).fetchone() is None
        put = _put_whole if is_empty else _put_beside
        return put(db, stored, read, actor, at, progress)


def _made_by(read: Incoming, vectors: Vectors) -> tuple[set[int], str | None] | None:
    """Return how long the vectors of this export are, and the fingerprint of what made them; None without vectors."""
    fingerprint = read.header.fingerprint if read.header else None
    stated = read.header.dimensions if read.header else None
    lengths = {len(vector) for vector in read.vectors.values()}
    if not lengths and stated and fingerprint is not None and fingerprint == vectors.fingerprint:
        lengths = {stated}  # all that had vectors was purged, and yet the memory is known to hold such
    return (lengths, fingerprint) if lengths else None


def _put_beside(
    db: sqlite3.Connection, stored: Stored, read: Incoming, actor: str, at: float, progress: Progress
) -> int:
    """Let items join others: duplicates are left out, and what happened to them elsewhere is not journaled here."""
    writer = Writer(db, stored, read.vectors)
    writer.begin(actor=actor, reason="import", key=None, at=at)
    for number, line in read.of(export_lines.ExperienceLine):
        query = "SELECT 1 FROM experiences WHERE ns = ? AND id = ?"
        if not db.execute(query, (stored.ns, line.id)).fetchone():
            _put(db, stored, number, "experience", line)
    known = set(stored.rows([item.id for item in read.items]))
    new = [item for item in read.items if item.id not in known]
    ops = [Op(verb="insert", id=item.id, item=item) for item in new]
    progress("writing items", 0, len(ops))
    for name, twin in _said_twice(db, stored, new):  # an item may be linked to one that comes after it
        writer.twins.add(name, twin)
    with named("what these lines say together"):
        writer.put(ops)
    return len(ops) - len(writer.twins)


def _said_twice(db: sqlite3.Connection, stored: Stored, items: Sequence[Item]) -> Iterator[tuple[str, str]]:
    """Yield which of these items will not be inserted, because another says the very same, and which other."""
    digests = [rows.digest(item.kind, item.text) for item in items]
    said: dict[bytes, str] = {}
    for chunk in chunks(digests):
        query = f"""SELECT digest, id FROM items WHERE ns = ? AND digest IN ({marks(chunk)})
            AND status != 'forgotten' ORDER BY row DESC"""
        said.update(db.execute(query, (stored.ns, *chunk)))
    for item, digest in zip(items, digests, strict=True):
        if digest in said:
            yield item.id, said[digest]
        elif item.status != "forgotten":
            said[digest] = item.id


def _put_whole(
    db: sqlite3.Connection, stored: Stored, read: Incoming, actor: str, at: float, progress: Progress
) -> int:
    """Bring a namespace back as it was, journal and all."""
    for number, kind, line in read.others:
        if kind in _TABLES:
            _put(db, stored, number, kind, line)
    writer = Writer(db, stored, read.vectors)
    with named("what these lines say together"):
        seqs = _put_ops(db, stored, read)
        for done, item in enumerate(read.items):
            progress("writing items", done, len(read.items))
            if item.id in seqs:
                writer.add_row(item, seqs[item.id])
        _rescue(writer, [item for item in read.items if item.id not in seqs], actor, at)
    return len(read.items)


def _put_ops(db: sqlite3.Connection, stored: Stored, read: Incoming) -> dict[str, int]:
    """Write the journal; return the number of each item's latest line in it."""
    txns = dict(db.execute("SELECT id, txn FROM transactions WHERE ns = ?", (stored.ns,)))
    query = "INSERT INTO ops (txn, verb, item, reason, detail, before) VALUES (?,?,?,?,?,?)"
    seqs: dict[str, int] = {}
    for _, op in read.of(export_lines.OpLine):
        bound = (txns[op.transaction], op.verb, op.item, op.reason, op.detail, op.before)
        seqs[op.item] = int(db.execute(query, bound).lastrowid or 0)
    return seqs


def _rescue(writer: Writer, items: list[Item], actor: str, at: float) -> None:
    """Journal items whose journal did not come with them: the export of a damaged memory ends early."""
    if items:
        writer.begin(actor=actor, reason="import", key=None, at=at)
        writer.put([Op(verb="insert", id=item.id, item=item) for item in items])


def _put(db: sqlite3.Connection, stored: Stored, number: int, kind: str, line: export_lines.Line) -> None:
    table, _, columns = _TABLES[kind]
    bound = (stored.ns, *(getattr(line, name) for name in columns))
    with named(f"line {number}"):
        db.execute(f"INSERT INTO {table} (ns, {', '.join(columns)}) VALUES ({', '.join('?' * len(bound))})", bound)
