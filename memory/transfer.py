"""Export and import: a memory as lines of JSON, with nothing left out."""

from __future__ import annotations

import base64
import contextlib
import json
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from pydantic import ValidationError

from agentevo.errors import EmbedderError, LedgerCorrupt, Misuse
from agentevo.memory import export_lines, rows
from agentevo.memory.admit import must_be_text
from agentevo.memory.exact import Vector
from agentevo.memory.ledger import Progress, silent
from agentevo.memory.source import Stored
from agentevo.memory.writer import Writer
from agentevo.types import Item, Op, why_invalid

if TYPE_CHECKING:
    from agentevo.protocols import Embedder

FORMAT = 1
_UNREADABLE = (
    ValueError, LookupError, TypeError, AttributeError, OverflowError, RecursionError,
    sqlite3.IntegrityError, sqlite3.InterfaceError, sqlite3.ProgrammingError,
)  # fmt: skip
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
        yield _line("header", {"format": FORMAT, "namespace": stored.namespace, **made_by})
        last = db.execute("SELECT seq FROM sqlite_sequence WHERE name = 'items'").fetchone()
        rows_in_all = last[0] if last else 0
        for low in range(1, rows_in_all + 1, _PAGE):
            progress("items", low, rows_in_all)
            yield from _items(db, stored, low, low + _PAGE - 1, lost)
        for done, line in enumerate(_journal(db, stored, lost)):
            progress("history", done, 0)
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


class Vectors(Protocol):
    """What judges whether vectors belong into a memory."""

    @property
    def embedder(self) -> Embedder | None: ...

    def compare(self, lengths: Iterable[int], fingerprint: str | None = None) -> None: ...

    def note(self, dimensions: int, fingerprint: str | None = None) -> None: ...


def imported(stored: Stored, lines: Sequence[str], vectors: Vectors, at: float, progress: Progress = silent) -> int:
    """Read an export into a namespace in one transaction; return how many items came in.

    Into an empty namespace everything comes back as it was. Elsewhere the items are added, without those that are here
    already, and the journal notes an import.
    """
    with stored.ledger.writing() as db:
        used = "SELECT 1 FROM transactions WHERE ns = ? UNION ALL SELECT 1 FROM experiences WHERE ns = ? LIMIT 1"
        empty = db.execute(used, (stored.ns, stored.ns)).fetchone() is None
        target = _Whole(db, stored, at) if empty else _Added(db, stored, at)
        header: dict[str, Any] = {}
        for number, line in enumerate(lines, 1):
            progress("reading lines", number, len(lines))
            with _named(f"line {number}"):
                if line.strip():
                    header |= _take(target, line, vectors)
        _must_be_whole(header, len(lines))
        lengths = {len(vector) for vector in target.vectors.values()}
        stated = {header["dimensions"]} if header.get("dimensions") else set()
        vectors.compare(lengths | stated, header.get("fingerprint"))
        embedder = vectors.embedder
        if not lengths and embedder is not None and header.get("fingerprint") == embedder.fingerprint:
            lengths = stated  # all that had vectors was purged, and yet the memory is known to hold such
        if lengths:
            vectors.note(lengths.pop(), header.get("fingerprint"))
        with _named("what these lines say together"):
            target.finish(progress)
        return target.count


@contextlib.contextmanager
def _named(what: str) -> Iterator[None]:
    """Say which line cannot be read, and why."""
    try:
        yield
    except Misuse:
        raise
    except _UNREADABLE as error:
        said = why_invalid(error) if isinstance(error, ValidationError) else error
        raise Misuse(f"{what} is no part of an export ({said}); nothing was imported") from error


def _take(target: _Whole | _Added, line: str, vectors: Vectors) -> dict[str, Any]:
    """Take in one line; of the header return what it says."""
    values = json.loads(line)
    kind = values.pop("type")
    if kind == "header":
        header = export_lines.Header.model_validate(values)
        _must_fit(header, vectors)
        return {**dict(header), "ended": False}
    if kind == "end":
        return {"ended": True}
    if kind == "item":
        blob = values.pop("vector", None)
        item = Item.model_validate({**values, "namespace": target.stored.namespace})
        must_be_text(item.text)
        if blob is not None:
            target.vectors[item.id] = _vector(blob)
        target.item(item)
    else:
        target.other(kind, values)
    return {}


def _must_be_whole(header: dict[str, Any], count: int) -> None:
    """Refuse an export that was cut off between two lines, which nothing else would show."""
    if not count:
        raise Misuse("there is nothing in it; expected the lines that export wrote")
    if header.get("ended") is False:
        raise Misuse(
            f"this export is cut off after line {count}: its last line, of the type 'end', is missing; nothing was "
            "imported (without its first line, of the type 'header', what is left is taken as it is)"
        )


def _must_fit(header: export_lines.Header, vectors: Vectors) -> None:
    if header.format > FORMAT:
        raise Misuse(f"this export has format {header.format}; upgrade agentevo to read it")
    if header.embedder is not None and vectors.embedder is not None and header.embedder != vectors.embedder.name:
        raise EmbedderError(
            f"this export holds vectors of {header.embedder!r}, this memory uses {vectors.embedder.name!r}: "
            f"import into a memory opened with embedder={header.embedder!r}, then reindex that one"
        )


def _vector(blob: str) -> Vector:
    vector = np.frombuffer(base64.b64decode(blob, validate=True), np.float32)
    if not abs(float(vector @ vector) - 1) < 0.01:
        raise Misuse("the vector of an item is not of length 1; nothing was imported")
    return vector


class _Added:
    """Items join others: duplicates are left out, and what happened to them elsewhere is not journaled here."""

    def __init__(self, db: sqlite3.Connection, stored: Stored, at: float) -> None:
        self.db, self.stored, self.count = db, stored, 0
        self.vectors: dict[str, Vector] = {}
        self._writer = Writer(db, stored.namespace, stored.ns, self.vectors)
        self._writer.begin(actor="import", reason="import", key=None, at=at)
        self._ops: list[Op] = []

    def item(self, item: Item) -> None:
        if self.db.execute("SELECT 1 FROM items WHERE ns = ? AND id = ?", (self.stored.ns, item.id)).fetchone():
            return
        self._ops.append(Op(verb="insert", id=item.id, item=item))

    def other(self, kind: str, values: dict[str, Any]) -> None:
        query = "SELECT 1 FROM experiences WHERE ns = ? AND id = ?"
        if kind == "experience" and not self.db.execute(query, (self.stored.ns, values["id"])).fetchone():
            _put(self.db, self.stored, kind, values)

    def finish(self, progress: Progress) -> None:
        progress("writing items", 0, len(self._ops))
        self._writer.put(self._ops)
        self.count = len(self._ops) - len(self._writer.twins)


class _Whole:
    """A namespace comes back as it was, journal and all."""

    def __init__(self, db: sqlite3.Connection, stored: Stored, at: float) -> None:
        self.db, self.stored, self.count, self._at = db, stored, 0, at
        self.vectors: dict[str, Vector] = {}
        self._items: list[Item] = []
        self._ops: list[dict[str, Any]] = []

    def item(self, item: Item) -> None:
        self._items.append(item)

    def other(self, kind: str, values: dict[str, Any]) -> None:
        if kind == "op":
            self._ops.append(dict(export_lines.OpLine.model_validate(values)))
        else:
            _put(self.db, self.stored, kind, values)

    def finish(self, progress: Progress) -> None:
        txns = dict(self.db.execute("SELECT id, txn FROM transactions WHERE ns = ?", (self.stored.ns,)))
        seqs: dict[str, int] = {}
        query = "INSERT INTO ops (txn, verb, item, reason, detail, before) VALUES (?,?,?,?,?,?)"
        for op in self._ops:
            bound = (txns[op["transaction"]], op["verb"], op["item"], op["reason"], op["detail"], op["before"])
            seqs[op["item"]] = int(self.db.execute(query, bound).lastrowid or 0)
        writer = Writer(self.db, self.stored.namespace, self.stored.ns, self.vectors)
        for done, item in enumerate(self._items):
            progress("writing items", done, len(self._items))
            if item.id in seqs:
                writer.add_row(item, seqs[item.id])
        self._rescue(writer, [item for item in self._items if item.id not in seqs])
        self.count = len(self._items)

    def _rescue(self, writer: Writer, items: list[Item]) -> None:
        """Journal items whose journal did not come with them: the export of a damaged memory ends early."""
        if items:
            writer.begin(actor="import", reason="import", key=None, at=self._at)
            writer.put([Op(verb="insert", id=item.id, item=item) for item in items])


def _put(db: sqlite3.Connection, stored: Stored, kind: str, values: dict[str, Any]) -> None:
    table, _, columns = _TABLES[kind]
    line = export_lines.OF[kind].model_validate(values)
    bound = (stored.ns, *(getattr(line, name) for name in columns))
    db.execute(f"INSERT INTO {table} (ns, {', '.join(columns)}) VALUES ({', '.join('?' * len(bound))})", bound)
