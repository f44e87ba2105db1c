"""Memory: what an agent knows, in a folder. Insert, reflect, forget, and everything to look after it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from agentevo.blocking import threaded
from agentevo.errors import LedgerError
from agentevo.memory import experiences as kept
from agentevo.memory import export_file, outgoing, rebuild, transfer
from agentevo.memory import history as past
from agentevo.memory import verify as checks
from agentevo.memory.admit import new_id
from agentevo.memory.arguments import checked
from agentevo.memory.backup import backed_up
from agentevo.memory.doubt import descendants
from agentevo.memory.draft import Draft
from agentevo.memory.embedding import embedded
from agentevo.memory.entry import find_transaction
from agentevo.memory.exact import Vector
from agentevo.memory.experiences import Kept
from agentevo.memory.history import Change, Lineage
from agentevo.memory.kept_draft import KeptDraft
from agentevo.memory.ledger import BUSY_TIMEOUT_S, Progress, silent
from agentevo.memory.purge import Purged, destroy
from agentevo.memory.source import Source, Stored
from agentevo.memory.store import Store
from agentevo.memory.sweep import Swept
from agentevo.memory.verify import Stats, Verification
from agentevo.memory.words import Stemmer
from agentevo.memory.writer import Writer
from agentevo.protocols import Embedder, Immediate
from agentevo.shared_thread import SharedThread
from agentevo.types import Experience, Item, Op, Transaction

EXACT_LIMIT = 20_000
"""Namespaces up to this size are searched exactly; larger ones ask the index."""
_SHORT = 5_000
"""Up to so many items a recall is done in a millisecond or two, nearly all of it in Python."""


class Memory(Swept):
    """A namespace of a memory folder. Safe to use from several threads, tasks and processes at once.

    Durable: what a verb has returned from survives a crash of the process or the machine. Not covered: a disk that
    lies about having written, and network file systems, whose locks cannot be relied on.
    """

    def __init__(self, store: Store, namespace: str, actor: str, clock: Callable[[], float]) -> None:
        self._store, self._name, self._actor, self._clock = store, namespace, actor, clock
        self._closed = False
        self._embedded_by: str | None = None
        store.namespace(namespace)

    @classmethod
    @checked
    def open(
        cls,
        path: str | Path,
        *,
        namespace: str = "default",
        embedder: str | Embedder | None = None,
        chroma: str | None = None,
        actor: str = "user",
        exact_limit: int = EXACT_LIMIT,
        busy_timeout_s: float = BUSY_TIMEOUT_S,
        clock: Callable[[], float] = time.time,
    ) -> Memory:
        """Open the memory in a folder, making it where there is none; ":memory:" keeps it in this process alone.

        embedder is a name ("hash" needs no download), or an Embedder; without one, what the memory was made with, else
        the one from the settings. chroma is the address of a Chroma server (http://HOST:PORT, HOST:PORT) to use
        instead of an embedded index. A write that finds another process writing waits busy_timeout_s, then raises
        LedgerBusy. Where this process has the folder open already, the first handle's exact_limit and busy_timeout_s
        hold for all.
        """
        store = Store.acquire(path, chroma=chroma, exact_limit=exact_limit, busy_timeout_s=busy_timeout_s)
        try:
            store.adopt(embedder)
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

    def namespaces(self) -> list[str]:
        """Return the names of all namespaces of this memory, this one's too."""
        with self._stored.ledger.reading() as db:
            return [name for (name,) in db.execute("SELECT name FROM namespaces ORDER BY name")]

    @checked
    def within(self, namespace: str) -> Memory:
        """Return another handle of the same memory, for another of its namespaces; it is closed by itself."""
        self._stored.ledger.must_be_usable()
        self._store.retain()
        return Memory(self._store, namespace, self._actor, self._clock)

    @property
    def id(self) -> str:
        """What tells this memory from any other: kept where it is moved, new where it is made anew or copied."""
        return str(self._store.ledger.meta("id"))

    @property
    def path(self) -> Path | None:
        """The folder; None for a memory in this process alone."""
        return self._store.folder

    # --- what the verbs stand on

    @property
    def _stored(self) -> Stored:
        if self._closed:
            raise LedgerError(f"this handle of {self._store.ledger.name} is closed; open the memory again")
        return self._store.namespace(self._name)

    @property
    def _source(self) -> Source:
        return self._stored

    def _dimensions(self) -> int | None:
        return self._store.dimensions

    def _embedder(self) -> object:
        """Return what embeds here: another object once everything was embedded anew."""
        return self._store.embedder

    def _made_by(self) -> tuple[object, ...]:
        """Return what made the vectors here, or would make the first, as far as it is known yet."""
        return self._store.made_by()

    def _now(self) -> float:
        return self._clock()

    def _ns(self) -> int:
        return self._stored.ns

    def _stemmer(self) -> Stemmer:
        return self._store.stemmer

    def _shared_thread(self) -> SharedThread | None:
        embedder: object = self._store.embedder
        is_short = isinstance(embedder, Immediate) and self._stored.shelf.length <= _SHORT
        return self._store.thread if is_short else None

    def _embedded(self, texts: Sequence[str]) -> list[Vector]:
        embedder = self._store.embedder
        assert embedder is not None
        vectors = embedded(embedder, texts)
        self._store.compare([vectors.shape[1]], embedder.fingerprint)
        self._embedded_by = embedder.fingerprint
        return list(vectors)

    def _write(self, ops: Sequence[Op], vectors: Mapping[str, Vector], reason: str) -> Transaction:
        return self._committed(ops, vectors, {}, None, reason)

    def _committed(
        self,
        ops: Sequence[Op],
        vectors: Mapping[str, Vector],
        expected: Mapping[str, int],
        key: str | None,
        reason: str,
        within: Sequence[Transaction] = (),
    ) -> Transaction:
        """Write ops in one short transaction; no model is ever called inside it."""
        stored = self._stored
        with self._store.ledger.writing() as db:
            self._store.fit((len(vector) for vector in vectors.values()), self._embedded_by)
            writer = Writer(db, stored, vectors)
            if writer.begin(actor=self._actor, reason=reason, key=key, at=self._clock()) is None:
                before = find_transaction(db, self._name, stored.ns, "key", key)
                assert before is not None
                return before
            done = writer.put(ops, expected)
            writer.note(within)
        stored.settle(len(ops))
        return done

    def _committed_under(self, key: str) -> Transaction | None:
        with self._stored.ledger.reading() as db:
            return find_transaction(db, self._name, self._ns(), "key", key)

    # --- drafts

    @checked
    def draft(self, name: str | None = None) -> Draft:
        """Begin a draft: changes that nobody sees until it is committed.

        A draft with a name is kept on disk as it grows: after a crash the same name goes on where it was.
        Without one it vanishes with the process.
        """
        return Draft(self) if name is None else KeptDraft(self, name, self._stored)

    # --- experiences

    @checked
    def record(self, experience: Experience, *, run: str = "", id: str | None = None) -> str:
        """Keep an experience forever, as it is but for its secrets, which are masked; return its id."""
        name, experience = id or new_id(), kept.without_secrets(experience)
        stored = self._stored
        with stored.ledger.writing() as db:
            kept.put(db, stored, name, experience, run, self._clock())
        return name

    @checked
    def experiences(
        self,
        *,
        run: str | None = None,
        task: str | None = None,
        min_score: float | None = None,
        limit: int | None = None,
    ) -> Iterator[tuple[str, Experience]]:
        """Yield experiences with their ids, oldest first."""
        found = kept.read(self._stored, run, task, min_score, limit)
        return ((one.id, one.experience) for one in found)

    @checked
    def kept(self, *, run: str | None = None, min_score: float | None = None) -> Iterator[Kept]:
        """Yield experiences with all that is known of them, oldest first."""
        return kept.read(self._stored, run, None, min_score, None)

    # --- looking back

    @checked
    def history(self, id: str | None = None, *, limit: int | None = None) -> list[Change] | list[Transaction]:
        """Return what happened to an item, oldest first; without an id, what was committed, newest first."""
        if id is None:
            return past.transactions(self._stored, limit)
        found = past.changes(self._stored, id)
        if not found:
            self._must(id)
        return found if limit is None else found[max(0, len(found) - limit) :]

    @checked
    def lineage(self, id: str) -> Lineage:
        """Return what an item came from, and what came from it."""
        return past.lineage(self._stored, self._must(id))

    @checked
    def derived(self, id: str) -> list[Item]:
        """Return what came, directly or not, from an item, an attempt or an experience."""
        return descendants(self._stored, [id])

    @checked
    def at(self, time: float) -> list[Item]:
        """Return all items as they were at a time, oldest first."""
        return past.at(self._stored, time)

    def undo(self) -> Transaction:
        """Take back what this actor last changed here, past mere counts; refuse where a later change touched it."""
        stored = self._stored
        plan = past.plan_undo(stored, self._actor)
        return past.take_back(stored, plan, self._said_anew(plan.ops), self._actor, self._clock())

    # --- keeping it

    @checked
    def purge(self, ids: str | Sequence[str], *, reason: str = "") -> Purged:
        """Destroy items, with forgotten ones that say the very same, or experiences: this cannot be taken back.

        Where the outcome says `pending`, purge([]) clears the files once the other process has let go of them.
        """
        names, stored = ([ids] if isinstance(ids, str) else list(dict.fromkeys(ids))), self._stored
        for name in names:
            if not kept.holds(stored, name):
                self._must(name)
        return destroy(stored, names, actor=self._actor, reason=reason or "purge", at=self._clock())

    @checked
    def export(
        self, path: str | Path | None = None, *, force: bool = False, progress: Progress = silent
    ) -> int | Iterator[str]:
        """Write everything in this namespace as JSON lines to a file, and return how many; without one, yield them.

        What is there under this name is replaced where it is an export already, anything else with force alone.
        """
        lines = outgoing.exported(self._stored.ledger, self._name, progress)
        return lines if path is None else export_file.written(Path(path), lines, force=force, own=self.path)

    @checked
    def import_(self, lines: Iterable[str] | str | Path, *, progress: Progress = silent) -> int:
        """Read an export, all of it or nothing, and embed the items without a vector; return how many came in.

        Lines are taken as they are, masked by nobody and trusted as they say: import only what you trust.
        """
        read = export_file.read(Path(lines)) if isinstance(lines, (str, Path)) else list(lines)
        return transfer.imported(self._stored, read, self._store, self._actor, self._clock(), progress)

    @checked
    def backup(self, folder: str | Path, *, progress: Progress = silent) -> Path:
        """Copy the whole memory into a new folder while it is in use."""
        return backed_up(self._store.ledger, Path(folder), self.path, progress)

    def verify(self, *, progress: Progress = silent) -> Verification:
        """Check the ledger against itself and the index against the ledger."""
        return checks.verify(self._stored, progress)

    def stats(self) -> Stats:
        """Count what is here."""
        return checks.stats(self._stored)

    def catch_up(self) -> bool:
        """Bring the index up to date now; False where another process has it."""
        return self._store.index is None or self._stored.catch_up()

    @checked
    def reindex(self, embedder: str | Embedder | None = None, *, progress: Progress = silent) -> int:
        """Build the index anew, with another embedder all vectors first, else what vectors are missing.

        Returns how many vectors there are.
        """
        return rebuild.reindex(self._store, embedder, progress)

    anamespaces = threaded(namespaces)
    arecord = threaded(record)
    aexperiences = threaded(experiences)
    akept = threaded(kept)
    ahistory = threaded(history)
    alineage = threaded(lineage)
    aderived = threaded(derived)
    aat = threaded(at)
    aundo = threaded(undo)
    apurge = threaded(purge)
    aexport = threaded(export)
    aimport = threaded(import_)
    abackup = threaded(backup)
    averify = threaded(verify)
    astats = threaded(stats)
    acatch_up = threaded(catch_up)
    areindex = threaded(reindex)
