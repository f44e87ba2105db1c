"""The ledger: the truth of a memory, in SQLite. An operation is acknowledged once it is committed here."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeAlias

from agentevo.errors import LedgerError
from agentevo.memory.damage import blamed_on_damage, explained
from agentevo.memory.forks import closed_over_forks
from agentevo.memory.migrations import migrate, must_be_ours

Progress: TypeAlias = Callable[[str, int, int], None]
"""Told what is going on, how much of it is done, and how much there is, or 0 where that is not known."""

BUSY_TIMEOUT_S = 30.0
_CHECKPOINT_S = 1.0  # a reader that holds on for longer makes a purge say `pending` rather than wait
_LOG_PAGES, _LONG_LOG_PAGES = 2_000, 8_000
"""The log may grow to 8 MB before what it holds is moved into the ledger, and to 32 by a transaction that is large."""
_LARGE = 1_000  # rows changed
_WRITER_CACHE_KB = 16_000  # with SQLite's own 2 MB a sweep writes the pages of the journal's indexes again and again


def silent(what: str, done: int, total: int) -> None:
    """Tell nobody how far something is."""


class Ledger:
    """One SQLite file: a writing connection behind a lock, and reading connections that are lent and given back."""

    def __init__(self, path: Path | None, *, busy_timeout_s: float = BUSY_TIMEOUT_S) -> None:
        self.path = path
        self._busy_timeout_s = busy_timeout_s
        self._pid = os.getpid()
        self._lock = threading.RLock()
        self._local = threading.local()
        self._readers = threading.Condition()
        self._idle: list[sqlite3.Connection] = []
        self._lent = 0
        self._closed = False
        self._writer: sqlite3.Connection | None = None
        self._log_pages = 0
        with explained(self.name):
            try:
                db = self._writing_connection()
                self._enter_wal(db)
                self.is_new = migrate(db, self.name)
            except BaseException:
                self.close()
                raise
        closed_over_forks(self)

    @property
    def name(self) -> str:
        return str(self.path) if self.path else ":memory:"

    def _connect(self) -> sqlite3.Connection:
        db = sqlite3.connect(
            self.path or ":memory:",
            timeout=self._busy_timeout_s,
            isolation_level=None,
            check_same_thread=False,
            cached_statements=256,
        )
        db.execute("PRAGMA synchronous = FULL")
        db.execute("PRAGMA secure_delete = ON")
        return db

    def _writing_connection(self) -> sqlite3.Connection:
        if self._writer is None:
            self._writer = self._connect()
            self._writer.execute(f"PRAGMA cache_size = -{_WRITER_CACHE_KB}")
            self._writer.execute("PRAGMA temp_store = MEMORY")
            self._limit_log(self._writer, _LOG_PAGES)
        return self._writer

    def _enter_wal(self, db: sqlite3.Connection) -> None:
        """Switch to the write-ahead log; SQLite does not wait by itself where two processes make one ledger at once."""
        give_up = time.monotonic() + self._busy_timeout_s
        while True:
            try:
                must_be_ours(db, self.name)
                db.execute("PRAGMA journal_mode = WAL")
                return
            except sqlite3.OperationalError as error:
                if "locked" not in str(error) or time.monotonic() > give_up:
                    raise
            time.sleep(0.01)

    def close(self) -> None:
        """Close every connection, those in use as soon as they are given back; a second call does nothing."""
        with self._lock, self._readers:
            self._closed = True
            self._close_idle()

    def _close_idle(self) -> None:
        while self._idle:
            self._idle.pop().close()
        if self._writer is not None:
            self._writer.close()
            self._writer = None

    def must_be_usable(self) -> None:
        """Raise LedgerError where this process has closed the ledger, or has it only from before a fork."""
        if self._closed:
            raise LedgerError(f"the memory {self.name} is closed; open it again")
        if self._pid != os.getpid():
            raise LedgerError(f"{self.name} was opened before this process was forked; open it again here")

    # --- forks: SQLite's connections must not be carried into another process

    def before_fork(self) -> None:
        """Let nobody begin anything, and close what is open; the next use opens it again."""
        self._lock.acquire()
        self._readers.acquire()
        if self.path is None or self._closed or self._writes:
            return
        own = 1 if getattr(self._local, "db", None) is not None else 0
        self._readers.wait_for(lambda: self._lent <= own, timeout=1.0)
        self._close_idle()

    def after_fork(self) -> None:
        """Go on, in both processes."""
        self._readers.release()
        self._lock.release()

    # --- reading

    @contextlib.contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """Give a connection to read from: all that is read within is one committed state (or one's own transaction)."""
        self.must_be_usable()
        with explained(self.name):
            if self.path is None or self._writes:
                with self._lock:
                    self.must_be_usable()
                    db = self._writing_connection()
                    with blamed_on_damage(self.name, db):
                        yield db
                return
            around: sqlite3.Connection | None = getattr(self._local, "db", None)
            if around is not None:
                yield around
                return
            db = self._local.db = self._borrowed()
            try:
                db.execute("BEGIN")
                with blamed_on_damage(self.name, db):
                    yield db
            finally:
                self._local.db = None
                self._give_back(db)

    def _borrowed(self) -> sqlite3.Connection:
        with self._readers:
            db = self._idle.pop() if self._idle else self._connect()
            self._lent += 1
        return db

    def _give_back(self, db: sqlite3.Connection) -> None:
        with self._readers:
            self._lent -= 1
            try:
                if db.in_transaction:
                    db.execute("ROLLBACK")
            except sqlite3.Error:
                db.close()
            else:
                db.close() if self._closed else self._idle.append(db)
            self._readers.notify_all()

    @contextlib.contextmanager
    def snapshot(self) -> Iterator[sqlite3.Connection]:
        """Give a connection of its own to read one state from for as long as it takes, in one thread or several."""
        self.must_be_usable()
        with explained(self.name), contextlib.closing(self._connect()) as db:
            if self.path is None:
                with self._lock:
                    self._writing_connection().backup(db)
            db.execute("BEGIN")
            with blamed_on_damage(self.name, db):
                yield db

    def checkpoint(self) -> bool:
        """Move the write-ahead log into the ledger and empty it; True where another connection is in the way."""
        if self.path is None:
            return False
        with self._lock, explained(self.name):
            db = self._writing_connection()
            db.execute(f"PRAGMA busy_timeout = {int(1000 * min(_CHECKPOINT_S, self._busy_timeout_s))}")
            try:
                return bool(db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0])
            finally:
                db.execute(f"PRAGMA busy_timeout = {int(1000 * self._busy_timeout_s)}")

    def meta(self, name: str) -> Any:
        """Return a value the ledger keeps about itself, or None."""
        with self.reading() as db:
            row = db.execute("SELECT value FROM meta WHERE name = ?", (name,)).fetchone()
        return row[0] if row else None

    def metas(self, *names: str) -> dict[str, Any]:
        """Return several values at once; a name that is not there has None."""
        query = f"SELECT name, value FROM meta WHERE name IN ({', '.join('?' * len(names))})"
        with self.reading() as db:
            return dict.fromkeys(names) | dict(db.execute(query, names))

    def set_meta(self, **values: object) -> None:
        """Keep values about the ledger itself."""
        with self.writing() as db:
            db.executemany("INSERT OR REPLACE INTO meta (name, value) VALUES (?, ?)", values.items())

    def ns(self, namespace: str) -> int:
        """Return the number of a namespace, giving it one at its first use."""
        with self.reading() as db:
            row = db.execute("SELECT ns FROM namespaces WHERE name = ?", (namespace,)).fetchone()
        if row:
            return int(row[0])
        with self.writing() as db:
            db.execute("INSERT OR IGNORE INTO namespaces (name) VALUES (?)", (namespace,))
            return int(db.execute("SELECT ns FROM namespaces WHERE name = ?", (namespace,)).fetchone()[0])

    # --- writing

    @contextlib.contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """Run one short transaction: all of it is kept, or none. Inside another it is part of that one."""
        self.must_be_usable()
        with self._lock, explained(self.name):
            self.must_be_usable()
            db = self._writing_connection()
            if self._writes:
                yield db
                return
            db.execute("BEGIN IMMEDIATE")
            self._local.writes, before = True, db.total_changes
            try:
                with blamed_on_damage(self.name, db):
                    yield db
                self._limit_log(db, _LONG_LOG_PAGES if db.total_changes - before > _LARGE else _LOG_PAGES)
                db.execute("COMMIT")
            except BaseException:
                if db.in_transaction:
                    db.execute("ROLLBACK")
                raise
            finally:
                self._local.writes = False

    def _limit_log(self, db: sqlite3.Connection, pages: int) -> None:
        """Say from which length on a commit moves what the log holds into the ledger."""
        if pages != self._log_pages:
            db.execute(f"PRAGMA wal_autocheckpoint = {pages}")
            self._log_pages = pages

    @property
    def _writes(self) -> bool:
        """Whether this thread is inside a transaction of its own."""
        return bool(getattr(self._local, "writes", False))
