"""What a training is asked for, and what comes of it: the seam between policies and whoever trains."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from pydantic import Field

from agentevo.settings import home
from agentevo.types import Json, Record
from agentevo.weights.rows import Row


@dataclass(frozen=True, slots=True)
class Order:
    """What is to be trained: on which rows, from which base or adapter, and under which name."""

    name: str
    base: str
    rows: Sequence[Row]
    config: Mapping[str, Json]
    start: Path | None = None

    @property
    def folder(self) -> Path:
        """Where the adapter is to lie."""
        return home() / "adapters" / self.name


class Made(Record):
    """An adapter that was trained: its folder, its settings, and its figures."""

    path: str
    config: dict[str, Json] = Field(default_factory=dict)
    scores: dict[str, Json] = Field(default_factory=dict)


Trainer: TypeAlias = Callable[[Order], Awaitable[Made]]
