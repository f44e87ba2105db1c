"""Training on this machine: in a thread, into AGENTEVO_HOME, and from there beside the offline model."""

from __future__ import annotations

import asyncio
from pathlib import Path

from agentevo.types import Json
from agentevo.weights.config import TrainConfig, Training
from agentevo.weights.order import Made, Order


async def train_here(order: Order) -> Made:
    """Train, unless it was done before under this name, and install; what was killed goes on where it was."""
    training = await asyncio.to_thread(_trained, order)
    await install_here(order.folder, order.base)
    return Made(path=str(order.folder), config=training.config.model_dump(mode="json"), scores=_figures(training))


async def install_here(folder: Path, base: str) -> None:
    """Convert an adapter and put it where `local/NAME+ADAPTER` finds it, under its folder's name."""
    from agentevo.weights.gguf import install_adapter

    await asyncio.to_thread(install_adapter, folder, model=base, replace=True)


def _trained(order: Order) -> Training:
    from agentevo.weights.train import train

    if order.folder.exists():
        return Training.read(order.folder)
    order.folder.parent.mkdir(parents=True, exist_ok=True)
    config = TrainConfig.of(**order.config)
    return train(order.rows, model=order.base, out=order.folder, config=config, start=order.start).training


def _figures(training: Training) -> dict[str, Json]:
    figures: dict[str, Json] = {"rows": training.rows, "synthetic": training.synthetic}
    if training.outcome is not None and training.outcome.losses:
        losses = training.outcome.losses
        figures |= {"steps": training.outcome.steps, "first_loss": losses[0][1], "last_loss": losses[-1][1]}
    return figures
