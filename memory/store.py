"""What all handles of one path share within a process: the ledger, the index, the embedder, the namespaces."""

from __future__ import annotations

import os
import threading
from pathlib import Path
from typing import TYPE_CHECKING

from agentevo.errors import EmbedderError, LedgerError, Misuse
from agentevo.memory.index import Index
from agentevo.memory.ledger import Ledger
from agentevo.memory.source import Stored
from agentevo.memory.words import Stemmer

if TYPE_CHECKING:
    from agentevo.protocols import Embedder

_LOCK = threading.RLock()
_OPEN: dict[str, Store] = {}


class Store:
    """An open memory folder; `acquire` shares it, `release` closes it with its last user."""

    def __init__(self, key: str, folder: Path | None, chroma: str | None, exact_limit: int) -> None:
        self._key, self._pid = key, os.getpid()
        self.folder, self.exact_limit = folder, exact_limit
        if folder is not None:
            try:
                folder.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise LedgerError(f"cannot make the memory folder {folder}: {error.strerror}") from error
        self.ledger = Ledger(folder / "ledger.db" if folder else None)
        self.index = Index(folder / "index", chroma) if folder else None
        self.stemmer = Stemmer()
        self.embedder: Embedder | None = None
        self._namespaces: dict[str, Stored] = {}
        self._users = 0
        self._confirmed: tuple[int, str | None] | None = None

    @staticmethod
    def acquire(path: str | Path, *, chroma: str | None, exact_limit: int) -> Store:
        """Return the store of a path, opening it where this process has it not yet."""
        folder = None if str(path) == ":memory:" else Path(path).expanduser().resolve()
        if folder is not None and folder.exists() and not folder.is_dir():
            raise Misuse(f"{folder} is a file; a memory is a folder (the one that holds ledger.db)")
        with _LOCK:
            key = f"{folder}" if folder else f":memory:{len(_OPEN)}-{id(object())}"
            store = _OPEN.get(key)
            if store is None or store._pid != os.getpid():  # a handle from before a fork is not ours to use
                store = _OPEN[key] = Store(key, folder, chroma, exact_limit)
            store._users += 1
            return store

    def release(self) -> None:
        """Give the store back; the last one closes it."""
        with _LOCK:
            self._users -= 1
            if self._users > 0 or self._pid != os.getpid():
                return
            if _OPEN.get(self._key) is self:
                del _OPEN[self._key]
        if self.index is not None:
            self.index.close()
        self.stemmer.close()
        self.ledger.close()

    def namespace(self, name: str) -> Stored:
        """Return the committed items of a namespace."""
        if os.getpid() != self._pid:
            raise LedgerError(f"{self.ledger.name} was opened before this process was forked; open it again here")
        with _LOCK:
            if name not in self._namespaces:
                self._namespaces[name] = Stored(self.ledger, self.index, name, exact_limit=self.exact_limit)
            return self._namespaces[name]

    def forget_arrays(self) -> None:
        """Let every namespace be read anew."""
        with _LOCK:
            self._namespaces.clear()

    # --- the embedder this memory's vectors came from

    @property
    def dimensions(self) -> int | None:
        found = self.ledger.meta("dimensions")
        return None if found is None else int(found)

    def adopt(self, embedder: Embedder) -> None:
        """Use an embedder, the one whose vectors are here already; raise EmbedderError at any other."""
        stored = self.ledger.meta("embedder")
        if stored is None:
            self.ledger.set_meta(embedder=embedder.name)
        elif stored != embedder.name:
            raise EmbedderError(
                f"{self.ledger.name} holds vectors of {stored!r}, not of {embedder.name!r}: open it with "
                f"embedder={stored!r}, or rebuild its vectors with `agentevo memory reindex --embedder {embedder.name}`"
            )
        self.embedder = embedder

    def confirm(self, dimensions: int, fingerprint: str | None = None) -> None:
        """Compare what is about to be stored with what is here; note it down at the first time."""
        stored, known = self.dimensions, self.ledger.meta("fingerprint")
        if stored is not None and stored != dimensions:
            raise EmbedderError(f"{self.ledger.name} holds vectors of {stored} dimensions; these have {dimensions}")
        if fingerprint is not None and known is not None and known != fingerprint:
            raise EmbedderError(
                f"the embedder is not what it was when {self.ledger.name} was written (fingerprint {fingerprint}, "
                f"then {known}): run `agentevo memory reindex`"
            )
        if stored is None or (known is None and fingerprint is not None):
            self.ledger.set_meta(dimensions=dimensions, fingerprint=fingerprint)
        self._confirmed = (dimensions, fingerprint)
