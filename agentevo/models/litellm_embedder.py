"""Embeddings of any provider that litellm knows."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from agentevo.errors import EmbedderError, Misuse, ModelError
from agentevo.models.failures import chained, translate
from agentevo.models.requests import check_allowed
from agentevo.models.retry import Retry, timed_out
from agentevo.models.runtime import litellm_when_needed
from agentevo.models.vectors import checked_texts, unit_rows
from agentevo.types import Json

if TYPE_CHECKING:
    from agentevo.protocols import Vectors


class LiteLLMEmbedder:
    """An embedding by its litellm name, `openai/text-embedding-3-small` say.

    `timeout_s` is the budget of one call of `embed`, retries included. Limits and server errors are retried; what
    goes wrong in the end is an EmbedderError, its cause a ModelError. MissingKey and UnknownName are raised as such.
    """

    def __init__(
        self,
        name: str,
        *,
        dimensions: int | None = None,
        batch: int = 128,
        timeout_s: float = 120.0,
        api_base: str | None = None,
        api_key: str | None = None,
        retry: Retry | None = None,
        extra: Mapping[str, Json] | None = None,
    ) -> None:
        if batch < 1 or timeout_s <= 0 or (dimensions is not None and dimensions < 1):
            raise Misuse("batch, dimensions and timeout_s of an embedder must be above 0")
        self._name, self._asked, self._known = name, dimensions, dimensions
        self._batch, self._timeout_s, self._retry = batch, timeout_s, retry or Retry()
        self._api_base, self._api_key, self._extra = api_base, api_key, dict(extra or {})

    @property
    def name(self) -> str:
        return self._name

    @property
    def fingerprint(self) -> str:
        """The name and the dimensions; raise EmbedderError before they are known."""
        return f"litellm:{self._name}:{self.dimensions}"

    @property
    def dimensions(self) -> int:
        """The length of a vector, given or learnt from the first one; raise EmbedderError before."""
        if self._known is None:
            raise EmbedderError(
                f"the dimensions of {self._name!r} are known after its first call; embed a text first, "
                "or give dimensions="
            )
        return self._known

    async def embed(self, texts: Sequence[str]) -> Vectors:
        """Return one unit row a text, in order."""
        import numpy as np

        texts = checked_texts(texts)
        if not texts:
            return np.zeros((0, self._known or 0), dtype=np.float32)
        check_allowed(self._name)
        deadline = self._retry.clock() + self._timeout_s
        rows = []
        for start in range(0, len(texts), self._batch):
            rows.append(await self._embed(texts[start : start + self._batch], deadline))
        return np.concatenate(rows)

    async def _embed(self, texts: list[str], deadline: float) -> Vectors:
        try:
            data = await self._retry.call(lambda limit_s: self._attempt(texts, limit_s), deadline)
        except ModelError as error:
            raise EmbedderError(f"embedder {self._name!r} failed: {error}") from error
        try:
            by_place = {int(entry["index"]): entry["embedding"] for entry in data}
            ordered = [by_place[i] for i in range(len(texts))]
        except (KeyError, TypeError, ValueError) as error:
            raise EmbedderError(
                f"embedder {self._name!r} returned {len(data)} vectors for {len(texts)} texts, or in no known order"
            ) from error
        vectors = unit_rows(ordered, len(texts), self._known, self._name)
        self._known = vectors.shape[1]
        return vectors

    async def _attempt(self, texts: list[str], limit_s: float) -> Sequence[Any]:
        litellm = await litellm_when_needed()
        try:
            async with asyncio.timeout(limit_s):
                response = await litellm.aembedding(
                    model=self._name,
                    input=texts,
                    dimensions=self._asked,
                    api_base=self._api_base,
                    api_key=self._api_key,
                    timeout=self._timeout_s,
                    num_retries=0,
                    max_retries=0,
                    **self._extra,
                )
        except TimeoutError as error:
            raise timed_out(self._name, limit_s) from error
        except Exception as error:
            raise chained(translate(error, self._name, self._api_key), error, self._api_key) from error
        data: Sequence[Any] = response.data or []
        return data

    def __repr__(self) -> str:
        return f"LiteLLMEmbedder({self._name!r})"
