"""The filter as SQL and the filter on an item are one filter."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from word_vectors import WordVectors, open_memory

from agentevo.errors import Misuse
from agentevo.memory import Memory
from agentevo.memory.where import OWN, fits, parse
from agentevo.types import Kind

KEYS = ("team", "price", "a.b", "", "x'; DROP TABLE items; --", "käse", "$", "nul\0key")
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 3),
    st.sampled_from([0.0, -0.0, 1.0, 0.1, 2**53 + 1, 2**63, -(2**70), 10**400, 1e308]),
    st.sampled_from(["", "1", "1.0", "billing", "Billing", "x' OR 1=1", "%", "nul\0", "é", "true", "null", "0"]),
)
METADATA = st.dictionaries(
    st.sampled_from([key for key in KEYS if key != "$"]) | st.just("address"),
    st.one_of(
        SCALARS,
        st.lists(SCALARS | st.lists(SCALARS, max_size=1), max_size=3),
        st.dictionaries(st.sampled_from(["b", "city"]), SCALARS | st.dictionaries(st.just("c"), SCALARS)),
    ),
    max_size=4,
)
KEY = st.sampled_from([*(key for key in KEYS if key[:1] != "$"), "address", "address.city", "address.b", "a"])
TIMES = ("$created_at", "$expires_at", "$last_used_at")
OWN_KEY = st.sampled_from([f"${name}" for name in OWN if f"${name}" not in TIMES])
TIME = st.sampled_from([0, 1.5, "1970-01-01", "2999-12-31T23:59+02:00"])
OF_TIME = st.one_of(
    TIME,
    st.none(),
    st.lists(TIME, max_size=2),
    st.fixed_dictionaries({"$ne": TIME}),
    st.fixed_dictionaries({"$exists": st.booleans()}),
    st.dictionaries(st.sampled_from(["$gt", "$gte", "$lt", "$lte"]), TIME, min_size=1, max_size=2),
)
NUMBER_OR_TEXT = st.one_of(st.integers(-3, 3), st.sampled_from([0.5, 1e18, 2**70, "", "1", "fact", "user", "m"]))
COMPARISON = st.one_of(
    SCALARS,
    st.lists(SCALARS, max_size=3),
    st.fixed_dictionaries({"$ne": SCALARS}),
    st.fixed_dictionaries({"$exists": st.booleans()}),
    st.dictionaries(st.sampled_from(["$gt", "$gte", "$lt", "$lte"]), NUMBER_OR_TEXT, min_size=1, max_size=2),
)
OWN_VALUES = st.sampled_from(
    ["fact", "lesson", "user", "live", "forgotten", 0, 1, 0.5, 1.0, "1", "1.0", "0", None, True]
)
OWN_COMPARISON = st.one_of(
    OWN_VALUES,
    st.lists(OWN_VALUES, max_size=3),
    st.fixed_dictionaries({"$ne": OWN_VALUES}),
    st.fixed_dictionaries({"$exists": st.booleans()}),
    st.dictionaries(st.sampled_from(["$gt", "$gte", "$lt", "$lte"]), NUMBER_OR_TEXT, min_size=1, max_size=2),
)
LEAF = st.dictionaries(KEY, COMPARISON, max_size=2) | st.dictionaries(OWN_KEY, OWN_COMPARISON, max_size=2)
LEAF |= st.dictionaries(st.sampled_from(TIMES), OF_TIME, max_size=2)
WHERE = st.recursive(
    LEAF,
    lambda inner: st.dictionaries(
        st.sampled_from(["$and", "$or"]), st.lists(inner, min_size=1, max_size=3), min_size=1
    ),
    max_leaves=6,
)


@settings(max_examples=60)
@given(metadatas=st.lists(METADATA, min_size=1, max_size=5), wheres=st.lists(WHERE, min_size=1, max_size=8))
def test_sql_and_fits_agree(metadatas: Sequence[Mapping[str, Any]], wheres: Sequence[Mapping[str, Any]]) -> None:
    with open_memory(":memory:") as memory:
        for n, metadata in enumerate(metadatas):
            kind: Kind = "fact" if n % 2 else "lesson"
            memory.insert(f"item {n}", metadata=metadata, kind=kind, importance=1 / (1 + n % 2), pinned=n % 3 == 0)
        newest = memory.list()[0]
        if not newest.pinned:
            memory.forget(newest.id)
        items = memory.list(status=None)
        for where in wheres:
            node = parse(where)
            expected = {item.id for item in items if fits(node, item)}
            assert {item.id for item in memory.list(status=None, where=where)} == expected, where


@pytest.fixture(scope="module")
def shop() -> Memory:
    memory = open_memory(":memory:")
    memory.insert("plain", metadata={"address": {}})
    memory.insert("one", metadata={"price": 1, "tags": ["red", "blue"], "ok": True, "address": {"city": "Oslo"}})
    memory.insert("three", metadata={"price": 3.5, "tags": [], "ok": False, "none": None, "text": "10"})
    return memory


@pytest.mark.parametrize(
    ("where", "found"),
    [
        ({"price": 1}, {"one"}),
        ({"price": 1.0}, {"one"}),
        ({"price": "1"}, set()),
        ({"price": True}, set()),
        ({"ok": True}, {"one"}),
        ({"ok": 1}, set()),
        ({"none": None}, {"three"}),
        ({"tags": "blue"}, {"one"}),
        ({"tags": ["green", "red"]}, {"one"}),
        ({"tags": []}, set()),
        ({"tags": {"$exists": True}}, {"one", "three"}),
        ({"address": {"$exists": True}}, {"one", "plain"}),
        ({"address": {"$exists": False}}, {"three"}),
        ({"address": {"$ne": 1}}, {"plain", "one", "three"}),
        ({"price": {"$gt": 1}}, {"three"}),
        ({"price": {"$gte": 1, "$lt": 3.5}}, {"one"}),
        ({"text": {"$lt": 11}}, set()),
        ({"text": {"$lt": "2"}}, {"three"}),
        ({"price": {"$ne": 1}}, {"plain", "three"}),
        ({"price": {"$exists": False}}, {"plain"}),
        ({"address.city": "Oslo"}, {"one"}),
        ({"$or": [{"price": 1}, {"ok": False}]}, {"one", "three"}),
        ({"$and": [{"price": 1}, {"ok": False}]}, set()),
        ({"$or": [{"price": 1}, {}]}, {"plain", "one", "three"}),
        ({"$and": [{}]}, {"plain", "one", "three"}),
        ({"$pinned": False, "$kind": "fact", "$text": ["one", "two"]}, {"one"}),
        ({"$trust": "1.0"}, set()),
        ({"$expires_at": None}, {"plain", "one", "three"}),
        ({"$created_at": {"$gt": "2001-01-01", "$lt": "9000-01-01T12:00+01:00"}}, {"plain", "one", "three"}),
        ({"$created_at": {"$lt": "2001-01-01"}}, set()),
        ({"price": list(range(20_000))}, {"one"}),
    ],
)
def test_each_operator(shop: Memory, where: Mapping[str, Any], found: set[str]) -> None:
    assert {item.text for item in shop.list(where=where)} == found
    assert {hit.item.text for hit in shop.recall("one plain three", k=9, where=where)} == found


@pytest.mark.parametrize(
    ("where", "said"),
    [
        ({"$colour": "red"}, r"\$kind"),
        ({"price": {"$near": 3}}, r"\$gte"),
        ({"price": {}}, "nothing"),
        ({"price": {"$gt": None}}, "numbers or texts"),
        ({"price": {"$gt": [1]}}, "expected a text"),
        ({"price": {"$exists": 1}}, "true or false"),
        ({"price": float("nan")}, "NaN"),
        ({"$created_at": {"$gt": "last week"}}, r"\$created_at is compared with seconds .* 'last week' is no date"),
        ({"$or": []}, "list of filters"),
        ({"$or": {"a": 1}}, "list of filters"),
        ({"$or": ["a"]}, "mapping"),
        ({1: "a"}, "keys are texts"),
        ("team = billing", "mapping"),
        ({"price": list(range(40_000))}, "several parts"),
        ({"price": "\ud800"}, "surrogate"),
    ],
)
def test_a_filter_that_makes_no_sense_is_refused(shop: Memory, where: Any, said: str) -> None:
    with pytest.raises(Misuse, match=said):
        shop.list(where=where)


def test_a_filter_nested_too_deep_is_refused(shop: Memory) -> None:
    where: dict[str, Any] = {"price": 1}
    for _ in range(20):
        where = {"$or": [where, {"price": 2}]}
    assert [item.text for item in shop.list(where=where)] == ["one"]
    for _ in range(2_000):
        where = {"$and": [where]}
    with pytest.raises(Misuse, match="nested"):
        shop.list(where=where)


def test_a_filter_works_alike_over_a_draft(shop: Memory) -> None:
    with shop.draft() as draft:
        draft.insert("new", metadata={"price": 1})
        draft.edit(shop.list(where={"price": 3.5})[0].id, metadata={"price": 1})
        assert {item.text for item in draft.list(where={"price": 1})} == {"new", "one", "three"}
        vector = WordVectors().vector("new")
        found = draft.recall("new", mode="vector", vector=vector, where={"price": {"$lte": 1}})
        assert found[0].item.text == "new"


def test_a_filter_of_more_comparisons_than_sqlite_takes_is_refused() -> None:
    with open_memory(":memory:") as memory:
        memory.insert("one", metadata={"n": 1})
        assert len(memory.list(where={"$or": [{"n": n} for n in range(500)]})) == 1
        with pytest.raises(Misuse, match="more than 500 comparisons"):
            memory.list(where={"$or": [{"n": n} for n in range(501)]})


def test_a_memory_of_before_objects_were_searched_by_learns_of_them(tmp_path: Path) -> None:
    with open_memory(tmp_path / "m") as memory:
        memory.insert("one", metadata={"address": {"city": "Oslo"}, "tags": [], "n": 1})
    with contextlib.closing(sqlite3.connect(tmp_path / "m" / "ledger.db")) as db, db:
        db.execute("DELETE FROM fields WHERE value = x'02'")
        db.execute("PRAGMA user_version = 2")
    with open_memory(tmp_path / "m") as memory:
        assert len(memory.list(where={"address": {"$exists": True}, "tags": {"$exists": True}})) == 1
        assert memory.verify().ok
