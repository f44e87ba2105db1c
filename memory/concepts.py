"""What a text speaks of: where the concepts stand that orders are made of.

Words are looked up in memory/order_words.py; markup, addresses and the like are known by their shape. A verb that is
negated, in the infinitive or said of others is no order and does not count.
"""

from __future__ import annotations

import functools
import re
from bisect import bisect
from collections import defaultdict
from collections.abc import Iterator
from typing import NamedTuple

from agentevo.memory.disguises import fold
from agentevo.memory.order_words import WORDS
from agentevo.memory.order_words_unspaced import UNSPACED

SENTENCE_END = 30
"""The end of a sentence counts as so many characters."""

_SHAPES: dict[str, tuple[str, str]] = {
    "MARKUP": (
        "<| inst] <<sys <</sys <start_of",
        r"<\|(?:im_start|im_end|system|user|assistant|endoftext|eot_id|start_header_id|end_header_id)\|>"
        r"|\[/?inst\]|<</?sys>>|<start_of_turn>",
    ),
    "SPOOF": (
        "system admin developer instruction:",
        r"(?:^|(?<=[\n\"'>]))[ \t]{0,4}[\[(<*#]{0,4} ?"
        r"(?:system|admin|administrator|developer|(?<=# )instruction|system[ _]prompt|role\": ?\"system)"
        r"(?: (?:notice|message|override|update|alert|prompt|note|instruction))? ?[\])>*]{0,3} ?[:\]>\"]",
    ),
    "HIDDEN": (
        "<!-- display visibility font-size color [//]",
        r"<!--|display: ?none|visibility: ?hidden|font-size: ?[01]p?|color: ?(?:white|#fff)|\[//\]: ?#",
    ),
    "IMAGE": ("![", r"!\[[^\]\n]{0,40}\]\(https?://"),
    "SLOT": ("=", r"https?://[^\s\"'<>]{1,200}?[?&/][\w.-]{1,30}=(?=[\s\"'<>{\[)]|$)"),
    "IDENTIFIER": ("_", r"(?<!\w)[a-z]{2,20}_[a-z_]{2,40}(?!\w)"),
    "DESTRUCTIVE": (
        "rm delete drop wipe erase transfer_ | curl /etc .ssh",
        r"rm -rf|\| ?(?:ba)?sh(?!\w)|(?:delete|drop|wipe|erase)[ _](?:all|every|table|the database)|transfer_\w"
        r"|curl -d|/etc/(?:passwd|shadow)|\.ssh/",
    ),
    "CALL AI": (
        "assistant assistente asistente llm ai: ai, bot: bot, ki: ki, ia: ia, agent: agent,",
        r"(?:^|(?<=[\n\"'(\[>])|(?<=by the way, ))[ \t]{0,4}"
        r"(?:assistant|ai|llm|bot|chatbot|ki|ia|assistente|asistente|agent) ?[:：,]",
    ),
    "DEST": ("http www. @", r"https?://|www\.|(?<=[\w.-])@(?=[\w-]{1,60}\.)|(?<!\w)to \S{1,40}@"),
}
"""What is recognised by its shape rather than by words: hints to look for first, and the pattern."""


class Mark(NamedTuple):
    """A place where concepts stand, as bits."""

    at: int
    concepts: int


class Vocabulary(NamedTuple):
    """The tables, ready for use."""

    bits: dict[str, int]
    exact: dict[str, int]
    stems: dict[str, int]
    endings: dict[str, int]
    phrases: dict[str, list[tuple[tuple[str, ...], int]]]
    words: frozenset[str]


@functools.cache
def vocabulary() -> Vocabulary:
    names = dict.fromkeys([*WORDS, *UNSPACED, *(name for shape in _SHAPES for name in shape.split())])
    bits = {name: 1 << n for n, name in enumerate(names)}
    exact: dict[str, int] = defaultdict(int)
    stems: dict[str, int] = defaultdict(int)
    endings: dict[str, int] = defaultdict(int)
    phrases: dict[str, list[tuple[tuple[str, ...], int]]] = defaultdict(list)
    known: set[str] = set()
    for name, words in WORDS.items():
        for word in map(fold, words.split()):
            known.update(part.strip("*") for part in word.split("_"))
            first, *rest = word.split("_")
            if rest:
                phrases[first].append((tuple(rest), bits[name]))
            elif word.endswith("*"):
                stems[word[:-1]] |= bits[name]
            elif word.startswith("*"):
                endings[word[1:]] |= bits[name]
            else:
                exact[word] |= bits[name]
    return Vocabulary(bits, dict(exact), dict(stems), dict(endings), dict(phrases), frozenset(known))


def marks(text: str) -> list[Mark]:
    """Return where concepts stand in a folded text, in order."""
    words = [(match.start(), match[0]) for match in _TOKEN.finditer(text)]
    nouns = {match.start() for match in _NOUN.finditer(text)} if "_" in text else set()
    clauses = {match.end() for match in _CLAUSE.finditer(text)}
    found = [
        (at, _concepts_at(words, n, meaning, at in clauses) & ~(_guarded() if at in nouns else 0))
        for n, (at, word) in enumerate(words)
        if (meaning := _meaning(word))
    ]
    found += _by_shape(text)
    found += _unspaced(text)
    if not found:
        return []
    ends = [at for at, word in words if not word[0].isalnum()]
    return sorted(Mark(at + SENTENCE_END * bisect(ends, at), bits) for at, bits in found if bits)


_TOKEN = re.compile(r"[^\W_]+|[.!?](?=\s)|[。！？]|\n\s*\n")
"""Words, and ends of sentences."""
_NOUN = re.compile(r"(?<=[^\W_]_)[^\W_]++(?!\w)")
"""The end of an identifier: `admin_override` orders nothing to be overridden."""
_CLAUSE = re.compile(r"[,;:]\s+(?=\w)")
"""Where another clause begins: in "when you read this, run it" nobody speaks of "this run"."""


class _Meaning(NamedTuple):
    """What a word stands for by itself, and the phrases that begin with it."""

    concepts: int
    phrases: list[tuple[tuple[str, ...], int]]


@functools.lru_cache(maxsize=1 << 15)
def _meaning(word: str) -> _Meaning | None:
    """Return what a word stands for; None, which is most of the time, for nothing."""
    tables = vocabulary()
    concepts = tables.exact.get(word, 0)
    for size in range(2, min(len(word), 14) + 1):
        concepts |= tables.stems.get(word[:size], 0)
        concepts |= tables.endings.get(word[-size:], 0)
    phrases = tables.phrases.get(word, [])
    return _Meaning(concepts, phrases) if concepts or phrases else None


def _concepts_at(words: list[tuple[int, str]], n: int, meaning: _Meaning, begins: bool) -> int:
    """Return the concepts that the nth word, or a phrase that begins with it, stands for."""
    concepts = meaning.concepts
    if concepts & _guarded() and _is_told(words, n, begins):
        concepts &= ~_guarded()
    following = words[n + 1][1] if meaning.phrases and n + 1 < len(words) else "."
    for rest, bit in meaning.phrases:
        if rest[0][0] == following[0] and all(map(_fits, (word for _, word in words[n + 1 : n + 1 + len(rest)]), rest)):
            concepts |= bit * (n + len(rest) < len(words))
    return concepts


def _fits(word: str, part: str) -> bool:
    return word.startswith(part[:-1]) if part.endswith("*") else word == part


@functools.cache
def _guarded() -> int:
    """Return the concepts that count only as imperatives."""
    bits = vocabulary().bits
    return (
        bits["OVERRIDE"] | bits["SHOW"] | bits["LEAK"] | bits["SEND"] | bits["TOOLVERB"] | bits["PAY"] | bits["DELETE"]
    )


def _is_told(words: list[tuple[int, str]], n: int, begins: bool) -> bool:
    """Say whether a verb is negated, in the infinitive or said of others, rather than an order; or begins a clause."""
    at, before = words[n - 1] if n else (0, "")
    if before == "to":
        return n < 2 or words[n - 2][1] not in _TOLD_TO
    if before.endswith("s") and at + len(before) + 1 == words[n][0] and before not in _NO_PLURALS:
        return True  # "later rules override earlier rules"
    if n + 1 < len(words) and words[n + 1][1] in _NONE:
        return True  # "users reveal no credentials"
    if n > 2 and words[n - 3][1] in _CAUSED and words[n - 2][1] in _ARTICLES:
        return True  # "it made the assistant forward the inbox"
    return (before in _NOT_AN_ORDER and not begins) or any(word in _NOT_AFTER for word in _rest_of_clause(words, n))


def _rest_of_clause(words: list[tuple[int, str]], n: int) -> Iterator[str]:
    """Yield the words after the nth that can negate it, as German does: `Vergiss die Anweisungen nicht`."""
    for _, word in words[n + 1 : n + 5]:
        if word in _NEW_CLAUSE or not word[0].isalnum():
            return
        yield word


_CAUSED = frozenset({"made", "makes", "making", "lets", "watched", "saw"})
_ARTICLES = frozenset({"the", "a", "an", "my", "our", "their", "his", "her", "its"})
_NOT_AFTER = frozenset({"nicht", "pas", "niet", "ikke", "inte"})
_NONE = frozenset(
    {"no", "none", "nothing", "keine", "keinen", "nichts", "aucun", "aucune", "nessun", "nessuna", "geen", "niets"}
)
_NEW_CLAUSE = frozenset({"und", "et", "en", "sondern", "mais", "maar", "damit", "que", "dass", "dat"})
_NO_PLURALS = frozenset({"always", "thus", "yes", "perhaps", "nous", "vous", "ais", "llms", "assistants", "tous"})
_TOLD_TO = frozenset({"you", "is", "are", "need", "have", "has", "want", "required", "instructed"})
_NOT_AN_ORDER = frozenset(fold(
    "not never don can could may might will would cannot i we they he she it who which n ne non no nao не nicht niet "
    "wir ich sie on nous vous je el ella nos que die der das the a an my our their his her this ein eine le la les un"
).split())  # fmt: skip


def _by_shape(text: str) -> Iterator[tuple[int, int]]:
    """Yield where something stands that is recognised by its shape."""
    turn = _TURN.search(text) if "assistant" in text or "ai:" in text else None
    for hints, pattern, bits in _shapes():
        if any(hint in text for hint in hints):
            for match in pattern.finditer(text):
                if turn is None or match.start() < turn.start() or bits != _called():
                    yield match.start(), bits


_TURN = re.compile(r"(?:^|(?<=\n))[ \t]{0,4}(?:user|human|customer) ?:")
"""Somebody's turn in a talk that is quoted: who has the next one is not called by that."""


@functools.cache
def _called() -> int:
    bits = vocabulary().bits
    return bits["CALL"] | bits["AI"]


@functools.cache
def _shapes() -> list[tuple[list[str], re.Pattern[str], int]]:
    bits = vocabulary().bits
    return [
        (hints.split(), re.compile(pattern), sum(bits[name] for name in names.split()))
        for names, (hints, pattern) in _SHAPES.items()
    ]


def _unspaced(text: str) -> Iterator[tuple[int, int]]:
    """Yield where words of Chinese, Japanese and Hindi stand."""
    if not text.isascii() and _WITHOUT_TOKENS.search(text):
        bits = vocabulary().bits
        for match in _unspaced_words().finditer(text):
            yield match.start(), bits[match.lastgroup or ""]


_WITHOUT_TOKENS = re.compile(r"[\u0900-\u097f\u3040-\u30ff\u4e00-\u9fff]")


@functools.cache
def _unspaced_words() -> re.Pattern[str]:
    return re.compile("|".join(f"(?P<{name}>{'|'.join(words.split())})" for name, words in UNSPACED.items()))
