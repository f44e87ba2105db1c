"""The ledger: the truth of a memory, in SQLite. An operation is acknowledged once it is committed here."""

from __future__ import annotations

import contextlib
import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from agentevo.errors import LedgerBusy, LedgerCorrupt, LedgerError
from agentevo.memory.migrations import migrate


class Ledger:
    """One SQLite file, one writing connection guarded by a lock, and a reading connection a thread."""

    def __init__(self, path: Path | None, *, busy_timeout_s: float = 30.0) -> None:
        self.path = path
        self._busy_timeout_s = busy_timeout_s
        self._lock = threading.RLock()
        self._local = threading.local()
        self._all: list[sqlite3.Connection] = []
        self._closed = False
        with explained(self.name):
            self._writer = self._connect()
            migrate(self._writer, self.name)

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
        self._all.append(db)
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA synchronous = FULL")
        db.execute("PRAGMA secure_delete = ON")
        return db

    def close(self) -> None:
        """Close every connection; a second call does nothing."""
        with self._lock:
            self._closed = True
            for db in self._all:
                db.close()
            self._all.clear()

    # --- reading

    @contextlib.contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """Give a connection to read from; what it sees is committed."""
        if self._closed:
            raise LedgerError(f"the memory {self.name} is closed")
        with explained(self.name):
            if self.path is None:
                with self._lock:
                    yield self._writer
                return
            db = getattr(self._local, "db", None)
            if db is None:
                with self._lock:
                    db = self._local.db = self._connect()
            yield db

    def backup(self, folder: Path) -> None:
        """Copy the ledger as it is at one moment, while others go on using it."""
        with explained(str(folder)):
            folder.mkdir(parents=True, exist_ok=True)
            copy = sqlite3.connect(folder / "ledger.db")
            try:
                with self.reading() as db:
                    db.backup(copy)
            finally:
                copy.close()

    def checkpoint(self) -> bool:
        """Move the write-ahead log into the ledger and empty it; True where another connection is in the way."""
        if self.path is None:
            return False
        with self._lock, explained(self.name):
            return bool(self._writer.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0])

    def meta(self, name: str) -> Any:
        """Return a value the ledger keeps about itself, or None."""
        with self.reading() as db:
            row = db.execute("SELECT value FROM meta WHERE name = ?", (name,)).fetchone()
        return row[0] if row else None

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
        if self._closed:
            raise LedgerError(f"the memory {self.name} is closed")
        with self._lock, explained(self.name):
            if self._in_transaction():
                yield self._writer
                return
            self._writer.execute("BEGIN IMMEDIATE")
            try:
                yield self._writer
                self._writer.execute("COMMIT")
            except BaseException:
                if self._in_transaction():
                    self._writer.execute("ROLLBACK")
                raise

    def _in_transaction(self) -> bool:
        return self._writer.in_transaction


@contextlib.contextmanager
def explained(name: str) -> Iterator[None]:
    """Turn SQLite's errors into ours: what happened, whether anything was lost, and what to do."""
    try:
        yield
    except sqlite3.OperationalError as error:
        said = str(error)
        if "locked" in said or "busy" in said:
            raise LedgerBusy(f"{name}: another process is writing; nothing was written, try again") from error
        if "full" in said:
            raise LedgerError(f"{name}: the disk is full; nothing was written, free some space") from error
        if "readonly" in said or "unable to open" in said:
            raise LedgerError(
                f"{name}: cannot be written or opened ({said}); check the folder's permissions"
            ) from error
        if "disk I/O" in said:
            raise LedgerError(f"{name}: the disk failed ({said}); nothing was written") from error
        raise
    except sqlite3.DatabaseError as error:
        if isinstance(error, (sqlite3.IntegrityError, sqlite3.ProgrammingError, sqlite3.InterfaceError)):
            raise
        raise LedgerCorrupt(
            f"{name} is damaged ({error}); save what is readable with `agentevo memory export`, "
            "then import it into a new memory"
        ) from error
