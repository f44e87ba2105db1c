"""What an embedder made, checked before it is kept: whoever wrote it, a memory holds unit vectors of one length."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from agentevo.blocking import wait
from agentevo.errors import EmbedderError
from agentevo.memory.exact import Vector
from agentevo.memory.ledger import Progress
from agentevo.protocols import Immediate

if TYPE_CHECKING:
    from agentevo.protocols import Embedder

_BATCH = 256


def embedded(embedder: Embedder, texts: Sequence[str]) -> NDArray[np.float32]:
    """Return one unit vector a text, as rows; raise EmbedderError where that is not what the embedder makes."""
    made: object = embedder.embed_now(texts) if isinstance(embedder, Immediate) else wait(_embed(embedder, texts))
    try:
        vectors = np.asarray(made, np.float32)
    except (TypeError, ValueError) as error:
        raise EmbedderError(f"{embedder.name} made no vectors of numbers ({error}); expected one row a text") from error
    if vectors.ndim != 2 or len(vectors) != len(texts) or not vectors.shape[1]:
        raise EmbedderError(
            f"{embedder.name} made {vectors.shape} numbers of {len(texts)} texts; expected one row of numbers a text"
        )
    lengths = np.sqrt(np.einsum("nd,nd->n", vectors, vectors, dtype=np.float64))
    bad = np.flatnonzero(~(np.isfinite(lengths) & (lengths > 0)))
    if len(bad):
        text = texts[bad[0]]
        raise EmbedderError(
            f"{embedder.name} made a vector of length {lengths[bad[0]]:g} of {text!r:.60}; "
            "expected finite numbers that are not all zero"
        )
    unit: NDArray[np.float32] = (vectors / lengths[:, None]).astype(np.float32)
    return unit


def in_batches(embedder: Embedder, texts: Sequence[str], progress: Progress) -> list[Vector]:
    """Return one unit vector a text, made of so many texts at once that there is progress to tell."""
    vectors: list[Vector] = []
    for start in range(0, len(texts), _BATCH):
        progress("embedding", start, len(texts))
        vectors.extend(embedded(embedder, texts[start : start + _BATCH]))
    return vectors


async def _embed(embedder: Embedder, texts: Sequence[str]) -> object:
    return await embedder.embed(texts)
