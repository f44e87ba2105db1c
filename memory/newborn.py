"""A memory that was made for something that then failed: taken away again, unless somebody else uses it by now."""

from __future__ import annotations

import contextlib
import shutil
import sqlite3
from pathlib import Path

_NOBODYS = 2**31 - 1
"""No version of agentevo takes a ledger with so many migrations."""


def remove_unused(folder: Path) -> bool:
    """Delete a memory in which nothing was ever written and that nobody has open; False where it stays."""
    ledger = folder / "ledger.db"
    with contextlib.closing(sqlite3.connect(ledger, timeout=0, isolation_level=None)) as db:
        try:
            if not _ours_alone(db) or _holds_anything(db):
                return False
        except sqlite3.Error:
            return False
        # Whoever has opened the file just now is refused, rather than to write into a file that is gone.
        db.execute(f"PRAGMA user_version = {_NOBODYS}")
        for name in ("ledger.db", "ledger.db-wal", "ledger.db-shm", "ledger.db-journal"):
            (folder / name).unlink(missing_ok=True)
        shutil.rmtree(folder / "index", ignore_errors=True)
    return True


def _ours_alone(db: sqlite3.Connection) -> bool:
    """Lock everybody out until the connection is closed; only the sole user of a ledger can leave its log."""
    db.execute("PRAGMA locking_mode = EXCLUSIVE")
    found = db.execute("PRAGMA journal_mode = DELETE").fetchone()
    db.execute("BEGIN EXCLUSIVE")
    db.execute("COMMIT")
    return bool(found[0] == "delete")


def _holds_anything(db: sqlite3.Connection) -> bool:
    tables = ("transactions", "experiences", "drafts")
    return any(db.execute(f"SELECT 1 FROM {table} LIMIT 1").fetchone() for table in tables)
