"""Hybrid recall: how vectors and words are weighed, and how a hit gains by the company it keeps."""

from __future__ import annotations

import json

import numpy as np
import pytest
from moments import memory

from agentevo.errors import Misuse
from agentevo.memory import Memory, Weights
from agentevo.memory.exact import Vector
from agentevo.types import Hit

NAMED = "the quartermaster counts the barrels"
ASKED = "quartermaster"


def at(*parts: float) -> Vector:
    """Return a unit vector whose first numbers are these."""
    whole = np.zeros(384, np.float32)
    whole[: len(parts)] = parts
    whole[383] = np.sqrt(max(0.0, 1 - float(whole @ whole)))
    return whole


def recalled(cosines: dict[str, float], weights: Weights | None = None) -> list[Hit]:
    """Recall among texts that are so near to the question; else they differ each in a direction of its own."""
    with memory() as m:
        _filled(m, cosines)
        return m.recall(ASKED, 30, vector=at(1.0), weights=weights)


def _filled(m: Memory, cosines: dict[str, float]) -> None:
    vectors = []
    for n, cosine in enumerate(cosines.values()):
        vector = np.zeros(384, np.float32)
        vector[0], vector[n + 1] = cosine, np.sqrt(1 - cosine**2)
        vectors.append(vector)
    m.insert(list(cosines), vectors=np.stack(vectors))


def background(low: float) -> dict[str, float]:
    return {f"a sailor sings song {n}": low + n / 1000 for n in range(40)}


def test_where_the_vectors_are_unsure_the_words_decide() -> None:
    hits = recalled({"a cook peels onions": 0.35, NAMED: 0.2, **background(0.1)})
    assert hits[0].item.text == NAMED


def test_where_a_vector_is_sure_it_decides() -> None:
    hits = recalled({"a cook peels onions": 0.95, NAMED: 0.8, **background(0.1)})
    assert [hit.item.text for hit in hits[:2]] == ["a cook peels onions", NAMED]
    assert 0 < hits[1].parts["bm25"] < 0.05


def test_what_has_no_vector_is_found_by_its_words_among_many_that_have_one() -> None:
    bare = {"type": "item", "id": "bare", "text": NAMED, "created_at": 0}
    with memory() as m:
        _filled(m, {f"a sailor sings song {n}": 0.1 + n / 1000 for n in range(80)})
        m.import_([json.dumps(bare)])
        assert m.recall(ASKED, 1, vector=at(1.0))[0].item.text == NAMED


def test_every_score_is_the_sum_of_its_parts() -> None:
    for hit in recalled({"a cook peels onions": 0.6, NAMED: 0.5, **background(0.1)}):
        assert hit.score == pytest.approx(sum(hit.parts.values()))
        assert {"vector", "bm25"} <= hit.parts.keys() <= {"vector", "bm25", "alike", "recency", "importance", "utility"}


def in_company(weights: Weights) -> list[Hit]:
    """Recall where one of two hits that are equally near is like the best, and the other like nothing."""
    with memory() as m:
        best, like, alone = at(0.8, 0.6), at(0.5, 0.8), at(0.5, 0.0, 0.8)
        m.insert(["alone", "like", "best"], vectors=np.stack([alone, like, best]))
        return m.recall("unheard", 3, vector=at(1.0), weights=weights)


def test_a_hit_that_is_like_the_best_comes_before_one_that_is_not() -> None:
    hits = in_company(Weights())
    assert [hit.item.text for hit in hits] == ["best", "like", "alone"]
    assert hits[1].parts["alike"] > hits[2].parts["alike"]


def test_company_can_be_left_out_of_the_score() -> None:
    hits = in_company(Weights(alike=0))
    assert hits[1].score == pytest.approx(hits[2].score)
    assert all("alike" not in hit.parts for hit in hits)
    assert all("alike" not in hit.parts for hit in in_company(Weights(vector=0)))


@pytest.mark.parametrize("weight", [-0.1, float("nan"), float("inf")])
def test_a_weight_that_makes_no_sense_is_refused(weight: float) -> None:
    with pytest.raises(Misuse, match="weight alike is"):
        Weights(alike=weight)
