"""Purge: the one verb that destroys. Nothing of a purged text is left in any file of the memory.

Covered: the row, its vector, its words, its metadata, its images in the journal, drafts that mention it, the index, the
write-ahead log, reasons and keys in the journal that quote it whole (text, key text, or what no other item's metadata
says), records of failures that hold what a model said of it, and forgotten items that say the very same. Not covered:
reasons that quote a part of it, what was made from it (quarantined, not destroyed), the experiences it was made from or
that used it, and other items that say the very same (named, not destroyed), items that said it once or say it in other
words, backups and exports made before, other memories, copy-on-write file systems and disks that keep old blocks.
"""

from __future__ import annotations

import json
import secrets
import sqlite3
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import get_args

from agentevo.memory import images, rows
from agentevo.memory.asking import is_record
from agentevo.memory.damage import read_back
from agentevo.memory.doubt import barred, descendants, questioned
from agentevo.memory.experiences import attempted
from agentevo.memory.source import Stored
from agentevo.memory.table import drop_fields, drop_words
from agentevo.memory.trust import BLOCKED, DOUBTED, PURGED
from agentevo.memory.writer import Writer
from agentevo.types import Experience, Item, Kind, Transaction

_QUOTED = 8
"""Shorter texts are left in reasons: they are words that anybody uses."""
_NAMED = 5
"""So many ids of what was purged stand in the reason that each item derived from it is given."""


@dataclass(frozen=True, slots=True)
class Purged:
    """What a purge did. `pending`: another process still has the files open; the rest is gone once it lets go."""

    items: tuple[str, ...]
    """What was asked for, the forgotten items that said the very same, and the records of failures that quote it."""
    derived: tuple[str, ...] = ()
    """Items that were made from what was purged: quarantined, or as soon as somebody restores them."""
    adapters: tuple[str, ...] = ()
    """Adapters of any namespace that were trained on what was purged: none answers any more, nor is promoted again."""
    retired: tuple[str, ...] = ()
    """Those of them that were in use until now."""
    experiences: tuple[str, ...] = ()
    """Experiences that it was made from, or that used it, and that were not purged: they may still say the same."""
    saying: tuple[str, ...] = ()
    """Items that were not purged and still say the same: as another kind, or in metadata that one had of the other."""
    pending: bool = False


def destroy(stored: Stored, ids: Sequence[str], *, actor: str, reason: str, at: float) -> Purged:
    """Erase items and experiences, and quarantine what was made from them; the journal keeps their ids alone."""
    derived: list[Item] = []
    origins: list[str] = []
    saying: list[str] = []
    if ids:
        with stored.ledger.reading() as db:  # going through all experiences keeps nobody from writing
            early = _experiences(db, stored, [*ids, *_saying(db, stored, ids)[1]])
        with stored.ledger.writing() as db:  # what others derive from it meanwhile is seen, too
            saying, forgotten = _saying(db, stored, ids)
            ids = [*ids, *forgotten]
            origins, used = _experiences(db, stored, ids, early).told()
            attempts, learned = _attempts(stored, ids), [*_learned_from(stored, ids), *used]
            found = descendants(stored, [*ids, *attempts])
            found += [item for item in descendants(stored, learned) if item.kind == "adapter" and item not in found]
            said = ", ".join(ids[:_NAMED]) + (f" and {len(ids) - _NAMED} others" if len(ids) > _NAMED else "")
            ids = [*ids, *(item.id for item in found if is_record(item) and item.id not in ids)]
            derived = [item for item in found if item.id not in ids]
            elsewhere = _elsewhere(db, stored, [*attempts, *learned])
            saying += [name for name in _sharing(db, stored, ids) if name not in saying]
            writer = Writer(db, stored, {})
            writer.begin(actor=actor, reason=reason, key=None, at=at)
            _note(writer, ids)
            doubtful = questioned(derived, f"derived from purged {said}")
            writer.put([*doubtful, *barred(derived, f"trained on purged {said}")])
            # An undo would let what was made from it be recalled again, and bring nothing back.
            db.execute("UPDATE transactions SET content = 0 WHERE txn = ?", (writer.txn,))
            for other, theirs in elsewhere:
                _bar(db, other, theirs, "trained on what was purged in another namespace", writer.transaction)
                derived += theirs
            _erase(db, stored, ids)
            marks = [(stored.ns, attempt, PURGED) for attempt in (*attempts, *learned)]
            db.executemany("INSERT OR IGNORE INTO derived VALUES (?,?,?)", marks)
    pending = _scrub(stored)
    adapters = [item for item in derived if item.kind == "adapter"]
    retired = tuple(item.id for item in adapters if item.status == "live")
    made = tuple(item.id for item in derived if item.kind != "adapter")
    trained = tuple(item.id for item in adapters)
    return Purged(tuple(ids), made, trained, retired, tuple(origins), tuple(saying), pending)


def _elsewhere(db: sqlite3.Connection, stored: Stored, attempts: Sequence[str]) -> list[tuple[Stored, list[Item]]]:
    """Return the adapters that other namespaces keep of these attempts: what is trained on may be of several.

    Of an attempt of this id that a namespace has in an experience of its own, it trained on its own.
    """
    query = """SELECT DISTINCT name FROM namespaces JOIN derived USING (ns)
        WHERE ns != ?1 AND parent IN (SELECT value FROM json_each(?2)) AND child != ?3 ORDER BY name"""
    names = db.execute(query, (stored.ns, json.dumps(list(attempts)), PURGED)).fetchall()
    others = [Stored(stored.ledger, stored.index, name, exact_limit=stored.exact_limit) for (name,) in names]
    owned = ((other, attempted(db, other.ns, attempts)) for other in others)
    foreign = ((other, [name for name in attempts if name not in own]) for other, own in owned)
    found = ((other, [item for item in descendants(other, ours) if item.kind == "adapter"]) for other, ours in foreign)
    return [(other, trained) for other, trained in found if trained]


def _bar(db: sqlite3.Connection, stored: Stored, adapters: Sequence[Item], why: str, purge: Transaction) -> None:
    """Keep the adapters of another namespace from use; its journal says who purged what they were trained on."""
    writer = Writer(db, stored, {})
    writer.begin(actor=purge.actor, reason=purge.reason, key=None, at=purge.at)
    writer.put(barred(adapters, why))
    db.execute("UPDATE transactions SET content = 0 WHERE txn = ?", (writer.txn,))


def _attempts(stored: Stored, ids: Sequence[str]) -> list[str]:
    """Return the attempts of the experiences among these ids: items are derived from attempts."""
    with stored.ledger.reading() as db:
        query = "SELECT body FROM experiences WHERE ns = ? AND id = ?"
        found = [row for name in ids for row in db.execute(query, (stored.ns, name))]
    with read_back(stored.ledger.name):
        return [attempt.id for (body,) in found for attempt in Experience.model_validate_json(body).attempts]


def _learned_from(stored: Stored, ids: Sequence[str]) -> list[str]:
    """Return the attempts that the experience items among these ids were made of."""
    found = stored.found(ids).values()
    return list(dict.fromkeys(name for one in found if one.item.kind == "experience" for name in one.item.derived_from))


@dataclass(frozen=True, slots=True)
class _Experiences:
    """Which experiences, up to a row, may say what items say, each with its attempts that used one of them."""

    ids: Sequence[str]
    parents: Sequence[str]
    last: int
    found: Sequence[tuple[str, str | None, bool]]

    def told(self) -> tuple[list[str], list[str]]:
        """Return the experiences, but for those asked about, and the attempts that used one of the items."""
        ours = set(self.ids)
        names = dict.fromkeys(name for name, _, _ in self.found if name not in ours)
        return list(names), list(dict.fromkeys(attempt for _, attempt, has_used in self.found if attempt and has_used))


def _experiences(
    db: sqlite3.Connection, stored: Stored, ids: Sequence[str], early: _Experiences | None = None
) -> _Experiences:
    """Find the experiences that items were made from, by their own ids or their attempts', or that used them.

    What was found early of the same items is not looked for again.
    """
    parents = sorted({name for one in stored.found(ids).values() for name in one.item.derived_from})
    known = early if early is not None and (early.ids, early.parents) == (ids, parents) else None
    query = """SELECT experiences.id, json_extract(attempt.value, '$.id'), EXISTS (
            SELECT 1 FROM json_each(attempt.value, '$.used') AS used
            WHERE used.value IN (SELECT value FROM json_each(?3))) AS has_used
        FROM experiences
        LEFT JOIN json_each(CASE WHEN json_valid(body) THEN body ELSE '{}' END, '$.attempts') AS attempt
        WHERE ns = ?1 AND experiences.row > ?4 AND (experiences.id IN (SELECT value FROM json_each(?2)) OR has_used
            OR json_extract(attempt.value, '$.id') IN (SELECT value FROM json_each(?2))) ORDER BY experiences.row"""
    last = db.execute("SELECT coalesce(max(row), 0) FROM experiences").fetchone()[0]
    after = known.last if known else 0
    found = db.execute(query, (stored.ns, json.dumps(parents), json.dumps(list(ids)), after)).fetchall()
    return _Experiences(ids, parents, last, [*(known.found if known else ()), *found])


def _saying(db: sqlite3.Connection, stored: Stored, ids: Sequence[str]) -> tuple[list[str], list[str]]:
    """Return which other items, of whatever kind, say just what one of these says: those in use, and the forgotten."""
    query = "SELECT id, status = 'forgotten' FROM items WHERE ns = ? AND digest = ? ORDER BY row"
    texts = dict.fromkeys(one.item.text for one in stored.found(ids).values())
    alike, ours = (rows.digest(kind, text) for text in texts for kind in get_args(Kind)), set(ids)
    found = [row for same in alike for row in db.execute(query, (stored.ns, same)) if row[0] not in ours]
    return [name for name, is_forgotten in found if not is_forgotten], [name for name, gone in found if gone]


def _sharing(db: sqlite3.Connection, stored: Stored, ids: Sequence[str]) -> list[str]:
    """Return what took the place of these items, or what they took the place of, and has a text of their metadata."""
    query = """SELECT items.id FROM ops AS gone JOIN ops AS came USING (txn) JOIN items ON items.id = came.item
        WHERE gone.item = ?1 AND gone.verb = 'supersede' AND items.ns = ?2 AND items.supersedes = ?1"""
    told = _texts(item for name in ids for item in _states(db, stored, name))
    seen, ours = dict.fromkeys(ids), set(ids)
    waiting = list(ids) if told else []
    while waiting:
        name = waiting.pop()
        after = [str(other) for (other,) in db.execute(query, (name, stored.ns))]
        before = [one.item.supersedes or "" for one in stored.found([name]).values()]
        new = [other for other in (*after, *before) if other not in seen]
        seen.update(dict.fromkeys(new))
        waiting += new
    found = stored.found([name for name in seen if name not in ours])
    return [name for name in found if told & _texts(_states(db, stored, name))]


def _texts(items: Iterable[Item]) -> set[tuple[str, str]]:
    """Return the texts in the metadata of items, with their names."""
    pairs = (pair for item in items for pair in rows.fields(item.metadata) if pair[0] not in (DOUBTED, BLOCKED))
    return {pair for pair in pairs if isinstance(pair[1], str)}


def _note(writer: Writer, ids: Sequence[str]) -> None:
    query = "INSERT INTO ops (txn, verb, item, reason, detail) VALUES (?, 'purge', ?, '', '{}')"
    writer.db.executemany(query, [(writer.txn, name) for name in ids])
    writer.verbs.add("purge")


def _erase(db: sqlite3.Connection, stored: Stored, ids: Sequence[str]) -> None:
    """Delete the items and all their traces inside an open transaction."""
    _erase_quotes(db, stored, ids)
    for name in ids:
        _erase_drafts(db, stored, name)
        _erase_item(db, stored, name)
        db.execute("DELETE FROM experiences WHERE ns = ? AND id = ?", (stored.ns, name))
        db.execute(
            """UPDATE ops SET before = NULL, detail = '{}', reason = ''
            WHERE item = ? AND txn IN (SELECT txn FROM transactions WHERE ns = ?)""",
            (name, stored.ns),
        )
        db.execute("DELETE FROM credits WHERE ns = ? AND item = ?", (stored.ns, name))
        db.execute("DELETE FROM derived WHERE ns = ? AND (parent = ? OR child = ?)", (stored.ns, name, name))


def _erase_drafts(db: sqlite3.Connection, stored: Stored, id: str) -> None:
    """Delete the kept drafts that name the item or say what it says or said, whole: a part alone makes no sense."""
    for said in (id, *_said(db, stored, id)):
        written = json.dumps(said, ensure_ascii=False)
        written = written if len(said) < _QUOTED else written[1:-1]  # a word that anybody uses is not a quotation
        query = "SELECT name FROM drafts WHERE ns = ? AND instr(body, ?) > 0"
        db.execute(f"DELETE FROM drafts WHERE ns = ? AND name IN ({query})", (stored.ns, stored.ns, written))


def _erase_quotes(db: sqlite3.Connection, stored: Stored, ids: Sequence[str]) -> None:
    """Take what the items say, or said before, out of the journal: a model may have quoted it in a reason or a key."""
    texts = {text for name in ids for text in (*_said(db, stored, name), *_told(db, stored, name, ids))}
    said = sorted((text for text in texts if len(text) >= _QUOTED), key=len, reverse=True)
    # Each text has a mark of its own in keys, which must stay apart: what is committed under one is committed once.
    marks = {text: f"[purged {secrets.token_hex(4)}]" for text in said}
    for table, column, where, change in _QUOTING:
        query = f"SELECT DISTINCT {column} FROM {table} WHERE {where}"
        for (told,) in db.execute(query, (stored.ns,)).fetchall():
            left = told
            for text in said if told else ():
                left = left.replace(text, "[purged]" if column == "reason" else marks[text])
            if left != told:
                db.execute(f"UPDATE {table} SET {change} WHERE {column} = ? AND {where}", (left, told, stored.ns))


_OWN = "txn IN (SELECT txn FROM transactions WHERE ns = ?)"
_QUOTING = (
    ("transactions", "reason", "ns = ?", "reason = ?"),
    ("ops", "reason", _OWN, "reason = ?"),
    ("transactions", "key", "ns = ?", "key = ?"),
    ("credits", "key", "ns = ?", "key = ?"),
    (
        "ops",
        "json_extract(detail, '$.key')",
        f"detail LIKE '%\"key\"%' AND {_OWN}",
        "detail = json_set(detail, '$.key', ?)",
    ),
)
"""Where the journal may quote an item: table, column, which rows, and what is written there instead."""


def _said(db: sqlite3.Connection, stored: Stored, id: str) -> set[str]:
    """Return every text and key that an item has or had."""
    return {text for item in _states(db, stored, id) for text in (item.text, item.key_text or item.text)}


def _told(db: sqlite3.Connection, stored: Stored, id: str, ids: Sequence[str]) -> set[str]:
    """Return every text that an item has or had in its metadata, and no item but these has in the same place."""
    ours = "SELECT row FROM items WHERE ns = ?1 AND id IN (SELECT value FROM json_each(?4))"
    query = f"SELECT 1 FROM fields WHERE ns = ?1 AND key = ?2 AND value IS ?3 AND row NOT IN ({ours})"
    names = json.dumps(list(ids))
    return {
        value
        for key, value in _texts(_states(db, stored, id))
        if len(value) >= _QUOTED and db.execute(query, (stored.ns, key, value, names)).fetchone() is None
    }


def _states(db: sqlite3.Connection, stored: Stored, id: str) -> list[Item]:
    """Return an item as it is and as the journal says that it was."""
    query = "SELECT before FROM ops JOIN transactions USING (txn) WHERE item = ? AND ns = ? AND before IS NOT NULL"
    whole = (image for (image,) in db.execute(query, (id, stored.ns)) if not images.is_marks(image))
    with read_back(stored.ledger.name):
        items = [Item.model_validate_json(image) for image in whole]
    query = f"SELECT {rows.SELECT} FROM items WHERE ns = ? AND id = ?"
    return items + [rows.to_item(row, stored.namespace) for row in db.execute(query, (stored.ns, id))]


def _erase_item(db: sqlite3.Connection, stored: Stored, id: str) -> None:
    query = f"SELECT row, {rows.SELECT} FROM items WHERE ns = ? AND id = ?"
    found = db.execute(query, (stored.ns, id)).fetchone()
    if found is None:
        return
    row, item = int(found[0]), rows.to_item(found[1:], stored.namespace)
    drop_words(db, stored.ns, row, item.key_text or item.text)
    drop_fields(db, stored.ns, row, item)
    db.execute("DELETE FROM vectors WHERE row = ?", (row,))
    db.execute("DELETE FROM items WHERE row = ?", (row,))
    db.execute("INSERT INTO purged (ns, row) VALUES (?, ?)", (stored.ns, row))


def _scrub(stored: Stored) -> bool:
    """Clear what deleted rows leave behind in the files; True where something has to wait for another process."""
    index = stored.index
    removed = index is None or index.forget_purged(stored.ledger, stored.ns, stored.collection)
    with stored.ledger.writing() as db:
        db.execute("INSERT INTO words (words) VALUES ('optimize')")
    return stored.ledger.checkpoint() or not removed
