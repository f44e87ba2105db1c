"""What all handles of one path share within a process: the ledger, the index, the embedder, the namespaces."""

from __future__ import annotations

import itertools
import os
import threading
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, cast

from agentevo.errors import AgentEvoError, EmbedderError, LedgerError, Misuse
from agentevo.memory.damage import corrupt
from agentevo.memory.index import Index
from agentevo.memory.ledger import Ledger
from agentevo.memory.server import address
from agentevo.memory.source import Stored
from agentevo.memory.words import Stemmer
from agentevo.shared_thread import SharedThread

if TYPE_CHECKING:
    from agentevo.protocols import Embedder

_LOCK = threading.RLock()
_OPEN: dict[str, Store] = {}
_unnamed = itertools.count()


class Store:
    """An open memory folder; `acquire` shares it, `release` closes it with its last user."""

    def __init__(
        self, key: str, folder: Path | None, *, chroma: str | None, exact_limit: int, busy_timeout_s: float
    ) -> None:
        self._key, self._pid = key, os.getpid()
        self.folder, self.exact_limit = folder, exact_limit
        if folder is not None:
            try:
                folder.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise LedgerError(f"cannot make the memory folder {folder}: {error.strerror}") from error
        self.ledger = Ledger(folder / "ledger.db" if folder else None, busy_timeout_s=busy_timeout_s)
        self.index = Index(folder / "index", chroma) if folder else None
        self.stemmer = Stemmer()
        self.thread = SharedThread()
        self.embedder: Embedder | None = None
        self._lock = threading.Lock()
        self._namespaces: dict[str, Stored] = {}
        self._users = 0

    @staticmethod
    def acquire(path: str | Path, *, chroma: str | None, exact_limit: int, busy_timeout_s: float) -> Store:
        """Return the store of a path, opening it where this process has it not yet."""
        folder = None if str(path) == ":memory:" else _folder(path)
        chroma = None if chroma is None else address(chroma)
        with _LOCK:
            key = f"{folder}" if folder else f":memory:{next(_unnamed)}"
            store = _OPEN.get(key)
            if store is None or store._pid != os.getpid():  # a handle from before a fork is not ours to use
                store = Store(key, folder, chroma=chroma, exact_limit=exact_limit, busy_timeout_s=busy_timeout_s)
                _OPEN[key] = store
            elif chroma is not None and store.index is not None and store.index.url != chroma:
                raise Misuse(f"{folder} is open here with chroma={store.index.url!r}; close it before using {chroma!r}")
            store._users += 1
            return store

    def retain(self) -> None:
        """Count one more user of a store that is open."""
        with _LOCK:
            self._users += 1

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
        self.ledger.must_be_usable()
        with self._lock:
            if name not in self._namespaces:
                self._namespaces[name] = Stored(self.ledger, self.index, name, exact_limit=self.exact_limit)
            return self._namespaces[name]

    def forget_arrays(self) -> None:
        """Let every namespace be read anew."""
        with self._lock:
            self._namespaces.clear()

    # --- the embedder this memory's vectors came from

    @property
    def dimensions(self) -> int | None:
        return self._checked(self.ledger.meta("dimensions"))

    def _checked(self, dimensions: object) -> int | None:
        if dimensions is not None and not isinstance(dimensions, int):
            raise corrupt(self.ledger.name, f"it says that its vectors have {dimensions!r:.40} dimensions")
        return dimensions

    @property
    def fingerprint(self) -> str | None:
        """What the embedder says that it is; None where it does not know yet."""
        assert self.embedder is not None
        try:
            return self.embedder.fingerprint or None
        except AgentEvoError:  # some know after their first call, or once they have their weights
            return None

    def made_by(self) -> tuple[str | None, str | None, int | None]:
        """Return the name, the fingerprint and the dimensions of what made the vectors here, or would the first."""
        kept = self.ledger.metas("embedder", "fingerprint", "dimensions")
        return (self._name, self.fingerprint, None) if kept["dimensions"] is None else tuple(kept.values())

    def expected(self) -> tuple[int, str] | None:
        """Return how long vectors must be here, with the words that say so; None where nobody knows yet."""
        assert self.embedder is not None
        stored = self.dimensions
        if stored is not None:
            return stored, f"those of {self.ledger.name} have"
        try:
            own = self.embedder.dimensions
        except AgentEvoError:
            return None
        return (own, f"those that the embedder {self.embedder.name!r} makes have") if own else None

    def adopt(self, wanted: str | Embedder | None) -> None:
        """Use an embedder: that whose vectors are here already, raising EmbedderError at any other, or else any."""
        from agentevo.settings import settings

        kept = self.ledger.metas("embedder", "dimensions")
        stored, is_bare = kept["embedder"], kept["dimensions"] is None
        if wanted is None and self.embedder is not None:
            return
        embedder = embedder_of(wanted or stored or settings().embedder)
        if not is_bare and stored not in (None, embedder.name):
            raise EmbedderError(
                f"{self.ledger.name} holds vectors of {stored!r}, not of {embedder.name!r}: open it with "
                f"embedder={stored!r}, or rebuild its vectors with `agentevo memory reindex --embedder {embedder.name}`"
            )
        if self.embedder is not None and self.embedder.name != embedder.name:
            raise EmbedderError(f"{self.ledger.name} is open here with the embedder {self.embedder.name!r} already")
        self.embedder = self.embedder or embedder
        if wanted is not None and self.ledger.is_new and stored is None:
            self.ledger.set_meta(embedder=embedder.name)

    @property
    def _name(self) -> str:
        assert self.embedder is not None
        return self.embedder.name

    def compare(self, lengths: Iterable[int], fingerprint: str | None = None) -> None:
        """Raise EmbedderError where vectors of these lengths, made by this embedder, do not belong here."""
        self._compare(set(lengths), fingerprint, self.ledger.metas("dimensions", "fingerprint", "embedder"))

    def _compare(self, lengths: set[int], fingerprint: str | None, kept: Mapping[str, object]) -> None:
        stored, known, name = self._checked(kept["dimensions"]), kept["fingerprint"], self._name
        if fingerprint is not None and stored is not None and kept["embedder"] != name:
            raise EmbedderError(
                f"{self.ledger.name} holds vectors of {kept['embedder']!r} by now, not of {name!r}: close it "
                f"everywhere in this process, and open it with embedder={kept['embedder']!r}"
            )
        strange = sorted(lengths - ({stored} if stored is not None else set()))
        if strange and (stored is not None or len(strange) > 1):
            raise EmbedderError(
                f"{self.ledger.name} holds vectors of {stored or strange[0]} dimensions; these have {strange[-1]}"
            )
        if fingerprint is not None and known is not None and known != fingerprint:
            raise EmbedderError(
                f"the embedder is not what it was when {self.ledger.name} was written (fingerprint {fingerprint}, "
                f"then {known}): run `agentevo memory reindex --embedder {name}`"
            )

    def fit(self, lengths: Iterable[int], fingerprint: str | None = None) -> None:
        """Compare, inside an open transaction, and keep what the first vectors of this memory are like."""
        embedder, lengths = self.embedder, set(lengths)
        assert embedder is not None
        if not lengths:
            return
        kept = self.ledger.metas("dimensions", "fingerprint", "embedder")
        self._compare(lengths, fingerprint, kept)
        said = {"embedder": embedder.name, "fingerprint": fingerprint, "dimensions": lengths.pop()}
        if kept["dimensions"] is None:  # what it was made with, if it was named, gives way to what is used
            kept = dict.fromkeys(said)
        if kept["embedder"] not in (None, embedder.name):
            raise EmbedderError(
                f"{self.ledger.name} got its first vectors from {kept['embedder']!r} meanwhile, "
                f"not from {embedder.name!r}: open it with embedder={kept['embedder']!r}"
            )
        new = {name: value for name, value in said.items() if kept[name] is None and value is not None}
        if new:
            self.ledger.set_meta(**new)


def embedder_of(wanted: str | Embedder) -> Embedder:
    """Return the embedder of a name; an Embedder is not asked for its dimensions, which it may not know yet."""
    from agentevo.models import as_embedder

    if callable(getattr(wanted, "embed", None)):
        return cast("Embedder", wanted)
    if isinstance(wanted, str) and not wanted.strip():
        raise Misuse(f"embedder is {wanted!r}; expected a name such as 'hash', or an Embedder")
    try:
        return as_embedder(wanted)
    except OSError as error:  # a name that is looked for as a folder, and can be none
        raise Misuse(f"embedder is {wanted!r:.80}; expected a name such as 'hash', or an Embedder") from error


def _folder(path: str | Path) -> Path:
    try:
        folder = Path(path).expanduser().resolve()
        is_file = folder.exists() and not folder.is_dir()
    except (OSError, ValueError, RuntimeError) as error:
        raise LedgerError(f"{str(path)!r} cannot be a memory folder: {error}") from error
    if is_file:
        raise Misuse(f"{folder} is a file; a memory is a folder (the one that holds ledger.db)")
    return folder
