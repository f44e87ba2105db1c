"""Trains the small model on a second device, case by case as told in JSON, and prints the losses of each.

The trainers go where ACCELERATE_TORCH_DEVICE says.
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import second_device
import torch
import transformers.training_args
from small_training import PAIRS, ROWS, SETTINGS

from agentevo.weights.chat import Chat
from agentevo.weights.config import TrainConfig
from agentevo.weights.dataset import prepare
from agentevo.weights.load import base, quiet
from agentevo.weights.trainers import Parts, trainer

transformers.training_args.is_torch_bf16_gpu_available = lambda: True


def losses(changes: dict[str, Any], start: str | None, precision: str) -> list[float]:
    """Train with some settings changed, as where there is a GPU; return the loss of each step."""
    config, on, told = TrainConfig.of(**SETTINGS | changes), base("local/small"), list[float]()
    tokenizer, model = on.tokenizer(), on.model(getattr(torch, precision))
    rows, chat = PAIRS if config.method == "dpo" else ROWS, Chat(tokenizer, on.name, written_calls=on.gguf is not None)
    prepared = prepare(rows, chat, config, min(config.max_length, model.config.max_position_embeddings))
    with tempfile.TemporaryDirectory() as folder, quiet():
        parts = Parts(
            model=model,
            tokenizer=tokenizer,
            prepared=prepared,
            folder=Path(folder),
            start=Path(start) if start else None,
            precision=precision,
            has_gpu=True,
            on_step=lambda done, total, loss: told.append(loss),
        )
        made = trainer(config, parts)
        with second_device.tensors_made_there():
            made.train()
        devices = {parameter.device.type for parameter in made.model.parameters()}
        assert devices == {second_device.NAME}, devices
    return told


def refusal() -> str:
    """Return what is said where a tensor of this device meets one of the CPU's."""
    try:
        torch.ones(2, device=second_device.NAME) + torch.ones(2)
    except RuntimeError as error:
        return str(error)
    return ""


print(json.dumps([refusal(), *(losses(**case) for case in json.loads(sys.argv[1]))]))
