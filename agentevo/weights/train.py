"""Training an adapter: rows in, a folder out, which appears whole or not at all."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import shutil
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from agentevo.errors import Misuse, TrainingError, WeightsError
from agentevo.models.installed import sha256_of
from agentevo.models.threads import idle_cores
from agentevo.settings import settings
from agentevo.types import Json
from agentevo.weights.chat import Chat
from agentevo.weights.checkpoints import alone, begin, beside, is_cut_short, last, stored
from agentevo.weights.config import ADAPTER, RECORD, SHAPE, Outcome, TrainConfig, Training, versions
from agentevo.weights.curve import curve
from agentevo.weights.dataset import Data, Prepared, card_beside, prepare
from agentevo.weights.load import Base, base, quiet
from agentevo.weights.trainers import Parts, changed, trainer

if TYPE_CHECKING:
    import torch
    from transformers import Trainer

CURVE = "loss.svg"
Progress: TypeAlias = Callable[[str, int, int], None]
"""Called with what is being done, how many steps of it are done, and how many there are, or 0."""
Losses: TypeAlias = Callable[[int, int, float], None]
"""Called after each step with how many are done, how many there are, and the loss."""


@dataclass(frozen=True, slots=True)
class Trained:
    """An adapter, in the format of peft, and the record of how it was made."""

    path: Path
    training: Training
    outcome: Outcome
    attempts: tuple[str, ...] = ()
    """The attempts that its rows name, read before the training began."""

    @property
    def tokens_per_second(self) -> float:
        return self.outcome.tokens / self.outcome.seconds if self.outcome.seconds else 0.0


def train(
    data: Data,
    *,
    model: str | Path,
    out: str | Path,
    config: TrainConfig | None = None,
    start: str | Path | None = None,
    progress: Progress | None = None,
    losses: Losses | None = None,
) -> Trained:
    """Train an adapter for `model` and put it into the folder `out`, which must not exist.

    `start` is an adapter to go on from; what `progress` or `losses` raises ends the training. A training that was
    killed goes on from its last checkpoint when it is called again with the same rows and settings; one that was killed
    when its adapter was whole is returned. Raises Misuse for rows, settings or models that cannot be trained on,
    TrainingError if it fails, WeightsError for weights that cannot be read or written: then there is no `out`.
    """
    config, out = config or TrainConfig(), Path(out)
    report = progress or (lambda label, done, total: None)
    if not (beside(out).exists() or (out / RECORD).is_file()):  # where it may be what is asked for, done
        _must_be_free(out)
    on = base(model, lambda label: report(label, 0, 0))
    tokenizer = on.tokenizer()
    chat = Chat(tokenizer, on.name, written_calls=on.gguf is not None)
    report("reading rows", 0, 0)
    prepared = prepare(data, chat, config, _limit(on, config))
    training = _described(on, config, prepared, Path(start) if start else None, card_beside(data))
    with stored(out), alone(out) as work, _threads(config):
        if (outcome := _finished(out, training)) is not None:
            shutil.rmtree(work, ignore_errors=True)
            return Trained(out, training.but(outcome=outcome), outcome, tuple(prepared.attempts))
        _must_be_free(out)  # another process may have been as quick
        begin(work, training.key)
        parts = Parts(
            model=on.model(_dtype(training)),
            tokenizer=tokenizer,
            prepared=prepared,
            folder=work,
            start=Path(start) if start else None,
            precision=training.precision,
            has_gpu=training.device != "cpu",
            on_step=_on_step(report, losses),
        )
        made, outcome = _run(config, parts)
        done = training.but(outcome=outcome)
        _finish(made, done, work, out)
    return Trained(out, done, outcome, tuple(prepared.attempts))


def _must_be_free(out: Path) -> None:
    if out.exists():
        raise Misuse(f"{out} exists; choose another folder for the adapter, or remove it")


def _finished(out: Path, training: Training) -> Outcome | None:
    """Return how this very training went, where it was killed before it could tidy up."""
    found = Training.read(out) if (out / RECORD).is_file() else None
    return found.outcome if found is not None and found.key == training.key else None


def _on_step(report: Progress, losses: Losses | None) -> Losses:
    def heard(done: int, total: int, loss: float) -> None:
        report("training", done, total)
        if losses is not None:
            losses(done, total, loss)

    return heard


# --- what is trained


def _described(
    on: Base, config: TrainConfig, prepared: Prepared, start: Path | None, card: Mapping[str, Json]
) -> Training:
    device, precision = _device(config)
    return Training(
        config=config,
        base=on.name,
        base_sha256=on.sha256,
        data_sha256=prepared.sha256,
        rows=prepared.rows,
        dropped=dict(prepared.dropped),
        synthetic=prepared.synthetic,
        card=dict(card),
        start_sha256=_checked_start(start, on, config) if start else "",
        device=device,
        precision=precision,
        versions=versions(),
    )


def _limit(on: Base, config: TrainConfig) -> int:
    """Return how many tokens a row may have: what the model takes in, or less if the settings say so."""
    shape = json.loads((on.folder / "config.json").read_bytes())
    taken = (shape.get("text_config") or shape).get("max_position_embeddings")
    return min(config.max_length, taken) if isinstance(taken, int) else config.max_length


def _checked_start(start: Path, on: Base, config: TrainConfig) -> str:
    """Return the hash of the adapter to go on from; raise Misuse if it is another model's, or of another shape."""
    made = Training.read(start)
    if made.base_sha256 != on.sha256:
        raise Misuse(f"{start} is an adapter for {made.base}, not for {on.name}, or for other weights of that name")
    for name in ("rank", "alpha", "targets"):
        theirs, ours = getattr(made.config, name), getattr(config, name)
        if theirs != ours:
            raise Misuse(f"{start} has {name} {theirs}, and going on cannot change that to {ours}; ask for {theirs}")
    must_be_whole(start, made.config)
    return sha256_of(start / ADAPTER)


def must_be_whole(adapter: Path, made: TrainConfig) -> None:
    """Raise WeightsError where an adapter's files are missing, damaged or changed: peft would look for them online."""
    from safetensors import SafetensorError, safe_open

    try:
        shape = json.loads((adapter / SHAPE).read_bytes())
        with safe_open(str(adapter / ADAPTER), "np"):
            pass
    except (OSError, ValueError, SafetensorError) as error:
        raise WeightsError(
            f"the adapter in {adapter} cannot be read: {error}; train it again, or take another"
        ) from error
    if others := changed(shape if isinstance(shape, dict) else {}, made):
        raise WeightsError(
            f"{adapter / SHAPE} does not say what {RECORD} beside it says of {', '.join(others)}: it was changed since;"
            " train it again, or take another"
        )


def _device(config: TrainConfig) -> tuple[str, str]:
    """Return the device and the precision; raise Misuse for several devices, or a precision this one is bad at."""
    import torch

    if not torch.cuda.is_available():
        if config.precision == "bfloat16":
            raise Misuse("precision bfloat16 needs a GPU that has it, and there is none here; leave it at auto")
        return "cpu", "float32"
    if torch.cuda.device_count() > 1:
        raise Misuse("several GPUs are visible, and one is trained on; choose it with CUDA_VISIBLE_DEVICES=0")
    has_it = torch.cuda.is_bf16_supported(including_emulation=False)
    if config.precision == "bfloat16" and not has_it:
        raise Misuse(f"{torch.cuda.get_device_name()} has no bfloat16; leave precision at auto")
    return torch.cuda.get_device_name(), "bfloat16" if has_it and config.precision != "float32" else "float32"


def _dtype(training: Training) -> torch.dtype:
    import torch

    return torch.bfloat16 if training.precision == "bfloat16" else torch.float32


# --- training it


def _run(config: TrainConfig, parts: Parts) -> tuple[Trainer, Outcome]:
    """Train, from the last checkpoint if there is one."""
    import torch

    with quiet():
        made = trainer(config, parts)
        since = time.perf_counter()
        try:
            made.train(resume_from_checkpoint=last(parts.folder))
        except torch.OutOfMemoryError as error:
            raise TrainingError(
                "the GPU ran out of memory; lower batch or max_length, or set gradient_checkpointing"
            ) from error
        except RuntimeError as error:  # torch says so of a file that it cannot write to its end, too
            if is_cut_short(parts.folder):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)) from error
            raise TrainingError(f"training failed: {' '.join(str(error).split())[:300]}") from error
    history = made.state.log_history
    return made, Outcome(
        steps=made.state.global_step,
        tokens=max((int(entry["num_tokens"]) for entry in history[-2:] if "num_tokens" in entry), default=0),
        seconds=time.perf_counter() - since,
        peak_bytes=_peak(parts),
        losses=tuple((int(entry["step"]), float(entry["loss"])) for entry in history if "loss" in entry),
    )


def _peak(parts: Parts) -> int:
    import torch

    if parts.has_gpu:
        return int(torch.cuda.max_memory_allocated())
    try:
        import resource
    except ImportError:  # not on Windows
        return 0
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


@contextlib.contextmanager
def _threads(config: TrainConfig) -> Iterator[None]:
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(config.threads or settings().threads or idle_cores())
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _finish(made: Trainer, training: Training, work: Path, out: Path) -> None:
    """Write the adapter and what belongs to it, then give it its name."""
    folder = work / "adapter"
    shutil.rmtree(folder, ignore_errors=True)
    model = made.accelerator.unwrap_model(made.model)
    model.save_pretrained(str(folder), selected_adapters=["default"], save_embedding_layers=False)
    (folder / "README.md").unlink(missing_ok=True)
    shape = json.loads((folder / SHAPE).read_bytes())
    shape["base_model_name_or_path"] = training.base  # not where it happens to lie here
    (folder / SHAPE).write_text(json.dumps(shape, indent=2, sort_keys=True) + "\n", "utf-8")
    training.write(folder)
    points = training.outcome.losses if training.outcome else ()
    (folder / CURVE).write_text(curve(points, f"{training.config.method} of {training.base}, loss by step"), "utf-8")
    for file in folder.iterdir():
        with file.open("rb") as stream:
            os.fsync(stream.fileno())
    folder.rename(out)
    shutil.rmtree(work, ignore_errors=True)
