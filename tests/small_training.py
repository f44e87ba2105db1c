"""A training of the small model that takes under a second, and rows for it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from agentevo.weights.config import TrainConfig
from agentevo.weights.dataset import Row
from agentevo.weights.train import Progress, Trained, train

ANSWERS = ("RMD Anna", "PAY 12", "LOG a b c", "SHP the x")
ROWS: list[Row] = [{"prompt": f"say {i}", "completion": ANSWERS[i % 4]} for i in range(16)]
PAIRS: list[Row] = [{"prompt": f"say {i}", "chosen": ANSWERS[i % 4], "rejected": "no"} for i in range(8)]
SETTINGS = {"steps": 6, "batch": 4, "learning_rate": 1e-2, "threads": 1, "rank": 4, "save_every": 2}


def trained(
    out: Path,
    rows: Sequence[Row] = ROWS,
    start: Path | None = None,
    progress: Progress | None = None,
    **changes: object,
) -> Trained:
    """Train the small model, with some settings changed."""
    config = TrainConfig.of(**SETTINGS | changes)
    return train(rows, model="local/small", out=out, config=config, start=start, progress=progress)
