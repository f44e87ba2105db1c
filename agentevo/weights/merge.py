"""An adapter worked into its base: a folder for other programs, or a GGUF file for the offline runtime."""

from __future__ import annotations

import math
import shutil
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from agentevo.errors import Misuse
from agentevo.weights.checkpoints import stored
from agentevo.weights.gguf import base_of, matrices, opened, scale, served, written
from agentevo.weights.load import adapted, quiet

if TYPE_CHECKING:
    from gguf import GGMLQuantizationType, GGUFReader, GGUFWriter, ReaderTensor

    from agentevo.weights.gguf import Matrix

Form: TypeAlias = Literal["safetensors", "q8_0", "f16"]
FORMS: tuple[Form, ...] = ("safetensors", "q8_0", "f16")


def merge(adapter: str | Path, out: str | Path, *, form: Form = "q8_0", model: str | Path | None = None) -> Path:
    """Write the adapted model as one: a folder of safetensors, or a GGUF file that `agentevo models pull` takes.

    Raises Misuse for a coarser form, an adapter of another base, or an `out` that exists.
    """
    adapter, out = Path(adapter), Path(out)
    if form not in FORMS:
        raise Misuse(
            f"a merged model cannot be written as {form!r}, but as {', '.join(FORMS)}: of an update, rounding to 4 "
            "bits leaves 5 to 8 percent, since its numbers are smaller than the steps; or install the adapter as it is"
        )
    if out.exists():
        raise Misuse(f"{out} exists; choose another name for the merged model, or remove it")
    if form == "safetensors":
        _as_folder(adapter, out, model)
    else:
        _as_file(adapter, out, form, model)
    return out


def _as_folder(adapter: Path, out: Path, model: str | Path | None) -> None:
    on = base_of(adapter, model)
    unfinished = out.with_name(f".{out.name}.{uuid.uuid4().hex}")
    try:
        with quiet(), stored(out):
            merged = adapted(on.model(), adapter).merge_and_unload()
            merged.save_pretrained(str(unfinished))
            on.tokenizer().save_pretrained(str(unfinished))
            unfinished.rename(out)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def _as_file(adapter: Path, out: Path, form: Form, model: str | Path | None) -> None:
    from gguf import GGMLQuantizationType, GGUFReader, GGUFWriter, LlamaFileType

    _, weights, header = served(adapter, model)
    update, factor = matrices(adapter, header), scale(adapter)
    kind = GGMLQuantizationType[form.upper()]
    with stored(out), written(out) as unfinished:
        reader, writer = GGUFReader(weights), GGUFWriter(str(unfinished), str(header["general.architecture"]))
        _copy_fields(reader, writer)
        writer.add_file_type(LlamaFileType[f"MOSTLY_{form.upper()}"])
        for tensor in reader.tensors:
            _announce(writer, tensor, kind)
        with opened(writer):
            writer.write_ti_data_to_file()
            for tensor in reader.tensors:  # one by one: the whole model need not fit into memory
                writer.write_tensor_data(_merged(tensor, update.get(tensor.name), factor, kind))


_OWN = ("general.architecture", "general.file_type", "general.quantization_version", "GGUF.")
"""Fields that the writer says itself."""


def _copy_fields(reader: GGUFReader, writer: GGUFWriter) -> None:
    from gguf import GGUFValueType

    for field in reader.fields.values():
        if not field.name.startswith(_OWN):
            kind = field.types[0]
            element = field.types[-1] if kind == GGUFValueType.ARRAY else None
            writer.add_key_value(field.name, field.contents(), kind, sub_type=element)


def _announce(writer: GGUFWriter, tensor: ReaderTensor, kind: GGMLQuantizationType) -> None:
    """Say what a tensor will be: matrices of the kind asked for, all else, such as norms, in 32 bit."""
    import numpy as np
    from gguf import GGMLQuantizationType
    from gguf.quants import quant_shape_to_byte_shape

    shape, kept = _shape_of(tensor), _kind_of(tensor, kind)
    if kept == GGMLQuantizationType.Q8_0:
        size = quant_shape_to_byte_shape(shape, kept)
        writer.add_tensor_info(tensor.name, size, np.dtype(np.uint8), math.prod(size), raw_dtype=kept)
    else:
        numbers = np.dtype(np.float16 if kept == GGMLQuantizationType.F16 else np.float32)
        writer.add_tensor_info(tensor.name, shape, numbers, math.prod(shape) * numbers.itemsize)


def _merged(
    tensor: ReaderTensor, update: tuple[Matrix, Matrix] | None, factor: float, kind: GGMLQuantizationType
) -> Any:
    """Return a tensor of the base, with what the adapter adds to it, as it was announced."""
    from gguf.quants import dequantize, quantize

    values = dequantize(tensor.data, tensor.tensor_type).reshape(_shape_of(tensor))
    if update is not None:
        a, b = update
        values = values + factor * (b @ a)
    return quantize(values.astype("float32"), _kind_of(tensor, kind))


def _shape_of(tensor: ReaderTensor) -> tuple[int, ...]:
    return tuple(int(width) for width in reversed(tensor.shape))  # GGUF names the fastest first


def _kind_of(tensor: ReaderTensor, kind: GGMLQuantizationType) -> GGMLQuantizationType:
    from gguf import GGMLQuantizationType
    from gguf.constants import GGML_QUANT_SIZES

    is_matrix = len(tensor.shape) > 1
    fits = int(tensor.shape[0]) % GGML_QUANT_SIZES[kind][0] == 0
    return kind if is_matrix and fits else GGMLQuantizationType.F32
