"""The base of a training: an offline model made trainable by dequantising its GGUF, or any Hugging Face folder."""

from __future__ import annotations

import contextlib
import hashlib
import io
import shutil
import uuid
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from agentevo.errors import MissingExtra, Misuse, WeightsError
from agentevo.models import offline
from agentevo.models.gguf_header import Value, read_header
from agentevo.models.installed import LOCAL, Installed, check_untouched, sha256_of, storing
from agentevo.models.threads import wait_without_spinning

if TYPE_CHECKING:
    import torch
    from peft import PeftModel
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

_DIGIT_BY_DIGIT = ("smollm", "starcoder", "refact", "command-r", "codeshell", "exaone", "minerva-7b")
"""Ways of splitting text, as GGUF files name them, in which each digit is a token: the conversion loses that."""

_SHAPE = ("block_count", "embedding_length", "feed_forward_length", "attention.head_count")
"""What the head of a GGUF file must say of a model for it to be built anew."""

_TRIED = (
    "Hello, world!", "12", "1234567890", "order 4711 at 3pm", "v1.2.3", "2026-11-21", "50% off", "€3,50", "x1y22z333",
    "RMD Anna | budget | Friday 3pm", "don't we'll I'm", "  two  spaces", "\ttab\n\nlines\n", "trailing ", "CamelCase",
    "def f(x):\n    return x + 10", '{"name": "a", "arguments": {"n": 7}}', "naïve café", "Привет 42", "日本語 123",
    "🙂 7", "¹²³ ½ ٣٤", "http://a.b/c?d=1&e=22", "<b>3</b>", "a_b-c", "...!!!???", "A1 B2 C3", "0x1F", "1,000,000.00",
)  # fmt: skip
"""Texts on which the tokenizer must agree with the runtime."""


@dataclass(frozen=True, slots=True)
class Base:
    """Weights to train on: what they are called, the folder that holds them, and what they hash to."""

    name: str
    folder: Path
    sha256: str
    gguf: Path | None = None
    """The file that the offline runtime serves, where it is one of its models."""

    def tokenizer(self) -> PreTrainedTokenizerBase:
        """Load the tokenizer; raise WeightsError if there is none."""
        from transformers import AutoTokenizer

        with _loading(self.folder):
            return AutoTokenizer.from_pretrained(self.folder)

    def model(self, dtype: torch.dtype | None = None) -> PreTrainedModel:
        """Load the weights, in 32 bit unless asked otherwise; raise WeightsError if they cannot be."""
        import torch
        from transformers import AutoModelForCausalLM

        with _loading(self.folder), quiet():
            return AutoModelForCausalLM.from_pretrained(self.folder, dtype=dtype or torch.float32, use_safetensors=True)


def adapted(model: PreTrainedModel, adapter: Path, *, is_trainable: bool = False) -> PeftModel:
    """Return a model with the adapter of a folder, whose files are there; raise WeightsError where it does not fit."""
    from peft import PeftModel

    try:
        return PeftModel.from_pretrained(model, str(adapter), is_trainable=is_trainable, local_files_only=True)
    except RuntimeError as error:
        said = " ".join(str(error).split())[:300]
        raise WeightsError(f"the adapter in {adapter} does not fit its model: {said}; take another") from error


def base(model: str | Path, report: Callable[[str], None] | None = None) -> Base:
    """Return what `local/NAME`, or a folder in the format of Hugging Face, is to be trained on.

    The first time an offline model is asked for, its weights are dequantised and kept beside it: that takes half a
    minute and four bytes a weight of disk, and `report` hears of it. Raises Misuse for any other model, WeightsError
    for weights that cannot be used.
    """
    wait_without_spinning()  # before torch is loaded
    _check_packages()
    if isinstance(model, str) and model.startswith(LOCAL):
        return _offline(model, report or (lambda _: None))
    folder = Path(model)
    if not (folder / "config.json").is_file():
        raise Misuse(
            f"{str(model)!r} cannot be trained: it is neither local/NAME nor a folder with config.json and "
            "model.safetensors; weights behind an API stay there"
        )
    return Base(str(model), folder, fingerprint(folder))


def fingerprint(folder: Path) -> str:
    """Return one hash for the weights and the shape of a model's folder."""
    files = sorted(folder.glob("*.safetensors"))
    if not files:
        raise WeightsError(f"{folder} holds no *.safetensors; save the model with save_pretrained first")
    digest = hashlib.sha256()
    for file in (folder / "config.json", *files):
        digest.update(f"{file.name} {sha256_of(file)}\n".encode())
    return digest.hexdigest()


def _check_packages() -> None:
    try:  # imported to see that they are there and load; used elsewhere
        import datasets  # noqa: F401
        import gguf  # noqa: F401
        import peft  # noqa: F401
        import trl  # noqa: F401
    except ImportError as error:
        raise MissingExtra("training", "train") from error


# --- offline models


def _offline(model: str, report: Callable[[str], None]) -> Base:
    name, adapter = offline.split(model.removeprefix(LOCAL))
    if adapter is not None:
        raise Misuse(f"{model!r} names an adapter; train on local/{name}, and give the adapter's folder as `start`")
    weights = offline.obtain(name, "model")
    check_untouched(weights)
    folder = weights.path.parent / f"trainable-{weights.sha256[:16]}"
    if not folder.is_dir():
        report(f"dequantising {name}, once")
        with storing(f"dequantise {name}"), _made(folder) as unfinished:
            _dequantise(weights, unfinished)
            _compare(weights, unfinished)
    return Base(model, folder, weights.sha256, weights.path)


@contextlib.contextmanager
def _made(folder: Path) -> Iterator[Path]:
    """Yield a folder to fill, which then appears under its name as a whole, or not at all."""
    unfinished = folder.with_name(f".{folder.name}.{uuid.uuid4().hex}")
    try:
        unfinished.mkdir(parents=True)
        yield unfinished
        if not folder.is_dir():  # another process may have been as quick
            unfinished.rename(folder)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def _dequantise(weights: Installed, folder: Path) -> None:
    import torch
    from safetensors.torch import save_model
    from transformers import AutoModelForCausalLM, AutoTokenizer

    where, file = weights.path.parent, weights.path.name
    header = read_header(weights.path)
    _must_say_its_shape(weights.path, header)
    # Its bar cannot be turned off otherwise.
    with _loading(weights.path), quiet(), contextlib.redirect_stderr(io.StringIO()):
        model = AutoModelForCausalLM.from_pretrained(where, gguf_file=file, dtype=torch.float32)
        tokenizer = AutoTokenizer.from_pretrained(where, gguf_file=file)
    if hasattr(model.config, "quantization_config"):
        del model.config.quantization_config  # else it is taken for quantised, and refused by the trainers
    model.config.save_pretrained(folder)
    model.generation_config.save_pretrained(folder)
    save_model(model, str(folder / "model.safetensors"), metadata={"format": "pt"})
    _repair(tokenizer, header.get("tokenizer.ggml.pre"))
    tokenizer.save_pretrained(folder)


def _must_say_its_shape(file: Path, header: Mapping[str, Value]) -> None:
    """Raise WeightsError where a shape would be made up, which may be that of a model of many gigabytes."""
    family = header.get("general.architecture")
    missing = [name for name in _SHAPE if f"{family}.{name}" not in header]
    if missing:
        raise WeightsError(
            f"{file} cannot be loaded for training: of its architecture {family!r} it does not say "
            f"{', '.join(missing)}; pull the model again, or train on the folder the file was made from"
        )


def _repair(tokenizer: PreTrainedTokenizerBase, split: object) -> None:
    """Split digits as the runtime does, which the conversion of the tokenizer forgets."""
    from tokenizers.pre_tokenizers import ByteLevel, Digits, Sequence

    if split in _DIGIT_BY_DIGIT:
        parts = [Digits(individual_digits=True), ByteLevel(add_prefix_space=False, use_regex=True)]
        tokenizer.backend_tokenizer.pre_tokenizer = Sequence(parts)


def _compare(weights: Installed, folder: Path) -> None:
    """Raise WeightsError unless texts have as many tokens here as in the runtime."""
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder)
    differing = [
        text
        for text in _TRIED
        if len(tokenizer.encode(text, add_special_tokens=False)) != offline.count_tokens(weights.name, text)
    ]
    if differing:
        raise WeightsError(
            f"the tokenizer in {weights.path} cannot be rebuilt exactly: {len(differing)} of {len(_TRIED)} texts have "
            f"other tokens in the runtime, such as {differing[0]!r}; train on the folder the file was made from"
        )


# --- what the libraries say


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Keep bars and advice of the libraries off the terminal; what matters is raised."""
    from datasets.utils import are_progress_bars_disabled, disable_progress_bars, enable_progress_bars
    from transformers.utils import logging as said

    level, bars, others = said.get_verbosity(), said.is_progress_bar_enabled(), not are_progress_bars_disabled()
    said.set_verbosity_error()
    said.disable_progress_bar()
    disable_progress_bars()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        said.set_verbosity(level)
        if bars:
            said.enable_progress_bar()
        if others:
            enable_progress_bars()


@contextlib.contextmanager
def _loading(what: Path) -> Iterator[None]:
    from safetensors import SafetensorError

    try:
        yield
    except (OSError, ValueError, KeyError, NotImplementedError, RuntimeError, SafetensorError) as error:
        said = " ".join(str(error).split())[:300]
        raise WeightsError(f"{what} cannot be loaded for training: {said}") from error
