"""One entry of the journal: a transaction with its actor, its reason and its key, and a line for each change."""

from __future__ import annotations

import json
import secrets
import sqlite3
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from agentevo.errors import Misuse
from agentevo.memory import images
from agentevo.memory.change import QUIET
from agentevo.memory.table import Table, Vector
from agentevo.types import Item, Op, Transaction

if TYPE_CHECKING:
    from agentevo.memory.source import Stored

# As SQLite itself counts, also where one of the two is damaged: numbers of lines that were purged are not used again.
_LATEST = """SELECT max(coalesce((SELECT max(seq) FROM ops), 0),
    coalesce((SELECT CAST(seq AS INTEGER) FROM sqlite_sequence WHERE name = 'ops'), 0))"""
_JOURNAL = "INSERT INTO ops (seq, txn, verb, item, reason, detail, before) VALUES (?,?,?,?,?,?,?)"


class Entry(Table):
    """The entry that an open transaction of the ledger writes."""

    def __init__(self, db: sqlite3.Connection, stored: Stored, vectors: Mapping[str, Vector]) -> None:
        super().__init__(db, stored.namespace, stored.ns, vectors)
        self.verbs: set[str] = set()
        """What the journal's entry tells of so far."""

    def begin(self, *, actor: str, reason: str, key: str | None, at: float) -> Transaction | None:
        """Open the journal's entry; None where this key was committed before."""
        if key is not None and find_transaction(self.db, self.namespace, self.ns, "key", key):
            return None
        self.transaction = Transaction(
            id=secrets.token_hex(8), namespace=self.namespace, actor=actor, reason=reason, key=key, at=at
        )
        cursor = self.db.execute(
            "INSERT INTO transactions (id, ns, actor, reason, key, at, content, skipped) VALUES (?,?,?,?,?,?,1,'[]')",
            (self.transaction.id, self.ns, actor, reason, key, at),
        )
        self.txn = int(cursor.lastrowid or 0)
        return self.transaction

    def note(self, within: Sequence[Transaction]) -> None:
        """Remember the keys of what was committed into this draft; raise Misuse where one was committed meanwhile."""
        for done in within:
            if find_transaction(self.db, self.namespace, self.ns, "key", done.key) is not None:
                raise Misuse(f"{done.key!r:.80} was committed elsewhere meanwhile; draft again without it")
            self.db.execute(
                "INSERT INTO transactions (id, ns, actor, reason, key, at, content, skipped) VALUES (?,?,?,?,?,?,0,?)",
                (secrets.token_hex(8), self.ns, self.transaction.actor, done.reason, done.key, done.at,
                 json.dumps(done.skipped)),
            )  # fmt: skip

    def _close(self, skipped: Sequence[str]) -> None:
        """Say in the journal's entry whether contents changed, or take the entry out where there is nothing to say."""
        if not (self.verbs or skipped or self.transaction.key):
            self.db.execute("DELETE FROM transactions WHERE txn = ?", (self.txn,))
            self.transaction = self.transaction.model_copy(update={"id": ""})
        elif skipped or self.verbs <= QUIET:  # else it is as it was begun
            self.db.execute(
                "UPDATE transactions SET content = ?, skipped = ? WHERE txn = ?",
                (not self.verbs <= QUIET, json.dumps(skipped), self.txn),
            )

    def _latest(self) -> int:
        """Return the number of the journal's last line; nobody else adds one while this transaction is open."""
        found = self.db.execute(_LATEST).fetchone()
        return int(found[0])

    def _line(self, op: Op, id: str, before: Item | None) -> tuple[object, ...]:
        """Return a line of the journal, but for its number."""
        return (self.txn, op.verb, id, op.reason, detail_of(op), images.of(before) if before else None)

    def _journal(self, op: Op, id: str, before: Item | None) -> int:
        self.verbs.add(op.verb)
        return int(self.db.execute(_JOURNAL, (None, *self._line(op, id, before))).lastrowid or 0)


def detail_of(op: Op) -> str:
    """Return what the journal keeps of an op besides its verb and its reason."""
    if not (op.changes or op.to or op.key):
        return "{}"
    return op.model_dump_json(include={"changes", "to", "key"}, exclude_defaults=True)


def find_transaction(db: sqlite3.Connection, namespace: str, ns: int, column: str, value: object) -> Transaction | None:
    """Return the transaction whose id, key or txn is the given one."""
    found = db.execute(
        f"SELECT txn, id, actor, reason, key, at, skipped FROM transactions WHERE ns = ? AND {column} = ?", (ns, value)
    ).fetchone()
    if found is None:
        return None
    skipped = json.loads(found[6])
    touched = (row[0] for row in db.execute("SELECT DISTINCT item FROM ops WHERE txn = ? ORDER BY seq", (found[0],)))
    return Transaction(
        id=found[1], namespace=namespace, actor=found[2], reason=found[3], key=found[4], at=found[5],
        items=tuple(name for name in touched if name not in skipped), skipped=tuple(skipped),
    )  # fmt: skip
