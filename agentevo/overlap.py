"""How much texts say the same: a digest that spelling does not change, and the n-grams of words that they share.

Words are what letters and digits make; scripts that part no words (Chinese, Japanese) give one a character.
"""

from __future__ import annotations

import re
import unicodedata
import zlib
from collections import Counter
from collections.abc import Iterable, Sequence
from functools import lru_cache
from hashlib import blake2b

_UNSPACED = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
_WORD = re.compile(rf"[{_UNSPACED}]|[^\W{_UNSPACED}]+")
_SIGN = re.compile(rf"[{_UNSPACED}]|[^\W{_UNSPACED}]+|[^\w\s]")

_UNSEEN = dict.fromkeys(map(ord, "\u00ad\u200b\u200c\u200d\u2060\ufeff"))
"""Soft hyphens, and spaces and joiners without width."""
_REMEMBERED = 16
"""So many texts are looked into once: instructions come again with each row."""


def plain(text: str) -> str:
    """Return a text without what makes no difference: case, spacing, unseen marks, ways to write a character."""
    return " ".join(unicodedata.normalize("NFKC", text).translate(_UNSEEN).casefold().split())


def digest(text: str) -> bytes:
    """Return 16 bytes that are the same for texts that are plainly the same."""
    return blake2b(plain(text).encode("utf-8", "replace"), digest_size=16).digest()


def words(text: str, *, signs: bool = False) -> list[str]:
    """Return the words of a text; with signs, its punctuation marks and operators too, each by itself."""
    return (_SIGN if signs else _WORD).findall(plain(text))


def grams(said: Sequence[str], n: int) -> set[int]:
    """Return the runs of n words as numbers of 32 bits, the same in each process; a shorter text is one run."""
    if not said:
        return set()
    runs = [said[start : start + n] for start in range(max(1, len(said) - n + 1))]
    return {zlib.crc32("\x00".join(run).encode("utf-8", "replace")) for run in runs}


def alike(one: set[int], other: set[int]) -> float:
    """Return which share of all n-grams of two texts both have, from 0 to 1."""
    return len(one & other) / len(one | other) if one or other else 1.0


class Held:
    """Texts that must not be learned from, and whether a text is one of them, holds most of one, or is part of one.

    Covered: the same text but for case, spacing and the mark it ends with; shared runs of n words that are at least
    `share` of the shorter text's. Not covered: translations and free paraphrases; of texts of fewer than n words only
    the same text counts.
    """

    def __init__(self, texts: Iterable[str], *, n: int = 8, share: float = 0.5) -> None:
        self._n, self._share = n, share
        self._digests: set[bytes] = set()
        self._places: dict[int, list[int]] = {}
        self._sizes: list[int] = []
        for text in texts:
            self._add(text)
        self._stands_in = lru_cache(_REMEMBERED)(self._most_stands_in)

    def __len__(self) -> int:
        """Return how many texts are held, the same ones once."""
        return len(self._digests)

    def _add(self, text: str) -> None:
        name = digest(_unmarked(text))
        if name in self._digests:
            return
        self._digests.add(name)
        runs = self._runs(text)
        for run in runs:
            self._places.setdefault(run, []).append(len(self._sizes))
        self._sizes.append(len(runs))

    def has(self, text: str) -> bool:
        """Say whether a text overlaps with one that is held."""
        if digest(_unmarked(text)) in self._digests:
            return True
        runs = self._runs(text)
        shared = self._shared(runs).items()
        return any(count >= self._share * min(self._sizes[place], len(runs)) for place, count in shared)

    def stands_in(self, text: str) -> bool:
        """Say whether a text holds most of one that is held, which is of n words or more."""
        return self._stands_in(text)

    def _most_stands_in(self, text: str) -> bool:
        shared = self._shared(self._runs(text)).items()
        return any(count >= self._share * self._sizes[place] for place, count in shared)

    def _shared(self, runs: set[int]) -> Counter[int]:
        """Count, for each text that is held, which of these runs it has."""
        return Counter(place for run in runs for place in self._places.get(run, ()))

    def _runs(self, text: str) -> set[int]:
        said = words(text)
        return grams(said, self._n) if len(said) >= self._n else set()


def _unmarked(text: str) -> str:
    """Return a text without the marks that a sentence ends with, unless it is nothing else."""
    return text.rstrip(".?!…。？！ \t\r\n") or text
