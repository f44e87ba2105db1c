"""Building the index anew from the ledger, and the vectors anew with another embedder."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from agentevo.blocking import wait
from agentevo.errors import LedgerBusy
from agentevo.memory.ledger import Progress, silent
from agentevo.memory.store import Store

if TYPE_CHECKING:
    from agentevo.protocols import Embedder

_BATCH = 256


def reindex(store: Store, embedder: str | Embedder | None, progress: Progress = silent) -> int:
    """Throw the index away and build it again; return how many vectors there are."""
    if embedder is not None:
        _embed_anew(store, embedder, progress)
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
    from agentevo.models import as_embedder

    embedder = as_embedder(wanted)
    with store.ledger.reading() as db:
        said = db.execute("SELECT row, coalesce(key_text, text) FROM items ORDER BY row").fetchall()
    made: list[tuple[int, bytes]] = []
    for start in range(0, len(said), _BATCH):
        progress("embedding", start, len(said))
        part = said[start : start + _BATCH]
        vectors = np.asarray(wait(_embed(embedder, [text for _, text in part])), np.float32)
        made += [(row, vector.tobytes()) for (row, _), vector in zip(part, vectors, strict=True)]
    with store.ledger.writing() as db:
        db.executemany("INSERT OR REPLACE INTO vectors (row, vector) VALUES (?, ?)", made)
        new = {"embedder": embedder.name, "fingerprint": embedder.fingerprint, "dimensions": embedder.dimensions}
        db.executemany("INSERT OR REPLACE INTO meta (name, value) VALUES (?, ?)", new.items())
        # A purge that purges nothing: every process drops its arrays and reads the new vectors.
        db.execute("INSERT INTO purged (ns, row) SELECT ns, 0 FROM namespaces")
    store.embedder = embedder
    store.forget_arrays()


async def _embed(embedder: Embedder, texts: list[str]) -> object:
    return await embedder.embed(texts)
