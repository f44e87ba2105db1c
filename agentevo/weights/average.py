"""Averages of adapters, on their tensors alone: no base is loaded.

The mean of factor matrices is the mean of what adapters do only as far as they share where they began: adapters of one
base, trained from it with one seed. Others are refused where they differ in shape, and not where they merely began
elsewhere.
"""

from __future__ import annotations

import json
import shutil
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from agentevo.errors import Misuse, WeightsError
from agentevo.models.installed import storing
from agentevo.weights.config import ADAPTER, RECORD, SHAPE

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Tensors: TypeAlias = "Mapping[str, NDArray[np.float32]]"

_SAME = ("base_model_name_or_path", "base_sha256", "r", "lora_alpha", "target_modules", "use_rslora", "use_dora")
"""What adapters must agree in for their tensors to mean the same."""


def tensors_of(folder: Path) -> Tensors:
    """Return an adapter's tensors by name; raise WeightsError where they cannot be read."""
    import numpy as np
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    try:
        return {name: np.asarray(tensor, np.float32) for name, tensor in load_file(folder / ADAPTER).items()}
    except (OSError, SafetensorError, TypeError) as error:
        raise WeightsError(f"the adapter in {folder} cannot be read: {error}") from error


def mean(adapters: Sequence[Tensors], weights: Sequence[float] | None = None) -> Tensors:
    """Return the weighted mean of adapters, equal shares if none are given; raise Misuse where they do not fit."""
    if not adapters:
        raise Misuse("there is no adapter to average")
    shares = [1.0] * len(adapters) if weights is None else list(weights)
    if len(shares) != len(adapters) or not sum(shares) > 0 or min(shares) < 0:
        raise Misuse(f"{len(adapters)} adapters came with the weights {shares}; expected one each, none below 0")
    first = _shapes(adapters[0])
    for other in adapters[1:]:
        if _shapes(other) != first:
            raise Misuse(f"adapters of different shapes are not averaged: {_difference(first, _shapes(other))}")
    total, pairs = sum(shares), list(zip(shares, adapters, strict=True))
    return {name: _summed([share / total * one[name] for share, one in pairs]) for name in first}


def _summed(parts: Sequence[NDArray[np.float32]]) -> NDArray[np.float32]:
    first, *others = parts
    for other in others:
        first = first + other
    return first


def moved(average: Tensors, online: Tensors, decay: float) -> Tensors:
    """Return an exponential moving average after it has seen one more adapter."""
    if not 0 <= decay < 1:
        raise Misuse(f"decay is {decay!r}; expected how much of the average stays, from 0 to below 1")
    return mean([average, online], [decay, 1 - decay])


def nothing(like: Tensors) -> Tensors:
    """Return the adapter that does nothing: what a training from the base begins as."""
    return {name: tensor * 0 if "lora_B" in name else tensor for name, tensor in like.items()}


def write(tensors: Tensors, like: Path, out: Path, about: Mapping[str, object]) -> Path:
    """Write an adapter into a folder that appears whole or not at all, with the settings of one that is like it."""
    import numpy as np
    from safetensors.numpy import save_file

    part = out.with_name(f".{out.name}-{uuid.uuid4().hex}")
    with storing(f"write the adapter {out.name}"):
        try:
            part.mkdir(parents=True)
            save_file({name: np.ascontiguousarray(t, np.float32) for name, t in tensors.items()}, part / ADAPTER)
            for name in (SHAPE, RECORD):
                if (like / name).exists():
                    shutil.copy(like / name, part / name)
            (part / "average.json").write_text(json.dumps(dict(about), indent=2) + "\n", "utf-8")
            part.rename(out)
        finally:
            shutil.rmtree(part, ignore_errors=True)
    return out


def must_match(folders: Sequence[Path]) -> None:
    """Raise Misuse unless adapters are for one base, with matrices that mean the same."""
    told = [_settings(folder) for folder in folders]
    for folder, settings in zip(folders[1:], told[1:], strict=True):
        differing = [name for name in _SAME if settings.get(name) != told[0].get(name)]
        if differing:
            name = differing[0]
            raise Misuse(
                f"{folder.name} and {folders[0].name} are not averaged: {name} is {settings.get(name)!r:.80} and"
                f" {told[0].get(name)!r:.80}; average adapters of one base and one setting"
            )


def _settings(folder: Path) -> dict[str, object]:
    try:
        told = json.loads((folder / SHAPE).read_text("utf-8"))
        told["target_modules"] = sorted(told.get("target_modules") or [])
        record = folder / RECORD
        about = json.loads(record.read_text("utf-8")) if record.exists() else {}
        return {**told, "base_sha256": about.get("base_sha256")}
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise WeightsError(
            f"{folder} is no adapter of peft: its {SHAPE} or {RECORD} cannot be read ({error})"
        ) from error


def _shapes(tensors: Tensors) -> dict[str, tuple[int, ...]]:
    return {name: tensor.shape for name, tensor in sorted(tensors.items())}


def _difference(one: Mapping[str, tuple[int, ...]], other: Mapping[str, tuple[int, ...]]) -> str:
    name = min(name for name in {*one, *other} if one.get(name) != other.get(name))
    return f"{name} is {one.get(name, 'missing')} in one and {other.get(name, 'missing')} in another"
