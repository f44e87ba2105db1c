"""From candidates to a ranking: each part of a score is a number with a name, and the score is their sum."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from agentevo.errors import Misuse
from agentevo.memory.exact import Vector
from agentevo.types import Hit, Item

DAY_S = 86_400.0


@dataclass(frozen=True, slots=True)
class Weights:
    """How much each part counts. Likeness and words are scaled to 0..1 among the candidates in hybrid recall."""

    vector: float = 0.5
    bm25: float = 0.5
    recency: float = 0.05
    importance: float = 0.02
    utility: float = 0.1
    half_life_days: float = 30.0

    def __post_init__(self) -> None:
        for name in ("vector", "bm25", "recency", "importance", "utility"):
            if not 0 <= getattr(self, name) < math.inf:
                raise Misuse(f"weight {name} is {getattr(self, name)!r}; expected a number from 0 up")
        if not self.half_life_days > 0:
            raise Misuse(f"half_life_days is {self.half_life_days!r}; expected a number above 0")


def scaled(scores: Mapping[int, float], rows: Sequence[int]) -> dict[int, float]:
    """Return the scores stretched to 0..1; a row without one has 0, equal ones have 1."""
    if not scores:
        return dict.fromkeys(rows, 0.0)
    low, high = min(scores.values()), max(scores.values())
    if len(scores) < len(rows):
        low = min(low, 0.0)
    span = high - low
    return {row: ((scores[row] - low) / span if span > 0 else 1.0) if row in scores else 0.0 for row in rows}


def priors(item: Item, now: float, weights: Weights) -> dict[str, float]:
    """Return the parts that do not depend on the question."""
    age_days = max(0.0, now - item.created_at) / DAY_S
    parts = {
        "recency": weights.recency * 0.5 ** (age_days / weights.half_life_days),
        "importance": weights.importance * item.importance,
        "utility": weights.utility * item.utility,
    }
    return {name: value for name, value in parts.items() if value}


def ordered(hits: Sequence[Hit]) -> list[Hit]:
    """Return hits best first; of equals the newer one first."""
    return sorted(hits, key=lambda hit: (-hit.score, -hit.item.created_at, hit.item.id))


def diverse(hits: Sequence[Hit], vectors: Mapping[str, Vector], k: int, balance: float) -> list[Hit]:
    """Choose k hits by maximal marginal relevance: each is good and unlike those before it (balance 1: only good)."""
    if not 0 <= balance <= 1:
        raise Misuse(f"mmr is {balance!r}; expected a number from 0 (only unlike) to 1 (only good)")
    left, chosen = list(hits), list[Hit]()
    best = max((hit.score for hit in left), default=1.0) or 1.0

    def gain(hit: Hit) -> float:
        like = max((float(vectors[hit.item.id] @ vectors[c.item.id]) for c in chosen), default=0.0)
        return balance * hit.score / best - (1 - balance) * like

    while left and len(chosen) < k:
        taken = max(left, key=gain)
        left.remove(taken)
        chosen.append(taken)
    return chosen


def within(hits: Sequence[Hit], tokens: int, count: Callable[[str], int]) -> list[Hit]:
    """Return the first hits whose texts fit the token budget together; one that is too long is passed over."""
    kept: list[Hit] = []
    for hit in hits:
        cost = count(hit.item.text)
        if cost <= tokens:
            kept.append(hit)
            tokens -= cost
    return kept


def about_tokens(text: str) -> int:
    """Estimate a text's tokens without a tokenizer: four bytes each, at least one."""
    return max(1, (len(text.encode("utf-8", "surrogatepass")) + 3) // 4)
