"""A draft on the disk: what was said in it survives a crash, and its name goes on where it was."""

from __future__ import annotations

import base64
import json
import secrets
import sqlite3
from collections.abc import Mapping, Sequence

import numpy as np

from agentevo.blocking import threaded
from agentevo.errors import Misuse
from agentevo.memory.arguments import checked
from agentevo.memory.damage import read_back
from agentevo.memory.draft import Below, Draft
from agentevo.memory.entry import find_transaction
from agentevo.memory.exact import Vector
from agentevo.memory.source import Stored
from agentevo.types import Op, Transaction


class KeptDraft(Draft):
    """A draft that survives a crash: each change is in the ledger, beside the items, before the verb returns.

    Where somebody else changed, committed or threw away the draft of this name meanwhile, a change or a commit raises
    Misuse: of two that go on apart, one would be lost.
    """

    def __init__(self, below: Below, kept_as: str, stored: Stored) -> None:
        super().__init__(below)
        self._kept_as, self._stored = kept_as, stored
        self._lost: set[str] = set()
        """Ids that its own items came with, and that others took before it was opened again."""
        with stored.ledger.reading() as db:
            query = "SELECT part, body FROM drafts WHERE ns = ? AND name = ? ORDER BY part"
            kept = db.execute(query, (stored.ns, kept_as)).fetchall()
        self._part: int | None = kept[-1][0] if kept else None
        with read_back(stored.ledger.name):
            parts = [json.loads(body) for _, body in kept]
            self._key: str = parts[0]["key"] if parts else f"draft:{kept_as}:{secrets.token_hex(8)}"
            for part in parts:
                self._overlay.expected = part["expected"] | self._overlay.expected
                self._origins = part.get("origins", {}) | self._origins
                vectors = {name: np.frombuffer(base64.b64decode(v), np.float32) for name, v in part["vectors"].items()}
                self._by = tuple(part.get("by", self._by))
                self._lay_again([Op.model_validate(op) for op in part["ops"]], vectors)
                within = map(Transaction.model_validate, part.get("within", ()))
                self._keys |= {done.key: done for done in within if done.key is not None}
        self._known = None  # others may have embedded all anew since

    def _lay_again(self, ops: Sequence[Op], vectors: Mapping[str, Vector]) -> None:
        """Lay what was kept over what is below by now; what cannot be any more is left to the commit, to be skipped."""
        try:
            if any(self._lost & _named_by(op) for op in ops):
                raise Misuse(f"of these items others have {min(self._lost)!r:.80} by now")
            super()._write(ops, vectors, "")
        except Misuse:
            if len(ops) > 1:
                for op in ops:
                    self._lay_again([op], {name: v for name, v in vectors.items() if name in _named_by(op)})
            else:
                self._ops += ops
                self._vectors.update(vectors)
                self._lost |= {op.item.id for op in ops if op.item}

    def _write(self, ops: Sequence[Op], vectors: Mapping[str, Vector], reason: str) -> Transaction:
        before, known = set(self._overlay.expected), set(self._origins)
        done = super()._write(ops, vectors, reason)
        expected = {name: version for name, version in self._overlay.expected.items() if name not in before}
        encoded = {name: base64.b64encode(vector.tobytes()).decode() for name, vector in vectors.items()}
        said = [op.model_dump(mode="json", exclude_defaults=True) for op in ops]
        origins = {name: began for name, began in self._origins.items() if name not in known}
        self._keep({"ops": said, "vectors": encoded, "expected": expected, "origins": origins, "by": self._by})
        return done

    def _keep(self, body: Mapping[str, object]) -> None:
        """Put a change on the disk; where that fails close the draft, which would commit what is not there."""
        row = (self._stored.ns, self._kept_as, json.dumps({"key": self._key, **body}, ensure_ascii=False))
        try:
            with self._stored.ledger.writing() as db:
                self._must_be_latest(db)
                self._part = db.execute("INSERT INTO drafts (ns, name, body) VALUES (?,?,?)", row).lastrowid
        except BaseException:
            self._open = False
            raise

    def _must_be_latest(self, db: sqlite3.Connection) -> None:
        query = "SELECT max(part) FROM drafts WHERE ns = ? AND name = ?"
        if db.execute(query, (self._stored.ns, self._kept_as)).fetchone()[0] != self._part:
            raise Misuse(
                f"the draft {self._kept_as!r:.80} was changed, committed or thrown away elsewhere meanwhile; "
                "what is left of it is in memory.draft() of that name"
            )

    def _committed(
        self,
        ops: Sequence[Op],
        vectors: Mapping[str, Vector],
        expected: Mapping[str, int],
        key: str | None,
        reason: str,
        within: Sequence[Transaction] = (),
    ) -> Transaction:
        """Take in a draft over this one, and keep the keys that came with it."""
        known = set(self._keys)
        self._embed_anew()  # no model is asked inside the transaction
        with self._stored.ledger.writing():
            done = super()._committed(ops, vectors, expected, key, reason, within)
            new = [done.model_dump(mode="json") for name, done in self._keys.items() if name not in known]
            if new:
                self._keep({"ops": [], "vectors": {}, "expected": {}, "within": new})
        return done

    @checked
    def commit(self, *, key: str | None = None, reason: str = "") -> Transaction:
        """Commit under a key of the draft's own, however often that is tried, and clear it from the disk with that."""
        used = key or self._key
        self._embed_anew()  # no model is asked inside the transaction
        with self._stored.ledger.writing() as db:
            if find_transaction(db, self.namespace, self._stored.ns, "key", used) is None:
                self._must_be_latest(db)
            done = super().commit(key=used, reason=reason)
            self._clear(db)
        return done

    @checked
    def commit_with(self, ops: Sequence[Op], *, reason: str = "") -> Transaction:
        """Commit with some last changes, which are kept first."""
        self.apply(ops)
        return self.commit(reason=reason)

    def discard(self) -> None:
        """Throw the draft away, also from the disk."""
        self._open = False
        with self._stored.ledger.writing() as db:
            self._clear(db)

    adiscard = threaded(discard)

    def _clear(self, db: sqlite3.Connection) -> None:
        """Delete what this draft is made of, but not what was begun under its name after it was committed elsewhere."""
        query = "DELETE FROM drafts WHERE ns = ? AND name = ? AND part <= ?"
        db.execute(query, (self._stored.ns, self._kept_as, self._part or 0))


def _named_by(op: Op) -> set[str]:
    """Return the ids of what an op changes and of what it inserts."""
    return {op.id, *([op.item.id] if op.item else [])}
