"""Models that take adapters, and trainers that make them, without weights: what was trained is looked up."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Unpack

from agentevo.models import FunctionModel
from agentevo.models.requests import Options
from agentevo.types import ChatMessage, Json, Message, Reply
from agentevo.weights.order import Made, Order


@dataclass(frozen=True)
class Weights:
    """What adapters know, by their names: what each answers to a prompt. They outlive the model's copies."""

    learned: dict[str, dict[str, str]] = field(default_factory=dict)
    orders: list[Order] = field(default_factory=list)
    folder: Path = Path("/nowhere")

    async def train(self, order: Order) -> Made:
        """Learn the rows by heart: the answer to what was asked last."""
        self.orders.append(order)
        self.learned[order.name] = dict(map(_pair, order.rows))
        return Made(path=str(self.folder / order.name), scores={"rows": len(order.rows)})


def _pair(row: Mapping[str, Json]) -> tuple[str, str]:
    return _last(row["prompt"]), _last(row["completion"] if "completion" in row else row["chosen"])


def _last(messages: Json) -> str:
    assert isinstance(messages, list)
    last = messages[-1]
    assert isinstance(last, dict)
    return str(last["content"])


@dataclass(frozen=True)
class Wearing:
    """A model that answers what its adapter knows, else as a function does; its name says which adapter it has."""

    weights: Weights
    otherwise: FunctionModel
    name: str = "small"

    def adapted(self, adapter: str) -> Wearing:
        base = self.name.partition("+")[0]
        return Wearing(self.weights, self.otherwise, f"{base}+{adapter}" if adapter else base)

    async def complete(self, messages: Sequence[ChatMessage], **options: Unpack[Options]) -> Reply:
        known = self.weights.learned.get(self.name.partition("+")[2], {})
        asked = str(messages[-1]["content"])
        if asked in known and not options.get("schema"):
            return Reply(texts=(known[asked],) * options.get("n", 1), model=self.name)
        return await self.otherwise.complete(messages, **options)


def says(row: Mapping[str, Json]) -> list[tuple[str, str]]:
    """Return a row's messages as pairs of role and content."""
    parts = [row[name] for name in ("prompt", "completion", "chosen", "rejected") if name in row]
    messages: list[Message] = [m for part in parts if isinstance(part, list) for m in part if isinstance(m, dict)]
    return [(str(m["role"]), str(m["content"])) for m in messages]
