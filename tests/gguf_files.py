"""Small GGUF files: a head with next to no weights, and a LoRA adapter that changes what the offline model says."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from gguf import GGUFWriter

WIDTH, HIDDEN, RANK = 576, 1536, 4
"""The sizes of SmolLM2-135M that an adapter has to fit."""


def write_head(path: Path, context: int = 64, kind: str = "model", size: int = 256, **numbers: int) -> Path:
    """Write a GGUF file with metadata of every kind, and one tensor of so many bytes that means nothing."""
    writer = GGUFWriter(str(path), "llama")
    writer.add_type(kind)
    writer.add_context_length(context)
    writer.add_embedding_length(32)
    writer.add_head_count(2)
    writer.add_token_list(["<s>", "a", "b"])
    writer.add_token_scores([0.0, 1.0, 2.0])
    writer.add_array("nested", [1, 2, 3])
    for name, value in numbers.items():
        writer.add_uint32(name.replace("__", "."), value)
    if size:
        writer.add_tensor("blk.0.none.weight", np.resize(np.arange(256, dtype=np.uint8), size).view(np.float32))
    _finish(writer)
    return path


def write_adapter(
    path: Path, seed: int = 0, scale: float = 0.2, architecture: str = "llama", width: int = WIDTH
) -> Path:
    """Write a LoRA adapter of random weights, large enough to change every reply."""
    dice = np.random.default_rng(seed)
    writer = GGUFWriter(str(path), architecture)
    writer.add_type("adapter")
    writer.add_string("adapter.type", "lora")
    writer.add_float32("adapter.lora.alpha", float(RANK))
    for layer in range(0, 30, 3):
        for part, shape in (("lora_a", (RANK, HIDDEN)), ("lora_b", (width, RANK))):
            values = dice.normal(0.0, scale, shape).astype(np.float32)
            writer.add_tensor(f"blk.{layer}.ffn_down.weight.{part}", values)
    path.parent.mkdir(parents=True, exist_ok=True)
    _finish(writer)
    return path


def _finish(writer: GGUFWriter) -> None:
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
