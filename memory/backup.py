"""A copy of a whole memory in another folder, taken while others use it."""

from __future__ import annotations

import contextlib
import secrets
import sqlite3
from pathlib import Path

from agentevo.errors import LedgerError, Misuse
from agentevo.memory.damage import explained
from agentevo.memory.ledger import Ledger, Progress

_PAGES = 2_000
"""So many pages are copied before others may write again."""


def backed_up(ledger: Ledger, folder: Path, own: Path | None, progress: Progress) -> Path:
    """Copy a ledger into a new folder, which is outside of the memory's own; return the folder."""
    try:
        if own is not None and folder.resolve().is_relative_to(own.resolve()):
            raise Misuse(f"{folder} is inside the memory's own folder {own}; back up to a place outside of it")
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise Misuse(f"{folder} is not an empty folder; a backup goes into a new one")
        _copy(ledger, folder, progress)
    except OSError as error:
        raise LedgerError(f"{folder} cannot be written: {error.strerror}; the memory is as it was") from error
    return folder


def _copy(ledger: Ledger, folder: Path, progress: Progress) -> None:
    """Copy the ledger as it is at one moment; the copy appears when it is whole."""

    def told(_: int, left: int, total: int) -> None:
        progress("copying pages", total - left, total)

    part = folder / "ledger.db.part"
    with explained(str(folder)):
        folder.mkdir(parents=True, exist_ok=True)
        try:
            with contextlib.closing(sqlite3.connect(part)) as copy:
                with ledger.reading() as db, explained(str(folder)):
                    db.execute("SELECT 1 FROM meta").fetchone()  # from here on it is one moment
                    db.backup(copy, pages=_PAGES, progress=told)
                copy.execute("UPDATE meta SET value = ? WHERE name = 'id'", (secrets.token_hex(8),))
                copy.commit()
            part.replace(folder / "ledger.db")
        finally:
            for name in (part.name, part.name + "-journal", part.name + "-wal", part.name + "-shm"):
                (folder / name).unlink(missing_ok=True)
