"""What all embedders do the same: check the texts they are given, and the vectors they return."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from agentevo.errors import EmbedderError, Misuse

if TYPE_CHECKING:
    from agentevo.protocols import Vectors


def checked_texts(texts: Sequence[str]) -> list[str]:
    """Return the texts as a list; raise Misuse for a lone text, or for what is no text."""
    if isinstance(texts, str):
        raise Misuse("embed takes a list of texts; write embed([text])")
    texts = list(texts)
    for i, text in enumerate(texts):
        if not isinstance(text, str):
            raise Misuse(f"embed takes texts, but number {i} is {text!r:.80}")
    return texts


def unit_rows(rows: object, count: int, dimensions: int | None, name: str) -> Vectors:
    """Return the vectors as float32 rows of length 1; raise EmbedderError if they are not what was asked for."""
    import numpy as np

    try:
        vectors = np.asarray(rows, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise EmbedderError(f"embedder {name!r} returned vectors of different lengths, or no numbers") from error
    if vectors.ndim != 2 or len(vectors) != count:
        raise EmbedderError(f"embedder {name!r} returned {len(vectors)} vectors for {count} texts")
    if dimensions is not None and vectors.shape[1] != dimensions:
        raise EmbedderError(
            f"embedder {name!r} returned {vectors.shape[1]} dimensions where {dimensions} were expected"
        )
    if not np.isfinite(vectors).all():
        raise EmbedderError(f"embedder {name!r} returned values that are not finite")
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    if not lengths.all():
        raise EmbedderError(f"embedder {name!r} returned a vector of zeros, which has no direction")
    unit: Vectors = (vectors / lengths).astype(np.float32)
    return unit
