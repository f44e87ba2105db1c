"""Recall: a question in, hits out, each with the parts of its score. It reads and never commits."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from heapq import nsmallest
from typing import Literal, TypeAlias, get_args

from agentevo.memory.exact import Scored, Vector, likenesses
from agentevo.memory.narrow import Filter
from agentevo.memory.rank import (
    SPELL_S,
    Candidate,
    Found,
    Weights,
    about_tokens,
    best_rows,
    diverse,
    fused,
    likeness_to_best,
    ordered,
    priors,
    rank,
    renewed,
    spread,
    within,
)
from agentevo.memory.rows import made
from agentevo.memory.source import Source
from agentevo.memory.words import asked
from agentevo.types import Hit, Item

Mode: TypeAlias = Literal["vector", "bm25", "hybrid"]
MODES: tuple[str, ...] = get_args(Mode)
_COMPANY = 20
"""So many leading hits, or twice as many as are asked for, are compared with the best of them."""
_LEADING = 20
"""Among so many leading hits it is looked for facts that update others."""
_TOLD = {"item", "score", "parts"}


@dataclass(frozen=True, slots=True)
class Question:
    """What recall is asked: the words, the vector where the mode needs one, and how to choose among what is found."""

    text: str
    vector: Vector | None
    k: int
    mode: Mode
    only: Filter
    weights: Weights
    mmr: float | None = None
    tokens: int | None = None
    count: Callable[[str], int] = about_tokens


def recall(source: Source, question: Question) -> list[Hit]:
    """Return the best hits for a question, best first."""
    if question.k <= 0:
        return []
    with source.reading():
        hits = ordered(_hits(source, question))
        if question.mmr is not None:
            hits = _diverse(source, hits, question.k, question.mmr)
    hits = hits[: question.k]
    return hits if question.tokens is None else within(hits, question.tokens, question.count)


def _hits(source: Source, question: Question) -> list[Hit]:
    wide = question.k if question.mmr is None else 4 * question.k
    if question.mode == "hybrid" and question.vector is not None:
        return _fused(source, question, question.vector, max(50, 5 * wide))
    found = _by_words(source, question, wide) if question.mode == "bm25" else _by_vector(source, question, wide)
    items = source.items([row for row, _ in found])
    return [_hit(items[row], score, {question.mode: score}) for row, score in found if row in items]


def _by_vector(source: Source, question: Question, k: int) -> Scored:
    assert question.vector is not None
    return source.near(question.vector, k, question.only)


def _by_words(source: Source, question: Question, k: int) -> Scored:
    return source.said(asked(question.text), k, question.only)


def _fused(source: Source, question: Question, vector: Vector, wide: int) -> list[Hit]:
    """Weigh likeness and words, and what is known of the items themselves."""
    near = dict(_by_vector(source, question, wide))
    said = dict(_by_words(source, question, wide))
    candidates = list(dict.fromkeys([*near, *said]))
    vectors = source.vectors([row for row in candidates if row not in near])
    near.update({row: 0.0 for row in candidates if row not in near} | likenesses(vectors, vector))
    known, weights = source.candidates(candidates), question.weights
    scale = spread(near, weights)
    parts = fused(near, said, scale, weights)
    if weights.alike and weights.vector:
        _keep_company(source, parts, known, vectors, question)
    newest = min(question.only.now, max((one.created_at for one in known), default=0.0))
    scored = [(one, parts[one.row] | priors(one, newest, scale, weights)) for one in known if one.row in parts]
    scored = _renewed(source, scored, question)
    if question.mmr is None:  # items are read for those alone that are asked for: reading them all costs most of it
        scored = nsmallest(question.k, scored, key=lambda one: rank(sum(one[1].values()), one[0]))
    items = source.items([one.row for one, _ in scored])
    return [_hit(items[one.row], sum(of.values()), of) for one, of in scored if one.row in items]


def _keep_company(
    source: Source,
    parts: Mapping[int, dict[str, float]],
    known: Sequence[Candidate],
    vectors: Mapping[int, Vector],
    question: Question,
) -> None:
    """Add to the parts of those that lead how near each is to the best of them."""
    leading = best_rows(parts, known, max(_COMPANY, 2 * question.k))
    vectors = {**vectors, **source.vectors([row for row in leading if row not in vectors])}
    for row, value in likeness_to_best(leading, vectors, question.weights).items():
        parts[row]["alike"] = value


def _hit(item: Item, score: float, parts: dict[str, float]) -> Hit:
    return made(Hit, {"item": item, "score": score, "parts": parts}, _TOLD)


def _renewed(source: Source, scored: list[Found], question: Question) -> list[Found]:
    """Lift facts above older ones that say nearly the same, among those that lead."""
    if question.weights.newer >= 1:
        return scored
    by_rank = nsmallest(max(question.k, _LEADING), scored, key=lambda one: rank(sum(one[1].values()), one[0]))
    facts = [item for item, _ in by_rank if item.kind == "fact"]
    if max((f.created_at for f in facts), default=0) - min((f.created_at for f in facts), default=0) < SPELL_S:
        return scored
    by_row = source.vectors([fact.row for fact in facts])
    vectors = {fact.id: by_row[fact.row] for fact in facts if fact.row in by_row}
    changed = {item.id: parts for item, parts in renewed(by_rank, vectors, question.weights.newer)}
    return [(item, changed.get(item.id, parts)) for item, parts in scored]


def _diverse(source: Source, hits: Sequence[Hit], k: int, balance: float) -> list[Hit]:
    rows = source.rows([hit.item.id for hit in hits])
    by_row = source.vectors(list(rows.values()))
    return diverse(hits, {name: by_row[row] for name, row in rows.items() if row in by_row}, k, balance)
