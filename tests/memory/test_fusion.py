"""Hybrid recall: how vectors and words are weighed, and how a hit gains by the company it keeps."""

from __future__ import annotations

import json
from typing import Any

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


WORDS_ALONE = Weights(vector=0, alike=0, recency=0, importance=0, utility=0)


@pytest.mark.parametrize("nearest", [1.0, 0.5])
@pytest.mark.parametrize("matching", [2, 20])
def test_without_the_vectors_words_decide_whatever_the_cosines_are(nearest: float, matching: int) -> None:
    cosines = {f"the quartermaster sings {n}": nearest for n in range(matching)} | {"a cook peels onions": nearest}
    hits = recalled({**cosines, "so does every quartermaster on a ship with a barrel": 0.1}, WORDS_ALONE)
    assert [hit.parts["bm25"] > 0 for hit in hits] == [True] * (matching + 1) + [False]
    assert hits[-2].item.text.startswith("so does")


@pytest.mark.parametrize("weight", [-0.1, float("nan"), float("inf"), 1e101, "1", None, True])
def test_a_weight_that_makes_no_sense_is_refused(weight: Any) -> None:
    with pytest.raises(Misuse, match="weight alike is"):
        Weights(alike=weight)


@pytest.mark.parametrize("fields", [{"half_life_days": "30"}, {"half_life_days": None}, {"newer": "0.7"}])
def test_what_is_no_number_is_refused_beside_the_weights(fields: dict[str, Any]) -> None:
    with pytest.raises(Misuse, match=f"^{next(iter(fields))} is"):
        Weights(**fields)


def test_the_largest_weights_leave_scores_that_are_numbers() -> None:
    hits = recalled({"a cook peels onions": 0.35, NAMED: -0.2}, Weights(*[1e100] * 6))
    assert all(np.isfinite(hit.score) for hit in hits)


def test_where_all_are_unlike_the_question_the_nearest_still_comes_first() -> None:
    cosines = {"far": -0.98, "near": -0.1, "middling": -0.5}
    with memory() as m:
        _filled(m, cosines)
        hits = m.recall("unheard", 3, vector=at(1.0), mode="vector", mmr=1.0)
        assert [hit.item.text for hit in hits] == ["near", "middling", "far"]
