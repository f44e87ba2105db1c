"""What goes wrong in a ledger, told in our words: what happened, whether anything was lost, and what to do."""

from __future__ import annotations

import contextlib
import json
import sqlite3
from collections.abc import Iterator

from agentevo.errors import AgentEvoError, LedgerBusy, LedgerCorrupt, LedgerError, Misuse


@contextlib.contextmanager
def explained(name: str) -> Iterator[None]:
    """Turn SQLite's errors into ours: what happened, whether anything was lost, and what to do."""
    try:
        yield
    except UnicodeEncodeError as error:
        raise Misuse(f"{error.object!r:.80} holds half of a surrogate pair; a memory takes whole characters") from error
    except (UnicodeDecodeError, json.JSONDecodeError) as error:  # only what is whole was ever written
        raise corrupt(name, str(error)) from error
    except sqlite3.OperationalError as error:
        raise _explained(name, str(error)) from error
    except sqlite3.ProgrammingError:
        raise
    except sqlite3.DatabaseError as error:
        raise corrupt(name, str(error)) from error


@contextlib.contextmanager
def blamed_on_damage(name: str, db: sqlite3.Connection) -> Iterator[None]:
    """Turn whatever goes wrong over a damaged ledger into LedgerCorrupt: its rows may hold anything."""
    try:
        yield
    except (AgentEvoError, sqlite3.DatabaseError, OSError):
        raise
    except Exception as error:
        with explained(name):
            found = db.execute("PRAGMA quick_check(1)").fetchone()[0]
        if found != "ok":
            raise corrupt(name, str(found)) from error
        raise


@contextlib.contextmanager
def read_back(name: str) -> Iterator[None]:
    """Turn a failure to make something of what a ledger holds into LedgerCorrupt: only what is whole was written."""
    try:
        yield
    except (AgentEvoError, sqlite3.Error):
        raise
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise corrupt(name, str(error).partition("\n")[0]) from error


def _explained(name: str, said: str) -> LedgerError:
    if "locked" in said or "busy" in said:
        return LedgerBusy(f"{name}: another process is writing; nothing was written, try again")
    if "full" in said:
        return LedgerError(f"{name}: the disk is full; nothing was written, free some space")
    if "readonly" in said or "unable to open" in said:
        return LedgerError(f"{name}: cannot be written or opened ({said}); check the folder's permissions")
    if "disk I/O" in said:
        return LedgerError(f"{name}: the disk failed ({said}); nothing was written, check its space and its health")
    if any(sign in said for sign in ("malformed", "decode", "no such", "vtable", "corrupt")):
        return corrupt(name, said)
    return LedgerError(f"{name}: the database refused ({said}); nothing was written")


def corrupt(name: str, said: str) -> LedgerCorrupt:
    """Return the error that tells of damage, and what to do about it."""
    if "not a database" in said:
        return LedgerCorrupt(
            f"{name} is no database, so nothing of it can be read or exported: put a backup or an import of an export "
            "in its place, or give the folder of another memory"
        )
    return LedgerCorrupt(
        f"{name} is damaged ({said}); save what is readable with `agentevo memory export`, "
        "then import it into a new memory"
    )
