"""An embedder for tests of memory: each word has a direction of its own, so texts that share words are alike."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agentevo.memory import Memory


class WordVectors:
    """The mean of the directions of a text's words; no model, no download, the same in every process."""

    def __init__(self, name: str = "word-vectors", dimensions: int = 32, fingerprint: str = "1") -> None:
        self.name, self.dimensions, self.fingerprint = name, dimensions, fingerprint

    async def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        return np.stack([self.vector(text) for text in texts])

    def vector(self, text: str) -> NDArray[np.float32]:
        words = text.lower().split() or [""]
        total = np.sum([self._direction(word) for word in words], axis=0)
        unit: NDArray[np.float32] = (total / np.linalg.norm(total)).astype(np.float32)
        return unit

    def _direction(self, word: str) -> NDArray[np.float32]:
        seed = int.from_bytes(hashlib.blake2b(word.encode("utf-8", "replace"), digest_size=8).digest())
        return np.random.default_rng(seed).standard_normal(self.dimensions).astype(np.float32)


def export_lines(memory: Memory) -> list[str]:
    """Return an export in hand."""
    lines = memory.export()
    assert not isinstance(lines, int)
    return list(lines)


def open_memory(path: str | Path, **options: Any) -> Memory:
    """Open a memory that embeds with WordVectors."""
    return Memory.open(path, **{"embedder": WordVectors(), **options})
