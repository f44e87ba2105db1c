"""Training on this machine: in a thread, into AGENTEVO_HOME, and from there beside the offline model."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import logging
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from agentevo.events import Trained, tell
from agentevo.types import Json
from agentevo.weights.config import TrainConfig, Training
from agentevo.weights.order import Made, Order

if TYPE_CHECKING:
    from agentevo.weights.train import Losses

LOG = logging.getLogger(__name__)

TOLD = 50
"""So many times at most a training is told of."""


async def train_here(order: Order) -> Made:
    """Train, unless it was done before under this name, and install; what was killed goes on where it was.

    Its steps and losses are logged, and told to those who listen to events.
    """
    stopped = threading.Event()
    heard = _telling(order.name, stopped)
    try:
        training = await asyncio.to_thread(_trained, order, heard)
    finally:
        stopped.set()  # who was cancelled waits for one step more, not for all of them
    await install_here(order.folder, order.base)
    return Made(path=str(order.folder), config=training.config.model_dump(mode="json"), scores=figures(training))


async def install_here(folder: Path, base: str) -> None:
    """Convert an adapter and put it where `local/NAME+ADAPTER` finds it, under its folder's name."""
    from agentevo.weights.gguf import install_adapter

    await asyncio.to_thread(install_adapter, folder, model=base, replace=True)


async def must_be_trainable_here(model: str, config: Mapping[str, Json]) -> None:
    """Raise what would keep adapters of a model from being trained and used here: before anything is done for that."""
    from agentevo.weights.gguf import must_be_installable
    from agentevo.weights.load import base

    targets = TrainConfig.of(**config).targets
    await asyncio.to_thread(must_be_installable, model, "any", targets=targets, replace=True)
    await asyncio.to_thread(base, model)


class _Unwanted(Exception):
    """Ends a training whose caller was cancelled, at its next step; its checkpoints stay."""


def _telling(name: str, stopped: threading.Event) -> Losses:
    """Return what a training calls in its own thread; listeners are told in the loop, where they expect it."""
    loop, context = asyncio.get_running_loop(), contextvars.copy_context()

    def heard(step: int, steps: int, loss: float) -> None:
        if stopped.is_set():
            raise _Unwanted(f"nobody waits for {name} any more")
        if step % max(1, steps // TOLD) and step < steps:
            return
        LOG.info("training %s: step %d of %d, loss %.4f", name, step, steps, loss)
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody listens any more
            loop.call_soon_threadsafe(tell, Trained(adapter=name, step=step, steps=steps, loss=loss), context=context)

    return heard


def _trained(order: Order, heard: Losses) -> Training:
    from agentevo.weights.gguf import must_be_installable
    from agentevo.weights.train import train

    if order.folder.exists():
        return Training.read(order.folder)
    config = TrainConfig.of(**order.config)
    must_be_installable(order.base, order.name, targets=config.targets, replace=True)
    order.folder.parent.mkdir(parents=True, exist_ok=True)
    LOG.info("training %s on %d rows for %s", order.name, len(order.rows), order.base)
    rows, out = order.rows, order.folder
    return train(rows, model=order.base, out=out, config=config, start=order.start, losses=heard).training


def figures(training: Training) -> dict[str, Json]:
    """Return what is written down about a training beside its adapter."""
    told: dict[str, Json] = {"rows": training.rows, "synthetic": training.synthetic}
    if training.outcome is not None and training.outcome.losses:
        losses = training.outcome.losses
        told |= {"steps": training.outcome.steps, "first_loss": losses[0][1], "last_loss": losses[-1][1]}
    return told
