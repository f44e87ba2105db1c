"""Embedders by name: hashing, sentence-transformers on this machine, or any embedding litellm knows."""

from __future__ import annotations

import inspect
from pathlib import Path

from agentevo.errors import Misuse, UnknownName
from agentevo.models.catalogue import CATALOGUE
from agentevo.models.hash_embedder import HashEmbedder
from agentevo.models.installed import installed
from agentevo.models.litellm_embedder import LiteLLMEmbedder
from agentevo.models.sentence_embedder import SentenceTransformerEmbedder
from agentevo.protocols import Embedder

__all__ = ["HashEmbedder", "LiteLLMEmbedder", "SentenceTransformerEmbedder", "as_embedder"]


def as_embedder(embedder: str | Embedder) -> Embedder:
    """Return the embedder of a name; an Embedder is returned as it is.

    A name is "hash", one of the catalogue, a sentence-transformers folder, or a litellm embedding such as
    "openai/text-embedding-3-small". Raise UnknownName, which lists what can be had, for any other.
    """
    if not isinstance(embedder, str):
        if _is_embedder(embedder):
            return embedder
        raise Misuse(
            f"expected the name of an embedder, such as 'all-MiniLM-L6-v2', or an Embedder; got {embedder!r:.80}"
        )
    if embedder == HashEmbedder.name:
        return HashEmbedder()
    here = {weights.name for weights in installed("embedder")}
    known = {*here, *(weights.name for weights in CATALOGUE.values() if weights.kind == "embedder")}
    if embedder in known or _is_folder(embedder):
        return SentenceTransformerEmbedder(embedder)
    if _has_provider(embedder):
        return LiteLLMEmbedder(embedder)
    raise UnknownName("embedder", embedder, {*known, HashEmbedder.name, "FOLDER", "PROVIDER/NAME"})


def _is_embedder(what: object) -> bool:
    """Tell by what there is, not by asking for it: the dimensions of some are a request to a provider."""
    try:
        for part in ("name", "fingerprint", "dimensions", "embed"):
            inspect.getattr_static(what, part)
    except AttributeError:
        return False
    return True


def _is_folder(name: str) -> bool:
    try:
        return Path(name).is_dir()
    except (OSError, ValueError):  # too long for a path, or with a NUL
        return False


def _has_provider(name: str) -> bool:
    provider, slash, rest = name.partition("/")
    if not (slash and rest) or name.startswith((".", "/", "~")):
        return False
    from agentevo.models.runtime import load_litellm

    litellm = load_litellm()
    return provider in {getattr(known, "value", known) for known in litellm.provider_list}
