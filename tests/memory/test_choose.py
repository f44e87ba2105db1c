"""Recall strategies: the latest, the best, the rules of like cases, the model's pick, the bucket."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from moments import NOW, memory, moment

from agentevo.errors import Misuse, ModelUnavailable
from agentevo.memory import Bucket, LLMPick, Memory, TopK, TwoStage, Weights, Window
from agentevo.memory.choose import Recall
from agentevo.models import FunctionModel
from agentevo.protocols import Memory as AnyMemory
from agentevo.types import Hit, Task


def hits(recall: Recall, m: Any, prompt: str = "where does Anna live", model: Any = None, **options: Any) -> list[Hit]:
    async def awaited() -> list[Hit]:
        return await recall(moment(m, model, **options), Task(id="1", prompt=prompt))

    return asyncio.run(awaited())


def texts(recall: Recall, m: Any, *args: Any, **options: Any) -> list[str]:
    return [hit.item.text for hit in hits(recall, m, *args, **options)]


def cities(m: Memory) -> None:
    names = ["Oslo", "Rome", "Bern", "Kiel", "Lund"]
    m.insert([f"Anna lives in {name}" for name in names], created_at=[NOW - 9 + n for n in range(5)])


# --- window and top k


def test_a_window_is_the_latest_newest_first_whatever_the_task() -> None:
    with memory() as m:
        cities(m)
        m.insert("a note", kind="note", created_at=NOW)
        assert texts(Window(2), m) == ["Anna lives in Lund", "Anna lives in Kiel"]
        assert texts(Window(2, "note"), m) == ["a note"]
        assert [hit.score for hit in hits(Window(3), m)] == [1, 1 / 2, 1 / 3]


def test_a_window_passes_over_what_expired() -> None:
    with memory() as m:
        cities(m)
        m.insert("Anna lives in Graz", created_at=NOW, expires_at=NOW + 10)
        assert texts(Window(2), m) == ["Anna lives in Graz", "Anna lives in Lund"]
        assert texts(Window(2), m, now=NOW + 10) == ["Anna lives in Lund", "Anna lives in Kiel"]
        assert texts(Window(2, where={"$or": [{"$text": "Anna lives in Graz"}]}), m, now=NOW + 10) == []


def test_top_k_is_recall_with_its_options() -> None:
    with memory() as m:
        cities(m)
        m.insert("The mast broke", metadata={"of": "ship"}, expires_at=NOW + 10)
        assert len(hits(TopK(3), m)) == 3
        assert texts(TopK(4, where={"of": "ship"}), m) == ["The mast broke"]
        assert texts(TopK(4, where={"of": "ship"}), m, now=NOW + 11) == [], "time is the state's"
        assert texts(TopK(9, "bm25"), m, "mast") == ["The mast broke"]
        assert len(hits(TopK(5, tokens=12), m)) == 2
        assert len(hits(TopK(5, tokens=12, count=len), m)) == 0
        old = Weights(vector=0, bm25=0, recency=1, importance=0, utility=0, half_life_days=1e-4)
        assert texts(TopK(1, weights=old), m)[0] in ("Anna lives in Lund", "The mast broke")


def test_top_k_with_diversity_passes_over_what_repeats() -> None:
    with memory() as m:
        m.insert(["Anna lives in Oslo", "Anna lives in Oslo now", "Anna has a boat"])
        assert "Anna has a boat" not in texts(TopK(2, "vector"), m, "Anna lives in Oslo")
        assert "Anna has a boat" in texts(TopK(2, "vector", mmr=0.1), m, "Anna lives in Oslo")


def test_strategies_read_drafts_and_change_nothing() -> None:
    with memory() as m, m.draft() as draft:
        cities(m)
        draft.insert("Anna lives in Nice", created_at=NOW + 1)
        before = draft.ops
        for recall in (Window(9), TopK(9), Bucket(9, bits=1), LLMPick(2, 5), TwoStage()):
            found = texts(recall, draft, "Anna lives in Nice", FunctionModel(lambda messages: '{"number": 1}'))
            assert "Anna lives in Nice" in found or isinstance(recall, TwoStage)
        assert draft.ops == before


# --- two stages


def test_rules_come_from_the_cases_like_the_task_by_derivation_attempt_or_link() -> None:
    with memory() as m:
        case = m.insert("the refund of order 7 failed", kind="experience", derived_from=["attempt-1"])
        other = m.insert("the mast broke in a storm", kind="experience", derived_from=["attempt-2"])
        m.insert("ask before a refund", kind="lesson", derived_from=[case.id])
        m.insert("a refund needs a signature", kind="lesson", derived_from=["attempt-1"])
        m.insert("refund in the same currency", kind="lesson", links=[case.id])
        m.insert("reef early, refund never", kind="lesson", derived_from=[other.id])
        linked = m.insert("a refund has a reason", kind="lesson")
        m.link(case.id, linked.id)
        found = texts(TwoStage(first=1, then=9), m, "the refund of order 9")
        assert sorted(found) == [
            "a refund has a reason", "a refund needs a signature", "ask before a refund", "refund in the same currency",
        ]  # fmt: skip
        assert len(hits(TwoStage(first=1, then=2), m, "the refund of order 9")) == 2


def test_an_item_that_both_used_makes_no_rule_belong_to_a_case() -> None:
    with memory() as m:
        used = m.insert("a fact")
        m.insert("the refund failed", kind="experience", derived_from=["attempt-1", used.id])
        m.insert("a lesson of something else", kind="lesson", derived_from=["attempt-2", used.id])
        assert texts(TwoStage(), m, "the refund failed") == []


def test_a_rule_that_shares_no_word_with_the_task_still_comes_those_of_the_nearest_case_first() -> None:
    with memory() as m:
        near = m.insert("the refund of order 7 failed", kind="experience")
        far = m.insert("a refund once", kind="experience")
        m.insert("be patient", kind="lesson", derived_from=[far.id])
        m.insert("ask twice", kind="lesson", derived_from=[near.id])
        assert texts(TwoStage(mode="bm25"), m, "the refund of order 7 failed") == ["ask twice", "be patient"]


def test_a_rule_that_expired_belongs_to_no_case() -> None:
    with memory() as m:
        case = m.insert("the refund failed", kind="experience")
        m.insert("ask twice", kind="lesson", derived_from=[case.id], expires_at=NOW + 10)
        assert texts(TwoStage(), m, "the refund failed") == ["ask twice"]
        assert texts(TwoStage(), m, "the refund failed", now=NOW + 10) == []


def test_without_cases_there_are_no_rules() -> None:
    with memory() as m:
        m.insert("ask twice", kind="lesson")
        assert texts(TwoStage(), m) == []


# --- the model's pick


def test_the_model_picks_one_of_each_group_and_groups_share_nothing() -> None:
    shown: list[str] = []

    def last(messages: list[dict[str, Any]]) -> str:
        material = str(messages[1]["content"])
        shown.append(material)
        return f'{{"number": {material.count("from user")}}}'

    with memory() as m:
        m.insert([f"Anna lives in house {n}" for n in range(12)])
        near = texts(TopK(12, "vector"), m)
        found = texts(LLMPick(groups=4, k=3), m, model=FunctionModel(last))
        assert len(set(found)) == 4
        assert found == sorted(found, key=near.index), "best first"
        assert found == near[8:], "dealt like cards: the last of each group are the four farthest"
        assert all(material.startswith("Task:\n```task\nwhere does Anna live\n```") for material in shown)


@pytest.mark.parametrize("reply", ["the second, I think", '{"number": 99}', '{"number": 0}'])
def test_a_pick_that_cannot_be_read_falls_back_to_the_nearest_and_is_counted(
    reply: str, caplog: pytest.LogCaptureFixture
) -> None:
    def answer(messages: list[dict[str, Any]]) -> str:
        return reply if "house 3" in str(messages) else '{"number": 1}'

    with memory() as m, caplog.at_level(logging.WARNING):
        m.insert([f"Anna lives in house {n}" for n in range(6)])
        near = hits(TopK(6, "vector"), m)
        found = hits(LLMPick(groups=2, k=3), m, model=FunctionModel(answer))
        assert [hit.item.id for hit in found] == [hit.item.id for hit in near[:2]]
        assert sum("fallback" in hit.parts for hit in found) == 1
        assert [hit.score for hit in found] == [sum(hit.parts.values()) for hit in found]
        assert "1 of 2 picks could not be read" in caplog.text


def test_fewer_items_than_groups_need_no_model() -> None:
    with memory() as m:
        m.insert(["one", "two"])
        assert len(hits(LLMPick(groups=4), m)) == 2


def test_a_model_that_is_down_is_an_error() -> None:
    def down(messages: list[dict[str, Any]]) -> str:
        raise ModelUnavailable("down")

    with memory() as m:
        cities(m)
        with pytest.raises(ModelUnavailable):
            hits(LLMPick(2), m, model=FunctionModel(down))


# --- buckets


def test_equal_vectors_share_a_bucket() -> None:
    with memory() as m:
        m.insert([f"thing {n}" for n in range(60)])
        for bits in (1, 8, 40):
            assert texts(Bucket(1, bits=bits), m, "thing 7") == ["thing 7"]


def test_only_the_bucket_is_compared() -> None:
    with memory() as m:
        rng = np.random.default_rng(1)
        m.insert([f"thing {n}" for n in range(400)], vectors=rng.standard_normal((400, 384)).astype(np.float32))
        narrow, wide = Bucket(bits=5), Bucket(bits=1)
        hits(narrow, m, "thing 7"), hits(wide, m, "thing 7")
        assert narrow.seen.items == wide.seen.items == 400
        assert narrow.seen.compared < 40 < wide.seen.compared < 300


@given(st.integers(1, 12), st.integers(0, 5))
def test_what_a_bucket_finds_is_what_exact_search_finds_in_it(bits: int, seed: int) -> None:
    with memory() as m:
        m.insert([f"thing {n} of many" for n in range(40)])
        found = hits(Bucket(40, bits, seed), m, "thing 3")
        exact = {hit.item.id: hit.score for hit in m.recall("thing 3", 40, mode="vector")}
        assert [hit.score for hit in found] == sorted((hit.score for hit in found), reverse=True)
        assert all(hit.score == pytest.approx(exact[hit.item.id], abs=1e-5) for hit in found)


def test_an_edited_item_moves_to_its_new_bucket() -> None:
    with memory() as m:
        item = m.insert("the mast broke")
        bucket = Bucket(1, bits=20)
        assert texts(bucket, m, "the mast broke") == ["the mast broke"]
        m.edit(item.id, "Anna lives in Oslo")
        assert texts(bucket, m, "Anna lives in Oslo") == ["Anna lives in Oslo"]
        assert texts(bucket, m, "the mast broke") == []
        with m.draft() as draft:
            draft.edit(item.id, "an invoice is due")
            assert texts(bucket, draft, "an invoice is due") == ["an invoice is due"]
            draft.edit(item.id, "a kettle")
            assert texts(bucket, draft, "a kettle") == ["a kettle"]


def test_a_bucket_passes_over_what_expired_and_what_the_filter_drops() -> None:
    with memory() as m:
        m.insert("kettle", expires_at=NOW)
        assert texts(Bucket(bits=1), m, "kettle") == []
        m.insert(["pot", "pan"], metadata=[{"of": "a"}, {"of": "b"}])
        assert set(texts(Bucket(bits=1, where={"of": "b"}), m, "pan")) == {"pan"}
        assert texts(Bucket(kind="note"), m, "pan") == []


# --- misuse


@pytest.mark.parametrize(
    ("strategy", "fields", "says"),
    [
        (Window, {"k": 0}, "k is 0; expected how many items are wanted"),
        (Window, {"kind": "facts"}, "unknown kind"),
        (TopK, {"mode": "fuzzy"}, "unknown recall mode 'fuzzy'"),
        (TopK, {"mmr": 3}, "mmr is 3"),
        (TopK, {"where": {"$colour": 1}}, "where: unknown field"),
        (TwoStage, {"first": 0}, "first is 0"),
        (TwoStage, {"then": 0}, "then is 0"),
        (LLMPick, {"groups": 0}, "groups is 0"),
        (LLMPick, {"k": 0}, "k is 0"),
        (Bucket, {"bits": 0}, "bits is 0"),
        (Bucket, {"bits": 63}, "bits is 63"),
    ],
)
def test_a_strategy_that_makes_no_sense_is_refused_when_it_is_made(strategy: Any, fields: Any, says: str) -> None:
    with pytest.raises(Misuse, match=says):
        strategy(**fields)


def test_a_memory_that_is_not_ours_is_refused() -> None:
    class Stranger:
        namespace = "default"

    stranger: AnyMemory = Stranger()  # type: ignore[assignment]
    with pytest.raises(Misuse, match="needs an agentevo memory or a draft of one, not Stranger"):
        hits(TopK(), stranger)
