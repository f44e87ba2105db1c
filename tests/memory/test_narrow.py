"""A filter keeps the same items in recall as in a list, also right after something changed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from word_vectors import WordVectors

from agentevo.memory import Memory


@pytest.fixture
def memory() -> Iterator[Memory]:
    with Memory.open(":memory:", embedder=WordVectors()) as memory:
        memory.insert(
            [f"note {n} of the house" for n in range(40)],
            metadata=[
                {"n": n, "half": n % 2, "ok": n % 3 == 0, "tags": [f"t{n % 4}", "all"]} if n % 5 else {"other": None}
                for n in range(40)
            ],
            created_at=[float(n) for n in range(40)],
        )
        yield memory


FILTERS: list[dict[str, Any]] = [
    {"half": 1},
    {"half": [0, 1], "ok": True},
    {"n": {"$gt": 5, "$lte": 20}},
    {"n": {"$ne": 7}},
    {"n": {"$exists": False}},
    {"other": None},
    {"tags": "t2"},
    {"$or": [{"n": {"$lt": 3}}, {"$created_at": {"$gte": 30}}, {"$and": [{"half": 0}, {"ok": False}]}]},
    {"$uses": {"$gt": 0}},
    {"nothing": "at all"},
]


def _recalled(memory: Memory, where: dict[str, Any]) -> set[str]:
    return {hit.item.id for hit in memory.recall("note house", 100, mode="vector", where=where)}


def _listed(memory: Memory, where: dict[str, Any]) -> set[str]:
    return {item.id for item in memory.list(where=where)}


@pytest.mark.parametrize("where", FILTERS, ids=str)
def test_recall_keeps_what_a_list_keeps(memory: Memory, where: dict[str, Any]) -> None:
    assert _recalled(memory, where) == _listed(memory, where)


def test_a_filter_asked_before_sees_what_changed_since(memory: Memory) -> None:
    before = _recalled(memory, {"half": 1})
    one = min(before)
    memory.edit(one, metadata={"half": 0})
    new = memory.insert("note of another house", metadata={"half": 1})
    assert _recalled(memory, {"half": 1}) == before - {one} | {new.id} == _listed(memory, {"half": 1})


def test_counts_of_use_are_never_remembered(memory: Memory) -> None:
    assert _recalled(memory, {"$uses": {"$gt": 0}}) == set()
    used = memory.list(limit=1)[0].id
    memory.reinforce(used)
    assert _recalled(memory, {"$uses": {"$gt": 0}}) == {used}
