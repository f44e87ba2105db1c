"""Training on this machine: in a thread, into AGENTEVO_HOME, and from there beside the offline model."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path

from agentevo.types import Json
from agentevo.weights.config import TrainConfig, Training
from agentevo.weights.order import Made, Order


async def train_here(order: Order) -> Made:
    """Train, unless it was done before under this name, and install; what was killed goes on where it was."""
    stopped = threading.Event()
    try:
        training = await asyncio.to_thread(_trained, order, stopped)
    finally:
        stopped.set()  # who was cancelled waits for one step more, not for all of them
    await install_here(order.folder, order.base)
    return Made(path=str(order.folder), config=training.config.model_dump(mode="json"), scores=_figures(training))


async def install_here(folder: Path, base: str) -> None:
    """Convert an adapter and put it where `local/NAME+ADAPTER` finds it, under its folder's name."""
    from agentevo.weights.gguf import install_adapter

    await asyncio.to_thread(install_adapter, folder, model=base, replace=True)


class _Unwanted(Exception):
    """Ends a training whose caller was cancelled, at its next step; its checkpoints stay."""


def _trained(order: Order, stopped: threading.Event) -> Training:
    from agentevo.weights.gguf import must_be_installable
    from agentevo.weights.train import train

    if order.folder.exists():
        return Training.read(order.folder)
    config = TrainConfig.of(**order.config)
    must_be_installable(order.base, order.name, targets=config.targets, replace=True)
    order.folder.parent.mkdir(parents=True, exist_ok=True)

    def progress(label: str, done: int, total: int) -> None:
        if stopped.is_set():
            raise _Unwanted(f"nobody waits for {order.name} any more")

    rows, out = order.rows, order.folder
    return train(rows, model=order.base, out=out, config=config, start=order.start, progress=progress).training


def _figures(training: Training) -> dict[str, Json]:
    figures: dict[str, Json] = {"rows": training.rows, "synthetic": training.synthetic}
    if training.outcome is not None and training.outcome.losses:
        losses = training.outcome.losses
        figures |= {"steps": training.outcome.steps, "first_loss": losses[0][1], "last_loss": losses[-1][1]}
    return figures
