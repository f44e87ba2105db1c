"""The ledger's tables, as a list of steps: a ledger remembers how many it has taken."""

from __future__ import annotations

import contextlib
import json
import sqlite3
from collections.abc import Callable, Sequence

from agentevo.errors import LedgerTooNew, Misuse
from agentevo.memory import rows
from agentevo.memory.words import body

_GROUND = """
CREATE TABLE meta (name TEXT PRIMARY KEY, value) WITHOUT ROWID;
INSERT INTO meta (name, value) VALUES ('id', lower(hex(randomblob(8))));
CREATE TABLE namespaces (ns INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);

-- `version` is the seq of the latest op that changed more than links and counts: caches and the index follow it.
CREATE TABLE items (
    row INTEGER PRIMARY KEY AUTOINCREMENT,
    ns INTEGER NOT NULL, version INTEGER NOT NULL, digest BLOB NOT NULL,
    id TEXT NOT NULL, kind TEXT NOT NULL, text TEXT NOT NULL, key_text TEXT, metadata TEXT NOT NULL,
    source TEXT NOT NULL, trust REAL NOT NULL, status TEXT NOT NULL, pinned INTEGER NOT NULL,
    created_at REAL NOT NULL, expires_at REAL, strength REAL NOT NULL, last_used_at REAL, uses INTEGER NOT NULL,
    importance REAL NOT NULL, wins REAL NOT NULL, losses REAL NOT NULL,
    links TEXT NOT NULL, supersedes TEXT, derived_from TEXT NOT NULL
);
CREATE UNIQUE INDEX items_by_id ON items (ns, id);
CREATE INDEX items_by_version ON items (ns, version);
CREATE INDEX items_by_digest ON items (ns, digest);
CREATE INDEX items_by_time ON items (ns, created_at);

CREATE TABLE vectors (row INTEGER PRIMARY KEY, vector BLOB NOT NULL);
CREATE VIRTUAL TABLE words USING fts5 (body, content='', tokenize="porter unicode61 remove_diacritics 2");
CREATE VIRTUAL TABLE vocabulary USING fts5vocab (words, 'row');
CREATE TABLE fields (ns INTEGER, key TEXT, value, row INTEGER, PRIMARY KEY (ns, key, value, row)) WITHOUT ROWID;
CREATE TABLE derived (ns INTEGER, parent TEXT, child TEXT, PRIMARY KEY (ns, parent, child)) WITHOUT ROWID;
CREATE TABLE purged (seq INTEGER PRIMARY KEY AUTOINCREMENT, ns INTEGER NOT NULL, row INTEGER NOT NULL);

CREATE TABLE transactions (
    txn INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL, ns INTEGER NOT NULL,
    actor TEXT NOT NULL, reason TEXT NOT NULL, key TEXT, at REAL NOT NULL,
    content INTEGER NOT NULL, undone_by TEXT, skipped TEXT NOT NULL
);
CREATE UNIQUE INDEX transactions_by_id ON transactions (ns, id);
CREATE UNIQUE INDEX transactions_by_key ON transactions (ns, key) WHERE key IS NOT NULL;
CREATE TABLE ops (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, txn INTEGER NOT NULL, verb TEXT NOT NULL, item TEXT NOT NULL,
    reason TEXT NOT NULL, detail TEXT NOT NULL, before TEXT
);
CREATE INDEX ops_by_txn ON ops (txn);
CREATE INDEX ops_by_item ON ops (item, seq);
CREATE TABLE credits (
    ns INTEGER, key TEXT, item TEXT, changes TEXT NOT NULL, PRIMARY KEY (ns, key, item)
) WITHOUT ROWID;

CREATE TABLE experiences (
    row INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL, ns INTEGER NOT NULL, run TEXT NOT NULL,
    task TEXT NOT NULL, score REAL NOT NULL, at REAL NOT NULL, body TEXT NOT NULL
);
CREATE UNIQUE INDEX experiences_by_id ON experiences (ns, id);
CREATE INDEX experiences_by_run ON experiences (ns, run);
CREATE TABLE drafts (
    part INTEGER PRIMARY KEY AUTOINCREMENT, ns INTEGER NOT NULL, name TEXT NOT NULL, body TEXT NOT NULL
);
CREATE INDEX drafts_by_name ON drafts (ns, name);
"""


def _ground(db: sqlite3.Connection) -> None:
    for statement in _GROUND.split(";"):
        if statement.strip():
            db.execute(statement)


def _marks_alone(_: sqlite3.Connection) -> None:
    """Journal of items whose marks changed no more than these; whole images, as before, are read as well."""


def _words_folded(db: sqlite3.Connection) -> None:
    """Other words for texts that are not in ASCII alone: `words` takes more ways to write one for the same."""
    query = "SELECT ns, row, coalesce(nullif(key_text, ''), text) FROM items"
    if all(text.isascii() for _, _, text in db.execute(query) if isinstance(text, str)):
        return
    db.execute("INSERT INTO words (words) VALUES ('delete-all')")
    said = ((row, body(ns, text)) for ns, row, text in db.execute(query) if isinstance(text, str))
    db.executemany("INSERT INTO words (rowid, body) VALUES (?, ?)", said)


def _objects_are_there(db: sqlite3.Connection) -> None:
    """Let what metadata is searched by tell of objects and lists, too, whatever they hold."""
    for row, ns, said in db.execute("SELECT row, ns, metadata FROM items WHERE metadata != '{}'"):
        with contextlib.suppress(ValueError, AttributeError):  # it is damaged, and `verify` says so
            told = [(ns, key, value, row) for key, value in rows.fields(json.loads(said))]
            db.executemany("INSERT OR IGNORE INTO fields VALUES (?,?,?,?)", told)


STEPS: list[Callable[[sqlite3.Connection], None]] = [_ground, _marks_alone, _words_folded, _objects_are_there]


_OURS = {"meta", "namespaces", "items", "transactions", "ops"}


def must_be_ours(db: sqlite3.Connection, path: str) -> None:
    """Raise Misuse where a database holds tables, and not those of a ledger: it is another program's.

    Raises LedgerTooNew where it is the ledger of a newer version. Nothing has been written by then.
    """
    tables = {str(name) for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    if tables and not tables >= _OURS:
        shown = ", ".join(sorted(tables)[:5]) + (", ..." if len(tables) > 5 else "")
        raise Misuse(
            f"{path} is the database of another program (its tables: {shown:.200}), and is left as it is; "
            "expected the folder of a memory, or one without a ledger.db"
        )
    _steps_taken(db, path)


def _steps_taken(db: sqlite3.Connection, path: str) -> int:
    """Return how many steps a ledger has taken; raise LedgerTooNew where these are more than are known here."""
    taken = int(db.execute("PRAGMA user_version").fetchone()[0])
    if taken > len(STEPS):
        raise LedgerTooNew(
            f"{path} was written by a newer agentevo (format {taken}, this one knows {len(STEPS)}): upgrade agentevo"
        )
    return taken


def migrate(db: sqlite3.Connection, path: str) -> bool:
    """Take the steps this ledger has not taken yet, all or none; True where it had taken none and is new.

    Raises LedgerTooNew where it has taken more than are known here.
    """
    if _steps_taken(db, path) == len(STEPS):
        return False
    try:
        return _take(STEPS, db, path)
    except sqlite3.DatabaseError as error:
        if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_CORRUPT or not _steps_taken(db, path):
            raise
    return _take([], db, path)  # it is damaged, and what can be read of it is to be exported as it is


def _take(steps: Sequence[Callable[[sqlite3.Connection], None]], db: sqlite3.Connection, path: str) -> bool:
    db.execute("BEGIN IMMEDIATE")
    try:
        taken = _steps_taken(db, path)  # another process may have been faster
        for step in steps[taken:]:
            step(db)
        db.execute(f"PRAGMA user_version = {len(STEPS)}")
        db.execute("COMMIT")
    except BaseException:
        if db.in_transaction:  # a full disk has ended it already
            db.execute("ROLLBACK")
        raise
    return taken == 0
