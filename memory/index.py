"""The index: Chroma, holding ids and vectors only, derived from the ledger and thrown away when in doubt.

Only one process at a time has a Chroma folder open: it holds `index.lock` for as long. (Two that share one lose
vectors without a word.) The others search exactly, which is slower and never wrong. A Chroma server needs no such
lock to read; a process takes it there while it brings the server up to date.
"""

from __future__ import annotations

import hashlib
import itertools
import logging
import os
import shutil
import socket
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlsplit

import numpy as np

from agentevo.errors import LedgerError
from agentevo.memory.exact import Vector
from agentevo.memory.ledger import Progress, silent
from agentevo.memory.residue import clear_reserved

if TYPE_CHECKING:
    from agentevo.memory.ledger import Ledger

T = TypeVar("T")

log = logging.getLogger(__name__)

_BATCH = 5_000  # Chroma takes at most 5,461 at once, and larger batches faster
_STEP = 100  # where others run: Chroma lets no other thread run in a step, and whoever closes waits for it to end
_PAUSE_S = 0.02  # a recall needs several turns at Python's lock: without a pause it waits for a step at each of them
_CONNECT_TIMEOUT_S, _SERVER_TIMEOUT_S = 1.0, 10.0  # Chroma itself waits for ever
_PATIENCE_S = 0.02  # a recall does not wait for a catch-up: it searches exactly
_CONFIGURATION = {
    "hnsw": {"space": "ip", "ef_construction": 100, "ef_search": 100, "max_neighbors": 16, "sync_threshold": 2_000}
}
"""What Chroma has not written to its own file, `sync_threshold` at most, it works into the graph at every opening."""

_ran_in: int | None = None
"""The process in which an embedded Chroma was started."""


class Index:
    """A Chroma folder or server; every method may find that it cannot be used now, and then says so by None."""

    def __init__(self, folder: Path, url: str | None = None) -> None:
        self.folder, self.url = folder, url
        self._lock = threading.RLock()
        self._lease: Any = None
        self._client: Any = None
        self._collections: dict[int, Any] = {}
        self._seen: dict[int, int] = {}
        self._purged: dict[int, int] = {}
        self._starting = threading.Lock()
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self.asked = 0
        """How often the index was queried: shows that it is."""

    # --- opening

    def _holds_lease(self) -> bool:
        from filelock import FileLock, Timeout

        if self.url is None and _ran_in not in (None, os.getpid()):
            return False  # a forked child has Chroma's memory, not its threads, and would wait for them for ever
        if self._lease is None:
            self._lease = FileLock(self.folder.with_name("index.lock"), thread_local=False)
        if not self._lease.is_locked:
            try:
                self._lease.acquire(timeout=0)
            except (Timeout, OSError):
                return False
        return True

    def _connected(self) -> Any:
        """Return the client, or None where another process has the folder."""
        if self._client is not None:
            return self._client
        if self.url is None and not self._holds_lease():
            return None
        import chromadb
        from chromadb.config import Settings

        settings = Settings(anonymized_telemetry=False)
        if self.url is None:
            self._client = _persistent(self.folder, settings)
        else:
            parts = urlsplit(self.url)
            host, port = parts.hostname or "", parts.port or 0
            socket.create_connection((host, port), timeout=_CONNECT_TIMEOUT_S).close()  # Chroma would wait for minutes
            self._client = chromadb.HttpClient(host=host, port=port, ssl=parts.scheme == "https", settings=settings)
            for session in _sessions(self._client):
                session.timeout = _SERVER_TIMEOUT_S
        return self._client

    def _collection(self, ns: int, name: str) -> Any:
        if ns not in self._collections:
            client = self._connected()
            if client is None:
                return None
            collection = client.get_or_create_collection(
                name,
                embedding_function=None,
                configuration=_CONFIGURATION,
                metadata={"seen": 0, "count": 0, "purged": 0},
            )
            marked: Mapping[str, int] = collection.metadata or {}
            if collection.count() < marked.get("count", 0):
                raise RuntimeError(f"the index lost {marked['count'] - collection.count()} vectors")
            self._collections[ns] = collection
            self._seen[ns], self._purged[ns] = int(marked.get("seen", 0)), int(marked.get("purged", 0))
        return self._collections[ns]

    def _tried(self, action: Callable[[], T], patience_s: float = -1) -> T | None:
        """Do something with Chroma; where it fails throw the index away, because the ledger has everything."""
        if not self._lock.acquire(timeout=patience_s):
            return None
        try:
            return action()
        except BaseException as error:  # Chroma raises whatever its core raises, panics included
            if not isinstance(error, Exception) and type(error).__name__ != "PanicException":
                raise
            log.warning("the index %s failed and will be rebuilt from the ledger: %s", self._name, error)
            self._discard()
            return None
        finally:
            self._lock.release()

    @property
    def _name(self) -> str:
        return self.url or str(self.folder)

    def _disconnect(self) -> None:
        if self._client is not None:
            self._client.close()
            if self.url is not None:
                for session in _sessions(self._client):  # Chroma leaves them open
                    session.close()
            self._client = None

    def _discard(self) -> None:
        self._collections.clear()
        self._seen.clear()
        self._disconnect()
        if self.url is None and self._holds_lease():
            shutil.rmtree(self.folder, ignore_errors=True)
            if self.folder.is_file():
                self.folder.unlink()  # nothing of ours, where the index has to be

    # --- asking

    def seen(self, ns: int, name: str) -> int | None:
        """Return the version up to which the index knows this namespace; None where it cannot be used."""
        return self._tried(lambda: self._seen.get(ns) if self._collection(ns, name) else None, _PATIENCE_S)

    def query(self, ns: int, name: str, vector: Vector, k: int) -> list[tuple[int, float]] | None:
        """Return up to k rows near the vector, with their cosine; None where the index cannot be used."""

        def ask() -> list[tuple[int, float]] | None:
            collection = self._collection(ns, name)
            if collection is None:
                return None
            self.asked += 1
            found = collection.query(query_embeddings=[vector], n_results=k, include=["distances"])
            pairs = zip(found["ids"][0], found["distances"][0], strict=True)
            return [(int(row), 1.0 - distance) for row, distance in pairs]

        return self._tried(ask, _PATIENCE_S)

    def rows(self, ns: int, name: str) -> set[int] | None:
        """Return every row the index holds; None where it cannot be used."""

        def ask() -> set[int] | None:
            collection = self._collection(ns, name)
            return None if collection is None else {int(row) for row in collection.get(include=[])["ids"]}

        return self._tried(ask)

    # --- following the ledger

    def catch_up(
        self, ledger: Ledger, ns: int, name: str, progress: Progress = silent, batch: int | None = None
    ) -> bool:
        """Bring the index up to the ledger, batch by batch, holding no lock of the ledger; True when it is there."""
        batch = batch or (_BATCH if _is_alone() else _STEP)
        if self.url is not None:
            self._tried(lambda: self._collections.pop(ns, None))  # another process may have brought the server further
        try:
            for batches in itertools.count(1):
                if self._stop.is_set():
                    break
                done = self._tried(lambda: self._one_batch(ledger, ns, name, batch))
                if done is not False:
                    return done is True
                progress("indexing", batches * batch, 0)
                if batch <= _STEP:
                    self._stop.wait(_PAUSE_S)
            return False
        finally:
            if self.url is not None:
                self._tried(self._let_go)

    def _one_batch(self, ledger: Ledger, ns: int, name: str, most: int) -> bool | None:
        """Index one batch: True where it was the last, None where another process has the index."""
        collection = self._collection(ns, name) if self._holds_lease() else None
        if collection is None:
            return None
        self._drop_purged(ledger, ns, collection)
        query = """SELECT items.row, version, status = 'live', vector FROM items JOIN vectors USING (row)
            WHERE ns = ? AND version > ? ORDER BY version LIMIT ?"""
        with ledger.reading() as db:
            batch = db.execute(query, (ns, self._seen[ns], most)).fetchall()
        if batch:
            _put(collection, batch)
            self._mark(ns, collection, batch[-1][1])
        return len(batch) < most

    def _mark(self, ns: int, collection: Any, seen: int) -> None:
        """Note in Chroma itself how far it has come, and how much it should hold."""
        marks = {"seen": seen, "count": collection.count(), "purged": self._purged[ns]}
        collection.modify(metadata=marks)
        self._seen[ns] = seen

    def follow(self, ledger: Ledger, ns: int, name: str) -> None:
        """Catch up in the background, unless that is under way."""
        with self._starting:  # not the lock that a batch holds: whoever writes does not wait for it
            if self._thread is None or not self._thread.is_alive():
                arguments = (ledger, ns, name)
                self._thread = threading.Thread(
                    target=self.catch_up, args=arguments, name="agentevo-index", daemon=True
                )
                self._thread.start()

    def forget_purged(self, ledger: Ledger, ns: int, name: str) -> bool:
        """Take purged rows out; False where another process has the index, which does it at its next catch-up."""

        def take_out() -> bool:
            collection = self._collection(ns, name) if self._holds_lease() else None
            if collection is not None:
                self._drop_purged(ledger, ns, collection)
            if self.url is not None:
                self._let_go()
            elif collection is not None:
                clear_reserved(self.folder)
            return collection is not None

        if self.url is None and not self.folder.exists():
            return True
        return bool(self._tried(take_out))

    def _drop_purged(self, ledger: Ledger, ns: int, collection: Any) -> None:
        query = "SELECT seq, row FROM purged WHERE ns = ? AND seq > ? ORDER BY seq"
        with ledger.reading() as db:
            gone = db.execute(query, (ns, self._purged[ns])).fetchall()
        if gone:
            held = collection.get(ids=[str(row) for _, row in gone], include=[])["ids"]
            if held:
                collection.delete(ids=held)
            self._purged[ns] = gone[-1][0]
            self._mark(ns, collection, self._seen[ns])

    def drop(self, names: list[str]) -> bool:
        """Throw these collections away, so that the next catch-up builds them anew; False where another has them."""
        with self._lock:
            if not self._holds_lease():
                return False
            if self.url is not None:
                self._drop_from_server(names)
            self._discard()
            return True

    def _drop_from_server(self, names: list[str]) -> None:
        try:
            held = {collection.name for collection in self._connected().list_collections()}
            for name in held.intersection(names):
                self._connected().delete_collection(name)
        except Exception as error:  # Chroma raises whatever its core raises
            self._discard()
            raise LedgerError(
                f"the index {self._name} cannot be thrown away ({error}), so what it holds may be old: run "
                "`agentevo memory reindex` again once the server answers"
            ) from error
        finally:
            self._let_go()

    def close(self) -> None:
        """Stop catching up and let another process have the folder."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join()
        with self._lock:
            self._collections.clear()
            self._disconnect()
            self._let_go()

    def _let_go(self) -> None:
        if self._lease is not None:
            self._lease.release()


def _is_alone() -> bool:
    """Say whether nobody else in this process waits for this thread: a bar that shows progress is no one."""
    here = threading.current_thread()
    return here is threading.main_thread() and all(other is here or other.daemon for other in threading.enumerate())


def _persistent(folder: Path, settings: Any) -> Any:
    """Open a Chroma folder; where that fails, also let Chroma forget what it half opened and would reuse."""
    import chromadb
    from chromadb.api.shared_system_client import SharedSystemClient

    global _ran_in
    _ran_in = os.getpid()
    try:
        return chromadb.PersistentClient(str(folder), settings=settings)
    except BaseException:
        SharedSystemClient._identifier_to_system.pop(str(folder), None)
        SharedSystemClient._identifier_to_refcount.pop(str(folder), None)
        raise


def _sessions(client: Any) -> list[Any]:
    """Return the connections of a client of a server: its own, and one that it checks tenants by."""
    return [client._server._session, client._admin_client._server._session]


def collection_name(memory: str, namespace: str) -> str:
    """Return a name Chroma accepts for a namespace, which may be any text, of a memory that may share its server."""
    return "ns-" + hashlib.sha256(f"{memory}/{namespace}".encode("utf-8", "surrogatepass")).hexdigest()[:40]


def _put(collection: Any, batch: list[tuple[int, int, int, bytes]]) -> None:
    live = {str(row): vector for row, _, is_live, vector in batch if is_live}
    gone = [str(row) for row, _, is_live, _ in batch if not is_live]
    if live:
        vectors = np.frombuffer(b"".join(live.values()), np.float32).reshape(len(live), -1)
        collection.upsert(ids=list(live), embeddings=vectors)
    if gone:
        collection.delete(ids=gone)
