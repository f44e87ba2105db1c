"""Vectors from hashed words and letter groups: no download, the same on every machine, and near for like spellings."""

from __future__ import annotations

import functools
import hashlib
import math
import re
import unicodedata
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from agentevo.models.vectors import checked_texts

if TYPE_CHECKING:
    from agentevo.protocols import Vectors

DIMENSIONS = 384
_VERSION = 1
_WORD = re.compile(r"\w+")
_GROUPS = (3, 4)
_GROUP_WEIGHT = 1.0  # the groups of a word together weigh as much as the word
_COMMON_WEIGHT = 0.3
_COMMON = frozenset(
    _WORD.findall(
        "a an and are as at be been but by can could did do does for from had has have he her his how i if in is it "
        "its me my of on or our she should so that the their them there they this to was we were what when where "
        "which who why will with would you your"
    )
)
_AT_ONCE = 2048
_NOTHING = 1e-9


class HashEmbedder:
    """Counts words and groups of letters, each at a place its hash gives; equal across processes and platforms.

    It knows no meanings: texts are near where they share words, or parts of words.
    """

    name = "hash"
    dimensions = DIMENSIONS
    fingerprint = f"hash-v{_VERSION}-{DIMENSIONS}"

    async def embed(self, texts: Sequence[str]) -> Vectors:
        """Return one unit row a text."""
        return self.embed_now(texts)

    def embed_now(self, texts: Sequence[str]) -> Vectors:
        """Return the same without waiting: nothing here waits for anything."""
        import numpy as np

        texts = checked_texts(texts)
        rows = [_rows(texts[start : start + _AT_ONCE]) for start in range(0, len(texts), _AT_ONCE)]
        return np.concatenate(rows) if rows else np.zeros((0, DIMENSIONS), dtype=np.float32)

    def __repr__(self) -> str:
        return "HashEmbedder()"


def _rows(texts: Sequence[str]) -> Vectors:
    import numpy as np

    places: list[int] = []
    weights: list[float] = []
    sizes: list[int] = []
    for text in texts:
        before = len(places)
        _add_features(text, places, weights)
        sizes.append(len(places) - before)
    flat = np.repeat(np.arange(len(texts)) * DIMENSIONS, sizes) + np.asarray(places, dtype=np.int64)
    rows = np.bincount(flat, weights, minlength=len(texts) * DIMENSIONS).reshape(len(texts), DIMENSIONS)
    lengths = np.sqrt(np.einsum("ij,ij->i", rows, rows))
    silent = lengths < _NOTHING  # no words, or words that cancel out: one fixed direction
    rows[silent], lengths[silent] = 0.0, 1.0
    rows[silent, 0] = 1.0
    unit: Vectors = (rows / lengths[:, None]).astype(np.float32)
    return unit


def _add_features(text: str, places: list[int], weights: list[float]) -> None:
    """Add the places that a text's words and letter groups fall on, and what they add there."""
    for word, count in Counter(_WORD.findall(unicodedata.normalize("NFKC", text).casefold())).items():
        at, weight = _of_word(word)
        places.extend(at)
        weights.extend(weight if count == 1 else [(1.0 + math.log(count)) * one for one in weight])


@functools.lru_cache(maxsize=1 << 16)
def _of_word(word: str) -> tuple[tuple[int, ...], tuple[float, ...]]:
    """Return where a word and its letter groups fall, and their weights; words recur, so this is kept."""
    weight = _COMMON_WEIGHT if word in _COMMON else 1.0
    groups = sorted(set(_letter_groups(word)))
    share = weight * _GROUP_WEIGHT / math.sqrt(len(groups)) if groups else 0.0
    placed = [_placed(f"w:{word}", weight), *(_placed(f"g:{group}", share) for group in groups)]
    return tuple(place for place, _ in placed), tuple(weight for _, weight in placed)


def _letter_groups(word: str) -> Iterator[str]:
    framed = f"<{word}>"
    for size in _GROUPS:
        for start in range(len(framed) - size + 1):
            yield framed[start : start + size]


def _placed(feature: str, weight: float) -> tuple[int, float]:
    digest = int.from_bytes(hashlib.blake2b(feature.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "little")
    return (digest >> 1) % DIMENSIONS, weight if digest & 1 else -weight
