"""From an adapter's folder into the offline runtime: a GGUF LoRA file, beside the model it was trained for."""

from __future__ import annotations

import contextlib
import os
import uuid
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from agentevo.errors import Misuse, WeightsError
from agentevo.models import offline
from agentevo.models.adapter_files import BASE, MADE_OF
from agentevo.models.gguf_header import Value, read_header
from agentevo.models.installed import LOCAL, Installed, checked_name, sha256_of, storing
from agentevo.weights.checkpoints import stored
from agentevo.weights.config import ADAPTER, Training
from agentevo.weights.load import Base, base
from agentevo.weights.train import must_be_whole

if TYPE_CHECKING:
    import numpy as np
    from gguf import GGUFWriter

    Matrix: TypeAlias = np.ndarray[tuple[int, ...], np.dtype[np.float32]]

_FAMILY = "llama"
"""The one architecture whose layout is known here; SmolLM, Llama and Mistral are of it."""
_KINDS = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
"""The modules that the offline runtime adapts, as peft names them."""


def must_be_installable(
    model: str | Path,
    name: str,
    *,
    targets: Sequence[str] = _KINDS,
    replace: bool = False,
    adapter: Path | None = None,
) -> None:
    """Raise Misuse where an adapter of a model could not be put beside it: that is told before it is trained.

    Where it is trained by now, in the folder `adapter`, its own file is not in its way.
    """
    called = checked_name(name)
    if not isinstance(model, str) or not model.startswith(LOCAL):
        raise Misuse(f"an adapter of {str(model)!r} is not put into use here; only those of local/NAME run offline")
    weights = offline.obtain(offline.split(model.removeprefix(LOCAL))[0], "model")
    _must_be_known(model, weights.path)
    others = [target for target in targets if target.rpartition(".")[2] not in _KINDS]
    if others:
        raise Misuse(f"the offline runtime cannot adapt {', '.join(others)}; choose targets among {', '.join(_KINDS)}")
    _must_be_free(weights, called, adapter, replace=replace)


def is_servable(model: str) -> bool:
    """Say whether adapters of an offline model can be put beside it, whatever they are trained on."""
    weights = offline.obtain(offline.split(model.removeprefix(LOCAL))[0], "model")
    return read_header(weights.path).get("general.architecture") == _FAMILY


def _must_be_free(weights: Installed, called: str, adapter: Path | None, *, replace: bool) -> None:
    file = weights.adapters.get(called)
    if file is not None and not replace and not (adapter and _is_of(file, adapter)):
        raise Misuse(
            f"local/{weights.name} has an adapter {called!r} already; choose another name, or ask to replace it"
        )


def _is_of(file: Path, adapter: Path) -> bool:
    """Say whether an adapter's file was made of what lies in this folder."""
    try:
        return read_header(file).get(MADE_OF) == sha256_of(adapter / ADAPTER)
    except (OSError, WeightsError):
        return False


def install_adapter(
    adapter: str | Path, *, model: str | None = None, name: str | None = None, replace: bool = False
) -> str:
    """Put an adapter beside its offline model; return `local/NAME+ADAPTER`, under which it is used from now on.

    It is called as its folder unless a name is given. Raises Misuse for an adapter of another base, or a name that
    another adapter has, WeightsError for what cannot be read or written.
    """
    on, weights, _ = served(Path(adapter), model)
    called = checked_name(name or Path(adapter).resolve().name)
    _must_be_free(offline.obtain(on.name.removeprefix(LOCAL), "model"), called, Path(adapter), replace=replace)
    file = weights.parent / "adapters" / f"{called}.gguf"
    with storing(f"install the adapter {called}"):
        file.parent.mkdir(exist_ok=True)
        convert(adapter, file, model=on.name)
    return f"{on.name}+{called}"


def convert(adapter: str | Path, out: str | Path, *, model: str | None = None) -> Path:
    """Write an adapter as a GGUF LoRA file, in 16 bit, for the offline model it was trained on; replaces `out`.

    Raises Misuse for an adapter of another base, or one that the format cannot hold.
    """
    from gguf import GGUFWriter

    on, _, header = served(Path(adapter), model)
    with stored(Path(out)), written(Path(out)) as unfinished:
        writer = GGUFWriter(str(unfinished), _FAMILY)
        writer.add_type("adapter")
        writer.add_string("adapter.type", "lora")
        writer.add_float32("adapter.lora.alpha", Training.read(Path(adapter)).config.alpha)
        writer.add_string(BASE, on.sha256)
        writer.add_string(MADE_OF, sha256_of(Path(adapter) / ADAPTER))
        for tensor, (a, b) in matrices(Path(adapter), header).items():
            writer.add_tensor(f"{tensor}.lora_a", _half(a, tensor))
            writer.add_tensor(f"{tensor}.lora_b", _half(b, tensor))
        with opened(writer):
            writer.write_tensors_to_file()
    return Path(out)


def served(adapter: Path, model: str | Path | None) -> tuple[Base, Path, dict[str, Value]]:
    """Return the offline model an adapter was trained on, its file, and what that file says of itself."""
    on = base_of(adapter, model)
    if on.gguf is None:
        raise Misuse(f"{adapter} is an adapter for {on.name}; only those for local/NAME run offline")
    return on, on.gguf, _must_be_known(on.name, on.gguf)


def matrices(adapter: Path, header: Mapping[str, Value]) -> dict[str, tuple[Matrix, Matrix]]:
    """Return an adapter's two matrices for each weight, by the name and in the order of rows that GGUF files have."""
    from gguf import MODEL_ARCH, get_tensor_name_map
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    try:
        tensors = load_file(adapter / ADAPTER)
    except (OSError, SafetensorError) as error:
        raise WeightsError(f"{adapter / ADAPTER} cannot be read: {error}") from error
    names = get_tensor_name_map(MODEL_ARCH.LLAMA, _number(header, "block_count"))
    found = {}
    for name, a in sorted(tensors.items()):
        if name.endswith(".lora_B.weight") and name.replace(".lora_B.", ".lora_A.") in tensors:
            continue
        module = name.removeprefix("base_model.model.").removesuffix(".lora_A.weight").removesuffix(".lora_B.weight")
        known = names.get_name(module)
        if known is None or module.rpartition(".")[2] not in _KINDS:
            raise Misuse(f"{adapter} adapts {module}, which the offline runtime cannot")
        b = tensors.get(name.replace(".lora_A.", ".lora_B."))
        if b is None or ".lora_B." in name:
            raise WeightsError(f"{adapter / ADAPTER} is not whole: it has one matrix of {module}, {name}, and not both")
        found[f"{known}.weight"] = (a.astype("float32"), _reordered(known, b.astype("float32"), header))
    return found


def scale(adapter: Path) -> float:
    """Return by how much the product of an adapter's matrices is multiplied."""
    made = Training.read(adapter).config
    return made.alpha / made.rank


def _reordered(tensor: str, b: Matrix, header: Mapping[str, Value]) -> Matrix:
    """Put the rows of queries and keys into the order of GGUF files: halves of a head are interleaved there."""
    heads = {"attn_q": "attention.head_count", "attn_k": "attention.head_count_kv"}.get(tensor.rpartition(".")[2])
    if heads is None:
        return b
    count, (rows, rank) = _number(header, heads), b.shape
    return b.reshape(count, 2, rows // count // 2, rank).swapaxes(1, 2).reshape(rows, rank)


def _half(matrix: Matrix, tensor: str) -> object:
    import numpy as np

    if not np.isfinite(matrix).all() or np.abs(matrix).max() > np.finfo(np.float16).max:
        raise WeightsError(f"the adapter holds numbers for {tensor} that 16 bit cannot; train it at a lower rate")
    return matrix.astype(np.float16)


def base_of(adapter: Path, model: str | Path | None) -> Base:
    """Return what an adapter was trained on; raise Misuse if that is not the model that was named.

    Raise WeightsError where its files are missing, damaged or changed.
    """
    training = Training.read(adapter)
    on = base(model or training.base)
    if training.base_sha256 != on.sha256:
        raise Misuse(
            f"{adapter} is an adapter for {training.base}, not for {on.name}, or for other weights of that name"
        )
    must_be_whole(adapter, training.config)
    return on


def _must_be_known(model: str, file: Path) -> dict[str, Value]:
    """Return what a model's file says of itself; raise Misuse where adapters cannot be converted for it."""
    header = read_header(file)
    family = header.get("general.architecture")
    if family != _FAMILY:
        raise Misuse(
            f"{model} is of the architecture {family!r}; adapters are put into use beside models of the architecture"
            f" {_FAMILY!r} alone (SmolLM, Llama, Mistral); train it without that, and merge it into safetensors"
        )
    return header


def _number(header: Mapping[str, Value], field: str) -> int:
    value = header.get(f"{_FAMILY}.{field}")
    if value is None and field == "attention.head_count_kv":  # left out where each head has keys of its own
        return _number(header, "attention.head_count")
    if not isinstance(value, int):
        raise WeightsError(f"the model's file does not say its {field}")
    return value


@contextlib.contextmanager
def written(out: Path) -> Iterator[Path]:
    """Yield a file to write, which then appears under the name as a whole, or not at all."""
    unfinished = out.with_name(f".{out.name}.{uuid.uuid4().hex}")
    try:
        yield unfinished
        with unfinished.open("rb") as stream:
            os.fsync(stream.fileno())
        unfinished.replace(out)
    finally:
        unfinished.unlink(missing_ok=True)


@contextlib.contextmanager
def opened(writer: GGUFWriter) -> Iterator[None]:
    """Write the head of a file, to which its tensors are then written; it is closed also if the disk is full."""
    try:
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        yield
    finally:
        writer.close()
