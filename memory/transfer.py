"""Import: the lines of an export become a memory again, with nothing left out."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence

from agentevo.memory import export_lines, rows
from agentevo.memory.doubt import barred, descendants
from agentevo.memory.embedding import in_batches
from agentevo.memory.history import UNDO
from agentevo.memory.incoming import Incoming, Vectors, incoming, named
from agentevo.memory.ledger import Progress, silent
from agentevo.memory.nearby import chunks, marks
from agentevo.memory.outgoing import TABLES
from agentevo.memory.source import Stored
from agentevo.memory.trust import BLOCKED, PURGED
from agentevo.memory.writer import Writer
from agentevo.types import Item, Op, Verb


def imported(
    stored: Stored, lines: Sequence[str], vectors: Vectors, actor: str, at: float, progress: Progress = silent
) -> int:
    """Read an export into a namespace in one transaction; return how many items came in.

    Into an empty namespace everything comes back as it was. Elsewhere the items are added, without those that are here
    already, and the journal notes an import; what an undo took back is restored. All lines are read, and found to be
    good, and items without a vector are embedded, before anything is locked.
    """
    read = incoming(lines, stored.namespace, vectors, progress)
    theirs, ours = _made_by(read, vectors), _embedded(stored, read, vectors, progress)
    with stored.ledger.writing() as db:
        for made_by in filter(None, (theirs, ours)):
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


def _embedded(
    stored: Stored, read: Incoming, vectors: Vectors, progress: Progress
) -> tuple[set[int], str | None] | None:
    """Make the vectors of new items that come without; return how long they are, and the fingerprint of their maker."""
    bare = [item for item in read.items if item.id not in read.vectors]
    known = stored.rows([item.id for item in bare])
    new = [item for item in bare if item.id not in known]
    if not new:
        return None
    assert vectors.embedder is not None
    made = in_batches(vectors.embedder, [item.key_text or item.text for item in new], progress)
    read.vectors.update(zip((item.id for item in new), made, strict=True))
    return {len(vector) for vector in made}, vectors.fingerprint


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
    undone = _undone(db, stored, [item for item in read.items if item.status != "forgotten"])
    progress("writing items", 0, len(new))
    stops = _marked_as_purged(db, stored, read)
    for name, twin in _said_twice(db, stored, [*new, *undone]):  # an item may be linked to one that comes after it
        writer.twins.add(name, twin)
    back = _back([item for item in undone if item.id not in writer.twins])
    with named("what these lines say together"):
        ops = [Op(verb="insert", id=item.id, item=item) for item in new if item.id not in writer.twins]
        done = writer.put([*ops, *back, *stops])
    return len(new) + len(undone) - len(writer.twins) - len(done.skipped)


def _undone(db: sqlite3.Connection, stored: Stored, items: Sequence[Item]) -> list[Item]:
    """Return those of these items that are forgotten here because an import of them was undone."""
    found: set[str] = set()
    for chunk in chunks([item.id for item in items]):
        query = f"""SELECT items.id FROM items JOIN ops ON ops.seq = version JOIN transactions AS undo USING (txn)
            JOIN transactions AS undone ON undone.id = substr(undo.key, {len(UNDO) + 1}) AND undone.ns = items.ns
            JOIN ops AS brought ON brought.txn = undone.txn AND brought.item = items.id
            WHERE items.ns = ? AND items.id IN ({marks(chunk)}) AND status = 'forgotten' AND undo.key GLOB '{UNDO}*'
            AND undone.reason = 'import' AND brought.verb IN ('insert', 'restore')"""
        found.update(name for (name,) in db.execute(query, (stored.ns, *chunk)))
    return [item for item in items if item.id in found]


def _back(items: Sequence[Item]) -> list[Op]:
    """Return the ops that bring forgotten items back, with the marks they come with."""
    held = [item for item in items if item.status == "quarantined"]
    wanted: list[tuple[Verb, Sequence[Item]]] = [("restore", items), ("quarantine", held)]
    wanted.append(("pin", [item for item in items if item.pinned]))
    return [Op(verb=verb, id=item.id) for verb, some in wanted for item in some]


def _marked_as_purged(db: sqlite3.Connection, stored: Stored, read: Incoming) -> list[Op]:
    """Note which attempts were purged elsewhere; return ops that bar the adapters here that were trained on them."""
    attempts = [line.parent for _, line in read.of(export_lines.PurgedLine)]
    db.executemany("INSERT OR IGNORE INTO derived VALUES (?,?,?)", [(stored.ns, name, PURGED) for name in attempts])
    trained = [item for item in descendants(stored, attempts) if BLOCKED not in item.metadata]
    return barred(trained, "trained on what was purged elsewhere")


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
        if kind in TABLES:
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
    table, _, columns = TABLES[kind]
    bound = (stored.ns, *(getattr(line, name) for name in columns))
    with named(f"line {number}"):
        db.execute(f"INSERT INTO {table} (ns, {', '.join(columns)}) VALUES ({', '.join('?' * len(bound))})", bound)
