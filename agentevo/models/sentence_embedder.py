"""Embeddings on this machine: a sentence-transformers folder, loaded once a process."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import logging
import os
import threading
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agentevo.errors import EmbedderError, Misuse
from agentevo.models.catalogue import CATALOGUE
from agentevo.models.installed import again, sha256_of
from agentevo.models.threads import usable_cores, wait_without_spinning
from agentevo.models.vectors import checked_texts, unit_rows

if TYPE_CHECKING:
    from agentevo.protocols import Vectors

DEFAULT = "all-MiniLM-L6-v2"


class SentenceTransformerEmbedder:
    """An installed embedder by name, or any sentence-transformers folder.

    Weights of the catalogue that are missing are pulled at the first use. Nothing else is ever fetched.
    """

    def __init__(self, name: str = DEFAULT, batch: int = 64) -> None:
        if batch < 1:
            raise Misuse(f"a batch holds at least 1 text, not {batch}")
        self._name, self._batch = name, batch

    @property
    def name(self) -> str:
        return self._name

    @property
    def fingerprint(self) -> str:
        """The weights, the pooling and the dimensions, hashed; loads the weights if they are not yet."""
        return _loaded(self._name).fingerprint

    @property
    def dimensions(self) -> int:
        """The length of a vector; loads the weights if they are not yet."""
        return _loaded(self._name).dimensions

    async def embed(self, texts: Sequence[str]) -> Vectors:
        """Return one unit row a text; raise WeightsError or EmbedderError if the weights cannot be had or used."""
        texts = checked_texts(texts)
        stopped = threading.Event()
        try:
            return await asyncio.to_thread(self._embed, texts, stopped)
        finally:
            stopped.set()  # a pull that nobody waits for any more would keep the process from ending

    def _embed(self, texts: list[str], stopped: threading.Event) -> Vectors:
        import numpy as np

        loaded = _loaded(self._name, stopped)
        if not texts:
            return np.zeros((0, loaded.dimensions), dtype=np.float32)
        # The tokenizer refuses half of a surrogate pair, which JSON can carry.
        readable = [text.encode("utf-8", "replace").decode("utf-8") for text in texts]
        with loaded.lock:
            rows = loaded.model.encode(readable, batch_size=self._batch, show_progress_bar=False, convert_to_numpy=True)
        return unit_rows(rows, len(texts), loaded.dimensions, self._name)

    def __repr__(self) -> str:
        return f"SentenceTransformerEmbedder({self._name!r})"


class _Loaded:
    """A model in memory; one text batch at a time, since torch itself uses every core."""

    def __init__(self, name: str, folder: Path, sha256: str | None) -> None:
        self.lock = threading.Lock()
        self.model = _load(name, folder)
        self.dimensions = int(self.model.get_embedding_dimension())
        digest = hashlib.sha256((sha256 or _weights_hash(folder)).encode())
        for file in sorted(folder.glob("*_Pooling/config.json")):
            digest.update(file.read_bytes())
        for part in ("modules.json", "sentence_bert_config.json", "tokenizer.json"):
            digest.update((folder / part).read_bytes() if (folder / part).is_file() else b"-")
        self.fingerprint = f"sentence-transformers-{self.dimensions}-{digest.hexdigest()[:16]}"


_models: dict[Path, _Loaded] = {}
_loading = threading.Lock()


def _loaded(name: str, stopped: threading.Event | None = None) -> _Loaded:
    folder, sha256 = _folder(name, stopped)
    found = _models.get(folder)
    if found is not None:
        return found
    with _loading:
        if folder not in _models:
            _models[folder] = _Loaded(name, folder, sha256)
        return _models[folder]


def _folder(name: str, stopped: threading.Event | None) -> tuple[Path, str | None]:
    from agentevo.models.offline import obtain

    if Path(name).is_dir():
        return Path(name).resolve(), None
    weights = obtain(name, "embedder", stopped)
    return weights.path, weights.sha256


def _load(name: str, folder: Path) -> Any:
    wait_without_spinning()
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")  # it warns, and hangs, where a process forks
    with _silent():
        try:
            import torch
            from sentence_transformers import SentenceTransformer

            if torch.get_num_threads() > usable_cores():  # it counts the cores of the machine, not of the container
                torch.set_num_threads(usable_cores())
            return SentenceTransformer(str(folder), device="cpu", local_files_only=True)
        except Exception as error:  # whatever the libraries make of a damaged folder
            why = " ".join(str(error).split())[:200]
            advice = again(name) if name in CATALOGUE else "expected a sentence-transformers folder"
            raise EmbedderError(f"{folder} cannot be loaded as an embedder: {why}; {advice}") from error


@contextlib.contextmanager
def _silent() -> Iterator[None]:
    """Keep loading from printing bars, reports and warnings."""
    from transformers.utils import logging as reports

    bars, verbosity = reports.is_progress_bar_enabled(), reports.get_verbosity()
    reports.disable_progress_bar()
    reports.set_verbosity(logging.CRITICAL)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        reports.set_verbosity(verbosity)
        if bars:
            reports.enable_progress_bar()


def _weights_hash(folder: Path) -> str:
    files = sorted([*folder.glob("*.safetensors"), *folder.glob("*.bin")])
    if not files:
        raise EmbedderError(f"{folder} holds no weights: expected a model.safetensors")
    return "-".join(sha256_of(file) for file in files)
