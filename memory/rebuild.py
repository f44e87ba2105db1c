"""Building the index anew from the ledger, and the vectors anew with another embedder."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from typing import TYPE_CHECKING

from agentevo.errors import EmbedderError, LedgerBusy
from agentevo.memory.damage import corrupt
from agentevo.memory.embedding import in_batches
from agentevo.memory.exact import Vector
from agentevo.memory.ledger import Progress, silent
from agentevo.memory.store import Store, embedder_of

if TYPE_CHECKING:
    from agentevo.protocols import Embedder

_ALL = "SELECT row, coalesce(nullif(key_text, ''), text) FROM items"
_SAID = f"{_ALL} ORDER BY row"
_UNSEEN = f"{_ALL} WHERE row NOT IN (SELECT row FROM vectors) ORDER BY row"


def reindex(store: Store, embedder: str | Embedder | None, progress: Progress = silent) -> int:
    """Throw the index away and build it again, and make what vectors are missing; return how many there are."""
    if embedder is not None:
        _embed_anew(store, embedder, progress)
    else:
        _embed_missing(store, progress)
    with store.ledger.reading() as db:
        names = [name for (name,) in db.execute("SELECT name FROM namespaces ORDER BY ns")]
        count = int(db.execute("SELECT count(*) FROM vectors").fetchone()[0])
    if store.index is not None and not store.index.drop([store.namespace(name).collection for name in names]):
        raise LedgerBusy(f"another process has the index of {store.ledger.name} open; close it there first")
    for name in names:
        stored = store.namespace(name)
        with store.ledger.reading() as db:
            large = len(stored.shelf.columns(db).rows) > store.exact_limit
        if large and store.index is not None:
            store.index.catch_up(store.ledger, stored.ns, stored.collection, progress)
    return count


def _embed_anew(store: Store, wanted: str | Embedder, progress: Progress) -> None:
    """Make every vector with another embedder first, then put them all in place in one transaction."""
    embedder, known = embedder_of(wanted), dict[int, tuple[str, Vector]]()
    while not _put(store, embedder, known):  # others write while the texts are embedded, so what they wrote comes next
        with store.ledger.reading() as db:
            said = _said(store, db)
        new = [(row, text) for row, text in said if row not in known or known[row][0] != text]
        vectors = in_batches(embedder, [text for _, text in new], progress)
        known |= {row: (text, vector) for (row, text), vector in zip(new, vectors, strict=True)}
    store.embedder = embedder
    store.forget_arrays()


def _embed_missing(store: Store, progress: Progress) -> None:
    """Make the vectors of items that have none; what is changed meanwhile has one by then."""
    with store.ledger.reading() as db:
        said = _said(store, db, _UNSEEN)
    if not said:
        return
    assert store.embedder is not None
    vectors = in_batches(store.embedder, [text for _, text in said], progress)
    known = {row: (text, vector) for (row, text), vector in zip(said, vectors, strict=True)}
    with store.ledger.writing() as db:
        store.fit({len(vector) for vector in vectors}, store.fingerprint)
        left = {row for row, text in _said(store, db, _UNSEEN) if row in known and known[row][0] == text}
        made = [(row, known[row][1].tobytes()) for row in left]
        db.executemany("INSERT INTO vectors (row, vector) VALUES (?, ?)", made)
        _let_all_read_anew(db)
    store.forget_arrays()


def _said(store: Store, db: sqlite3.Connection, query: str = _SAID) -> list[tuple[int, str]]:
    """Return what items are found by, every one of them or those of a query, with their rows."""
    said = db.execute(query).fetchall()
    strange = next((row for row, text in said if not isinstance(text, str)), None)
    if strange is not None:
        raise corrupt(store.ledger.name, f"the item in row {strange} has no text")
    return said


def _put(store: Store, embedder: Embedder, known: Mapping[int, tuple[str, Vector]]) -> bool:
    """Put all vectors in place in one transaction; False where there are texts that are not embedded yet."""
    with store.ledger.writing() as db:
        said = _said(store, db)
        if any(row not in known or known[row][0] != text for row, text in said):
            return False
        lengths = {len(known[row][1]) for row, _ in said}
        if len(lengths) > 1:
            raise EmbedderError(f"{embedder.name} made vectors of different lengths: {sorted(lengths)}")
        made = [(row, known[row][1].tobytes()) for row, _ in said]
        db.executemany("INSERT OR REPLACE INTO vectors (row, vector) VALUES (?, ?)", made)
        new: dict[str, object] = {"embedder": embedder.name, "fingerprint": None, "dimensions": None}
        if lengths:  # an embedder that has embedded nothing may not know what its vectors are like
            new |= {"fingerprint": embedder.fingerprint, "dimensions": lengths.pop()}
        db.executemany("INSERT OR REPLACE INTO meta (name, value) VALUES (?, ?)", new.items())
        _let_all_read_anew(db)
    return True


def _let_all_read_anew(db: sqlite3.Connection) -> None:
    """Note a purge that purges nothing: every process drops its arrays and reads the new vectors."""
    db.execute("INSERT INTO purged (ns, row) SELECT ns, 0 FROM namespaces")
