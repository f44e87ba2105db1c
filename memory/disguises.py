"""Views of a text: as it reads, and as it reads once a disguise is taken off.

Covered: compatibility letters, zero-width and tag characters, letters of other alphabets that look Latin, digits for
letters, letters set apart or reversed, words joined by capitals, HTML, URL and backslash escapes, base64, base32,
hexadecimal and binary codes, ROT13. Disguises may be nested, two deep. Not covered: other ciphers, Morse, pictures,
words split over several texts.
"""

from __future__ import annotations

import base64
import binascii
import codecs
import functools
import html
import re
import unicodedata
import urllib.parse
from collections.abc import Callable, Iterator
from typing import NamedTuple


class View(NamedTuple):
    """A text as it reads after `undone` was taken off; `folded` is ready for comparison with words."""

    undone: str
    folded: str


def views(text: str, vocabulary: frozenset[str], depth: int = 2) -> Iterator[View]:
    """Yield the text itself, folded, then what it hides; `vocabulary` tells which hidden words are worth a look."""
    plain = fold(text)
    yield View("", plain)
    for undone, found in _reshaped(plain, vocabulary):
        yield View(undone, fold(found))
    if _compiled(_JOINED).search(text):
        yield View("joined words", fold(_compiled(_CAPITAL).sub(" ", text)))
    for undone, found in _decoded(text) if depth else ():
        for view in views(found, vocabulary, depth - 1):
            yield View(f"{undone}, {view.undone}" if view.undone else undone, view.folded)


def fold(text: str) -> str:
    """Return a text in lower case without accents, compatibility letters and invisible characters."""
    if text.isascii():
        return text.lower()
    text = unicodedata.normalize("NFKC", text.translate(_INVISIBLE)).casefold()
    if _compiled(_ACCENTED).search(text):
        text = unicodedata.normalize("NFC", _compiled(_ACCENT).sub("", unicodedata.normalize("NFD", text)))
    return text


_INVISIBLE = {
    **dict.fromkeys([0xAD, 0x034F, 0x061C, 0x180E, *range(0x200B, 0x2010), *range(0x202A, 0x202F)]),
    **dict.fromkeys([*range(0x2060, 0x2070), *range(0xFE00, 0xFE10), 0xFEFF, 0xE0001, 0xE007F]),
    **{0xE0000 + code: code for code in range(0x20, 0x7F)},  # tag characters: invisible to people, read by models
    0x2018: "'", 0x2019: "'",
}  # fmt: skip
_ACCENTED = r"[\u00c0-\u052f\u1e00-\u1fff]"
_ACCENT = r"[\u0300-\u036f]+"


@functools.cache
def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern)


# --- codes


def _decoded(text: str) -> Iterator[tuple[str, str]]:
    """Yield what stands in the text in some code; codes are few, so one view holds all that a code hides."""
    if (found := _unescaped(text)) != text:
        yield "escapes", found
    if _compiled(_CODED).search(text):
        for name, pattern, decode in _CODES:
            pieces = [_readable(decode, match[0]) for match in _compiled(pattern).finditer(text)]
            if found := "\n".join(filter(None, pieces)):
                yield name, found


def _unescaped(text: str) -> str:
    """Return the text without HTML, URL and backslash escapes."""
    if "&" in text:
        text = html.unescape(text)
    if text.count("%") > 2:
        text = urllib.parse.unquote_plus(text, errors="ignore")
    if text.count("\\") > 4:
        text = _compiled(_ESCAPE).sub(lambda match: chr(int(match[1] or match[2], 16)), text)
    return text


def _readable(decode: Callable[[str], bytes], code: str) -> str:
    """Return what a code says, or nothing where it is no text."""
    try:
        found = decode(code).decode("utf-8")
    except (ValueError, binascii.Error):
        return ""
    plain = sum(character.isalpha() or character.isspace() for character in found)
    return found if plain > 0.8 * len(found) else ""


def _from_base64(code: str) -> bytes:
    code = re.sub(r"\s", "", code).rstrip("=")
    return base64.b64decode(code[: len(code) - (len(code) % 4 == 1)] + "=" * (-len(code) % 4), altchars=b"-_")


def _from_bits(code: str) -> bytes:
    return bytes(int(bits, 2) for bits in code.split())


_ESCAPE = r"\\(?:x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4}))"
_CODED = r"(?<![A-Za-z0-9+/_-])[A-Za-z0-9+/_-]{20}|(?:[0-9a-fA-F]{2}[\s:,]){10}|(?:[01]{8}\s){6}"
_CODES: tuple[tuple[str, str, Callable[[str], bytes]], ...] = (
    (
        "base64",
        r"(?<![A-Za-z0-9+/_-])[A-Za-z0-9+/_-]{20,}(?:\r?\n[A-Za-z0-9+/_-]{4,})*={0,2}",
        lambda code: _from_base64(code.replace("+", "-").replace("/", "_")),
    ),
    (
        "hexadecimal code",
        r"(?<![0-9a-fA-F])(?:(?:0x|\\x)?[0-9a-fA-F]{2}[\s:,]{0,2}){10,}",
        lambda code: bytes.fromhex(re.sub(r"0x|\\x|[\s:,]", "", code)),
    ),
    ("base32", r"(?<![A-Z0-9])[A-Z2-7]{24,}={0,6}", lambda code: base64.b32decode(code.rstrip("=") + _pad(code))),
    ("binary code", r"(?:[01]{8}\s){6,}[01]{8}", _from_bits),
)


def _pad(code: str) -> str:
    return "=" * (-len(code.rstrip("=")) % 8)


# --- letters in another place or dress


def _reshaped(plain: str, vocabulary: frozenset[str]) -> Iterator[tuple[str, str]]:
    """Yield the text with its letters put right, wherever that brings words of the vocabulary to light."""
    if not plain.isascii() and (found := plain.translate(_CONFUSABLE)) != plain:
        yield "look-alike letters", found
    if _compiled(_LEET_WORD).search(plain):
        yield "digits for letters", plain.translate(_LEET_I)
        yield "digits for letters", plain.translate(_LEET_L)
    together = plain
    if _compiled(_APART).search(plain):
        together = _compiled(_APART).sub(lambda m: _words_of(m[0], vocabulary), plain)
        yield "letters set apart", together
    if len(_compiled(_SPLIT).findall(together)) > 2:
        yield "split words" if together is plain else "letters set apart", _compiled(_SPLIT).sub("", together)
    if _is_worth(rotated := codecs.encode(plain, "rot13"), vocabulary):
        yield "ROT13", rotated
    if _is_worth(backwards := plain[::-1], vocabulary):
        yield "reversed text", backwards
        yield "reversed words", " ".join(word[::-1] for word in plain.split())


def _is_worth(text: str, vocabulary: frozenset[str]) -> bool:
    """Say whether at least two of the longer words known stand in the text."""
    return sum(len(word) > 3 for word in vocabulary.intersection(text.split())) > 1


def _words_of(letters: str, vocabulary: frozenset[str]) -> str:
    """Return letters that stand apart as words: as the wider gaps say, else as the vocabulary does."""
    joined = "".join(character for character in letters if character.isalnum())
    found: list[str] = []
    at = 0
    while at < len(joined):
        size = next((n for n in range(14, 2, -1) if joined[at : at + n] in vocabulary), 1)
        found.append(joined[at : at + size] if size == 1 else f" {joined[at : at + size]} ")
        at += size
    return " " + "".join(found) + " "


_JOINED = r"(?:[A-Z][a-z]{1,20}){4}"
_CAPITAL = r"(?<=[a-z])(?=[A-Z])"
_CONFUSABLE = str.maketrans(
    "асеһіјкӏмнорԛѕтуѵхԝзьԁɡгп" "αβγεηικνορτυχωϲ" "ıɑɩℓ",
    "acehijklmhopqstyvxwzbdgrn" "abyenikvoptuxwc" "iail",
)  # fmt: skip
_LEET_WORD = r"[a-z][013457@$!][a-z]|[013457@$!][a-z]+[013457@$!]"
_LEET_I = str.maketrans("013457@$!|", "oieastasil")
_LEET_L = str.maketrans("013457@$!|", "oleastasil")
_APART = r"(?<![^\W_])(?:[^\W_][\W_]{1,3}){4,}[^\W_](?![^\W_])"
_SPLIT = r"(?<=[^\W\d_])[-_.*~|•·/\\^+]{1,2}(?=[^\W\d_])"
