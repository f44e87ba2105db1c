"""Memory: what an agent knows, in a folder. Insert, reflect, forget, and everything to look after it."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

import numpy as np

from agentevo.blocking import threaded, wait
from agentevo.errors import Misuse
from agentevo.memory.draft import Draft
from agentevo.memory.exact import Vector
from agentevo.memory.overlay import as_vector
from agentevo.memory.source import Source, Stored
from agentevo.memory.store import Store
from agentevo.memory.verbs import Verbs
from agentevo.memory.words import Stemmer
from agentevo.memory.writer import Writer, find_transaction
from agentevo.types import Op, Transaction

if TYPE_CHECKING:
    from agentevo.protocols import Embedder

EXACT_LIMIT = 20_000
"""Namespaces up to this size are searched exactly; larger ones ask the index."""


class Memory(Verbs):
    """A namespace of a memory folder. Safe to use from several threads, tasks and processes at once.

    Durable: what a verb has returned from survives a crash of the process or the machine. Not covered: a disk that
    lies about having written, and network file systems, whose locks cannot be relied on.
    """

    def __init__(self, store: Store, namespace: str, actor: str, clock: Callable[[], float]) -> None:
        self._store, self._name, self._actor, self._clock = store, namespace, actor, clock
        self._stored: Stored = store.namespace(namespace)
        self._closed = False

    @classmethod
    def open(
        cls,
        path: str | Path,
        *,
        namespace: str = "default",
        embedder: str | Embedder | None = None,
        chroma: str | None = None,
        actor: str = "user",
        exact_limit: int = EXACT_LIMIT,
        clock: Callable[[], float] = time.time,
    ) -> Memory:
        """Open the memory in a folder, making it where there is none; ":memory:" keeps it in this process alone.

        embedder is a name ("hash" needs no download), or an Embedder; without one, what the memory was made with, else
        the one from the settings. chroma is the URL of a Chroma server to use instead of an embedded index.
        """
        if not namespace:
            raise Misuse("a namespace is any text but the empty one")
        store = Store.acquire(path, chroma=chroma, exact_limit=exact_limit)
        try:
            _adopt(store, embedder)
            return cls(store, namespace, actor, clock)
        except BaseException:
            store.release()
            raise

    def close(self) -> None:
        """Give back what this handle holds; a second call does nothing."""
        if not self._closed:
            self._closed = True
            self._store.release()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self.close()

    @property
    def namespace(self) -> str:
        return self._name

    @property
    def path(self) -> Path | None:
        """The folder; None for a memory in this process alone."""
        return self._store.folder

    # --- what the verbs stand on

    @property
    def _source(self) -> Source:
        self._stored = self._store.namespace(self._name)
        return self._stored

    def _dimensions(self) -> int | None:
        return self._store.dimensions

    def _now(self) -> float:
        return self._clock()

    def _ns(self) -> int:
        return self._stored.ns

    def _stemmer(self) -> Stemmer:
        return self._store.stemmer

    def _embedded(self, texts: Sequence[str]) -> list[Vector]:
        embedder = self._store.embedder
        assert embedder is not None
        vectors = np.asarray(wait(_embed(embedder, texts)), np.float32)
        self._store.confirm(vectors.shape[1], embedder.fingerprint)
        return [as_vector(vector, None, "an embedding") for vector in vectors]

    def _write(self, ops: Sequence[Op], vectors: Mapping[str, Vector], reason: str) -> Transaction:
        return self._committed(ops, vectors, {}, None, reason)

    def _committed(
        self,
        ops: Sequence[Op],
        vectors: Mapping[str, Vector],
        expected: Mapping[str, int],
        key: str | None,
        reason: str,
    ) -> Transaction:
        """Write ops in one short transaction; no model is ever called inside it."""
        if vectors:
            self._store.confirm(len(next(iter(vectors.values()))))
        with self._store.ledger.writing() as db:
            writer = Writer(db, self._name, self._stored.ns, vectors)
            if writer.begin(actor=self._actor, reason=reason, key=key, at=self._clock()) is None:
                before = find_transaction(db, self._name, self._stored.ns, "key", key)
                assert before is not None
                return before
            done = writer.put(ops, expected)
        if len(ops) > 1 or self._store.index is not None:
            self._stored.settle()
        return done

    # --- drafts

    def draft(self) -> Draft:
        """Begin a draft: changes that nobody sees until it is committed."""
        return Draft(self)


async def _embed(embedder: Embedder, texts: Sequence[str]) -> object:
    return await embedder.embed(texts)


def _adopt(store: Store, wanted: str | Embedder | None) -> None:
    """Give the store its embedder, which is loaded only when it is first needed."""
    from agentevo.models import as_embedder
    from agentevo.settings import settings

    stored = store.ledger.meta("embedder")
    if wanted is None:
        wanted = stored or settings().embedder
    if store.embedder is None or (stored is not None and getattr(wanted, "name", wanted) != stored):
        store.adopt(as_embedder(wanted))


__all__ = ["EXACT_LIMIT", "Memory", "threaded"]
