"""From candidates to a ranking: each part of a score is a number with a name, and the score is their sum."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

import numpy as np

from agentevo.errors import Misuse
from agentevo.memory.exact import Vector, likenesses
from agentevo.types import Hit

DAY_S = 86_400.0
SPELL_S = 600.0
"""What was said within so many seconds is taken for said at once: none of it updates the other."""
_LARGEST = 1e100
"""No weight is larger: a score stays a number, and of scores that differ one is the greater."""


@dataclass(frozen=True, slots=True)
class Weights:
    """How much each part of hybrid recall counts.

    `vector` multiplies the cosine; `bm25` how well the words match, on the scale that `fused` finds for it; `alike`
    how near an item is to those that match best, beside its own cosine. Recency halves with each `half_life_days` that
    an item is older than the newest candidate. A fact is lifted above older ones whose cosine to it is `newer` or more,
    which it may update, unless it is like many; 1 or more turns this off. A weight of 0 leaves its part out: without
    `vector`, words count whatever the cosines are. The defaults were chosen on labelled data:
    benchmarks/quality/retrieval.py, kinds.py and updates.py.
    """

    vector: float = 1.0
    bm25: float = 1.0
    alike: float = 0.3
    recency: float = 0.35
    importance: float = 0.02
    utility: float = 0.1
    half_life_days: float = 30.0
    newer: float = 0.5

    def __post_init__(self) -> None:
        for name in ("vector", "bm25", "alike", "recency", "importance", "utility"):
            value = getattr(self, name)
            if not (_is_number(value) and 0 <= value <= _LARGEST):
                raise Misuse(f"weight {name} is {value!r:.80}; expected a number from 0 to {_LARGEST:g}")
        if not (_is_number(self.half_life_days) and self.half_life_days > 0):
            raise Misuse(f"half_life_days is {self.half_life_days!r}; expected a number above 0")
        if not (_is_number(self.newer) and self.newer > 0):
            raise Misuse(f"newer is {self.newer!r}; expected a cosine above 0, 1 to turn it off")


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


class Candidate(NamedTuple):
    """What of an item decides its place; the item itself is read for those alone that are asked for."""

    row: int
    id: str
    kind: str
    created_at: float
    importance: float
    wins: float
    losses: float

    @property
    def utility(self) -> float:
        return (self.wins + 1) / (self.wins + self.losses + 2)


Found: TypeAlias = tuple[Candidate, dict[str, float]]
"""A candidate, and the parts of its score."""

_CROWD = 50
_JUST = 1e-6
_FEW = 3
"""A fact that is like more of those that lead than this is an entry of a list, which updates nothing."""
_FIELD = 10
_WORDS = 12.0
_BEST = 3
_WITHOUT_VECTORS = 0.1


def fused(
    cosines: Mapping[int, float], words: Mapping[int, float], spread: float, weights: Weights
) -> dict[int, dict[str, float]]:
    """Return the parts of each row's score that depend on the question.

    Words count on the scale on which the cosines differ, far more where the vectors are unsure (the best is hardly
    nearer to 1 than the others) and more where the words are sure (the tenth best match is far from the best). Where
    vectors are left out, there is nothing to hold the words against.
    """
    missing = max(0.0, 1.0 - max(cosines.values(), default=1.0))
    unsureness = missing / (missing + spread) if missing else 0.0
    share = unsureness**3 * _sureness(words) if weights.vector else 1.0
    best = max(words.values(), default=0.0) or 1.0
    each = _WORDS * weights.bm25 * spread * share / best
    return {
        row: {"vector": weights.vector * cosine, "bm25": each * words.get(row, 0.0)} for row, cosine in cosines.items()
    }


def spread(cosines: Mapping[int, float], weights: Weights) -> float:
    """Return by how much the cosines of the candidates differ: the best less the fiftieth.

    Where vectors are left out, or none of them has one and all cosines are 0, words and age count on a scale of their
    own.
    """
    leading = sorted(cosines.values(), reverse=True)[:_CROWD]
    if not (weights.vector and any(leading)):
        return _WITHOUT_VECTORS
    return leading[0] - leading[-1]


def _sureness(words: Mapping[int, float]) -> float:
    leading = sorted(words.values(), reverse=True)[:_FIELD]
    if not leading or leading[0] <= 0:
        return 0.0
    return 1.0 if len(leading) < _FIELD else 1.0 - leading[-1] / leading[0]


def best_rows(parts: Mapping[int, Mapping[str, float]], known: Sequence[Candidate], count: int) -> list[int]:
    """Return the rows of candidates whose parts add up to most, best first, as `rank` has it."""
    scored = [(rank(sum(parts[one.row].values()), one), one.row) for one in known if one.row in parts]
    return [row for _, row in sorted(scored)[:count]]


def likeness_to_best(leading: Sequence[int], vectors: Mapping[int, Vector], weights: Weights) -> dict[int, float]:
    """Return for each leading row how near it is to the first three, the second of them counting half, and so on.

    What answers a question is often like what else answers it, in words that the question does not have.
    """
    best = [row for row in leading[:_BEST] if row in vectors]
    if not best:
        return {}
    shares = np.array([1.0 / (1 + n) for n in range(len(best))], np.float32)
    middle = shares @ np.stack([vectors[row] for row in best]) / shares.sum()
    near = likenesses({row: vectors[row] for row in leading if row in vectors}, middle)
    return {row: weights.vector * weights.alike * value for row, value in near.items()}


def priors(item: Candidate, newest: float, scale: float, weights: Weights) -> dict[str, float]:
    """Return the parts that do not depend on the question, on the scale on which the candidates differ."""
    age_days = max(0.0, newest - item.created_at) / DAY_S
    parts = {
        "recency": scale * weights.recency * 0.5 ** (age_days / weights.half_life_days),
        "importance": scale * weights.importance * item.importance,
        "utility": scale * weights.utility * item.utility,
    }
    return {name: value for name, value in parts.items() if value}


def renewed(found: Sequence[Found], vectors: Mapping[str, Vector], alike: float) -> list[Found]:
    """Lift each fact just above the older ones that it is like, as these were lifted: as a part of its score.

    What updates a fact is like it and like little else: of those that are like more than a few, as the entries of a
    list are, none updates another.
    """
    facts = sorted(((item, sum(parts.values())) for item, parts in found if item.id in vectors), key=_age)
    if len(facts) < 2:
        return [*found]
    stacked = np.stack([vectors[item.id] for item, _ in facts])
    like = stacked @ stacked.T >= alike
    like &= (like.sum(axis=0) <= 1 + _FEW) & (like.sum(axis=1) <= 1 + _FEW)[:, None]
    lifted: dict[str, float] = {}
    scores: list[float] = []
    for n, (item, score) in enumerate(facts):
        older = (m for m in range(n) if like[m, n] and item.created_at - facts[m][0].created_at >= SPELL_S)
        above = [scores[m] for m in older if scores[m] >= score]
        scores.append(max(above) + _JUST if above else score)
        if above:
            lifted[item.id] = scores[n] - score
    return [(item, parts | {"newer": lifted[item.id]} if item.id in lifted else parts) for item, parts in found]


def _age(fact: tuple[Candidate, float]) -> float:
    return fact[0].created_at


def ordered(hits: Sequence[Hit]) -> list[Hit]:
    """Return hits best first; of equals the newer one first, of those the one that came first."""
    return sorted(hits, key=lambda hit: (-hit.score, -hit.item.created_at))


def rank(score: float, item: Candidate) -> tuple[float, float, int]:
    """Return what sorts hits: the best first, of equals the newer one, of those the one that was inserted first.

    Not by their ids: these are drawn by lot, and would make equal runs differ.
    """
    return -score, -item.created_at, place(item.row)


_NEW = 2**62


def place(row: int) -> int:
    """Return what sorts rows as their items were inserted: those new in a draft, below 0, come after all others."""
    return row if row >= 0 else _NEW - row


def diverse(hits: Sequence[Hit], vectors: Mapping[str, Vector], k: int, balance: float) -> list[Hit]:
    """Choose k hits by maximal marginal relevance: each is good and unlike those before it (balance 1: only good).

    What has no vector, as an item that was imported without one, is like nothing else.
    """
    if not 0 <= balance <= 1:
        raise Misuse(f"mmr is {balance!r}; expected a number from 0 (only unlike) to 1 (only good)")
    left, chosen = list(hits), list[Hit]()
    best = abs(max((hit.score for hit in left), default=1.0)) or 1.0  # of cosines the best may be below 0

    def gain(hit: Hit) -> float:
        own = vectors.get(hit.item.id)
        others = (vectors[c.item.id] for c in chosen if c.item.id in vectors)
        like = 0.0 if own is None else max((float(own @ other) for other in others), default=0.0)
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
