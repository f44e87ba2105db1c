"""Text as words: what goes into the full-text table, and how a question is asked of it.

Each word is stored with its namespace's number in front ("12qrefunds"), so that namespaces share one table but no
words: no user's text moves another's ranking. The stemmer takes digits for consonants and stems as ever.
"""

from __future__ import annotations

import functools
import re
import sqlite3
import threading
import unicodedata
from collections import Counter
from collections.abc import Sequence

_SIGNS = (
    "\u0900-\u0963\u0971-\u0de5\u0df2-\u0e3a\u0e40-\u0e4e\u0e80-\u0ecf"
    "\u0f71-\u0fbc\u1000-\u103f\u1050-\u109f\u1780-\u17d3"
)
"""Scripts from India to Cambodia, whose vowels are signs on letters: to Python these are no part of a word."""
_WORD = re.compile(f"(?:[^\\W_]|[{_SIGNS}])+")
_UNSPACED = re.compile(
    r"[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff]+"
)
"""Scripts written without spaces: searched by pairs of characters."""

_ACCENTS = re.compile(r"(?<=[a-z\u0370-\u03ff\u0435])[\u0300-\u036f]+")
_POINTS = re.compile(r"[\u0591-\u05bd\u05bf-\u05c7\u0610-\u061a\u0640\u064b-\u065f\u0670\u00ad\u200c\u200d]+")
"""What one writes or not within a word: the vowels of Hebrew and Arabic, soft hyphens, joiners."""

_STOP_WORDS = """
    a about above after again against all am an and any are as at be because been before being below between both
    but by can could did do does doing don down during each few for from further had has have having he her here
    hers herself him himself his how i if in into is it its itself just me more most my myself no nor not now of
    off on once only or other our ours ourselves out over own s same she should so some such t than that the their
    theirs them themselves then there these they this those through to too under until up very was we were what
    when where which while who whom why will with would you your yours yourself yourselves
"""
STOP_WORDS = frozenset(_STOP_WORDS.split())


def words(text: str) -> list[str]:
    """Return the words of a text, lower-cased, in order, as one however a character of theirs is put."""
    found: list[str] = []
    for word in _WORD.findall(text.lower() if text.isascii() else _folded(text)):
        if word.isascii():
            found.append(word[:64])
        elif _UNSPACED.search(word):
            found.extend(map(_without_signs, _pairs(word)))
        else:
            found.append(_without_signs(word[:64]))
    return found


def _folded(text: str) -> str:
    """Return a text in small letters, without the accents and points that one may leave out."""
    apart = unicodedata.normalize("NFKD", text.casefold())
    return unicodedata.normalize("NFC", _POINTS.sub("", _ACCENTS.sub("", apart)))


def _without_signs(word: str) -> str:
    """Return a word with other characters for its signs: the full-text table takes those for letters, these not."""
    return word if word.isalnum() else "".join(c if c.isalnum() else chr(0xE000 | ord(c) & 0xFFF) for c in word)


def _pairs(word: str) -> list[str]:
    pieces: list[str] = []
    last = 0
    for run in _UNSPACED.finditer(word):
        pieces += [word[last : run.start()]] * (run.start() > last)
        characters = run.group()
        pieces += [characters[i : i + 2] for i in range(max(1, len(characters) - 1))]
        last = run.end()
    pieces += [word[last:]] * (last < len(word))
    return pieces


def body(ns: int, text: str) -> str:
    """Return a text as the full-text table takes it."""
    return " ".join(f"{ns}q{word}" for word in words(text))


def asked(text: str, limit: int = 32) -> list[str]:
    """Return the distinct words a question is asked with: without stop words, unless it has no others."""
    found = list(dict.fromkeys(words(text)))
    return ([word for word in found if word not in STOP_WORDS] or found)[:limit]


def match(ns: int, asked_words: Sequence[str]) -> str:
    """Return the full-text query that finds any of the words; each is quoted, so none is an operator."""
    return " OR ".join(f'"{ns}q{word}"' for word in asked_words)


def stems(ns: int, asked_words: Sequence[str]) -> list[str]:
    """Return each word's stem as the full-text table keeps it."""
    return [_stem(f"{ns}q{word}") for word in asked_words]


@functools.lru_cache(maxsize=50_000)
def _stem(token: str) -> str:
    return next(iter(_shared().counts([token])[0]), token)


@functools.lru_cache(maxsize=1)
def _shared() -> Stemmer:
    return Stemmer()


class Stemmer:
    """Counts stems just as the full-text table does, by asking a small table of the same make."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._db = sqlite3.connect(":memory:", check_same_thread=False)
        self._db.execute(
            """CREATE VIRTUAL TABLE scratch USING fts5 (body, tokenize="porter unicode61 remove_diacritics 2")"""
        )
        self._db.execute("CREATE VIRTUAL TABLE seen USING fts5vocab (scratch, 'instance')")

    def counts(self, bodies: Sequence[str]) -> list[Counter[str]]:
        """Return how often each stem occurs in each body."""
        with self._lock:
            self._db.execute("DELETE FROM scratch")
            self._db.executemany("INSERT INTO scratch (rowid, body) VALUES (?, ?)", enumerate(bodies))
            counted: list[Counter[str]] = [Counter() for _ in bodies]
            for stem, n in self._db.execute("SELECT term, doc FROM seen"):
                counted[n][stem] += 1
            return counted

    def close(self) -> None:
        with self._lock:  # a thread whose caller was cancelled may still count
            self._db.close()
