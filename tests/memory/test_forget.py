"""Forgetting: the curve is the right way up, orders are exact, caps hold, and what is pinned stays."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from moments import DAY, NOW, memory, moment, ops

from agentevo.errors import Misuse
from agentevo.memory import Decay, Discard, Draft, Evict, Expire, Memory, retention
from agentevo.memory.forget import Curve, Order
from agentevo.memory.history import Change
from agentevo.types import Item, Json, Op

days = st.floats(0.01, 300)
strengths = st.floats(0.1, 50)
curves = st.sampled_from(["exp", "power"])


def item(id: str = "a", **fields: Any) -> Item:
    return Item.model_validate({"id": id, "text": id, "created_at": NOW, **fields})


def texts(memory: Memory) -> list[str]:
    return [found.text for found in memory.list(order="oldest")]


# --- the curve


@given(days, days, strengths, curves)
def test_retention_falls_as_time_passes(earlier: float, more: float, strength: float, curve: Curve) -> None:
    old = item(created_at=0.0, strength=strength)
    then, later = earlier * DAY, (earlier + more) * DAY
    assert retention(old, later, curve=curve) < retention(old, then, curve=curve) < 1


@given(days, strengths, st.floats(0.1, 50), curves)
def test_retention_rises_with_strength(age: float, strength: float, more: float, curve: Curve) -> None:
    weak, strong = item(created_at=0.0, strength=strength), item(created_at=0.0, strength=strength + more)
    assert retention(weak, age * DAY, curve=curve) < retention(strong, age * DAY, curve=curve)


@given(st.floats(-1e6, 1e9), st.floats(0, 100), st.floats(0, 1e9), curves)
def test_retention_is_a_share_whatever_the_item(created: float, strength: float, now: float, curve: Curve) -> None:
    assert 0 <= retention(item(created_at=created, strength=strength), now, curve=curve) <= 1


def test_retention_does_not_have_the_published_inversion_in_which_strength_speeds_forgetting_up() -> None:
    once, often = (retention(item(created_at=0.0, strength=s), 5 * DAY, scale_days=5) for s in (1.0, 5.0))
    assert once == pytest.approx(math.exp(-1))
    assert often == pytest.approx(math.exp(-1 / 5))
    assert often > math.exp(-5 * 5 / 5), "e^(-t / 5 * S), as published, forgets what is recalled often soonest"


def test_retention_counts_from_the_last_use_or_from_the_insertion() -> None:
    used = item(created_at=0.0, last_used_at=10 * DAY)
    assert retention(used, 10 * DAY) == 1.0
    assert retention(used, 10 * DAY, since="insert") == retention(item(created_at=0.0), 10 * DAY)


def test_what_has_no_strength_is_gone_at_once() -> None:
    assert retention(item(created_at=0.0, strength=0.0), DAY) == 0.0


# --- decay


def test_an_item_recalled_on_the_first_day_outlives_its_twin() -> None:
    with memory() as m:
        used = m.insert("the kettle is blue", created_at=NOW - 100 * DAY)
        m.insert("the kettle is green", created_at=NOW - 100 * DAY)
        m.reinforce(used.id)
        m.sweep([Decay(scale_days=30)], now=NOW)
        assert texts(m) == ["the kettle is blue"]


def test_decay_forgets_below_the_floor_and_says_how_far_below() -> None:
    with memory() as m:
        m.insert(["old", "young"], created_at=[NOW - 90.5 * DAY, NOW - 89 * DAY])
        (op,) = m.sweep([Decay(scale_days=30, floor=0.05)]).ops
        assert (op.verb, op.reason) == ("forget", "retention 0.049 below 0.05")
        assert texts(m) == ["young"]


def test_decay_by_the_power_curve_keeps_old_things_longer() -> None:
    with memory() as m:
        m.insert("old", created_at=NOW - 200 * DAY)
        assert m.sweep([Decay("power", floor=0.1)]).ops == ()
        assert len(m.sweep([Decay("exp", floor=0.1)]).ops) == 1


def test_decay_since_insertion_passes_over_use() -> None:
    with memory() as m:
        m.reinforce(m.insert("used", created_at=NOW - 900 * DAY).id, strength=0)
        assert m.sweep([Decay()], dry_run=True).ops == ()
        assert len(m.sweep([Decay(since="insert")], dry_run=True).ops) == 1


def test_sampled_decay_forgets_each_with_the_chance_the_curve_gives() -> None:
    with memory() as m:
        m.insert([f"item {n}" for n in range(600)], created_at=NOW - 30 * DAY)
        gone = {op.id for op in m.sweep([Decay(mode="sample")], dry_run=True, seed=1).ops}
        assert len(gone) / 600 == pytest.approx(1 - math.exp(-1), abs=0.08)
        assert gone == {op.id for op in m.sweep([Decay(mode="sample")], dry_run=True, seed=1).ops}
        assert gone != {op.id for op in m.sweep([Decay(mode="sample")], dry_run=True, seed=2).ops}


def test_sampled_decay_of_an_item_does_not_depend_on_its_neighbours() -> None:
    with memory() as m:
        m.insert([f"item {n}" for n in range(50)], created_at=NOW - 30 * DAY)
        before = {op.id for op in m.sweep([Decay(mode="sample")], dry_run=True).ops}
        m.insert([f"other {n}" for n in range(50)], created_at=NOW - 60 * DAY)
        assert before <= {op.id for op in m.sweep([Decay(mode="sample")], dry_run=True).ops}


def test_decay_leaves_notes_prompts_and_adapters_alone_unless_they_are_named() -> None:
    with memory() as m:
        for kind in ("note", "prompt", "adapter", "fact"):
            m.insert(f"a {kind}", kind=kind, created_at=0.0)
        assert [op.id for op in m.sweep([Decay()], dry_run=True).ops] == [m.list(kind="fact")[0].id]
        assert len(m.sweep([Decay(kind=["note", "fact"])], dry_run=True).ops) == 2


# --- eviction


@pytest.mark.parametrize(
    ("order", "leaves"),
    [
        ("fifo", "abcd"),
        ("lru", "cbda"),
        ("lfu", "cdab"),
        ("utility", "bcad"),
        ("help", "bcad"),
        ("near", "bcad"),
        ("importance", "bacd"),
        ("retention", "cdab"),
    ],
)
def test_eviction_orders_are_exact(order: Order, leaves: str) -> None:
    with memory() as m:
        _filled(m)
        gone = [m.sweep([Evict(cap, order)]).ops[0].id for cap in (3, 2, 1, 0)]
        assert "".join(found.text for name in gone if (found := m.get(name))) == leaves


def _filled(m: Memory) -> None:
    """Insert four items, each the first to go by some order."""
    table: list[
        tuple[str, float, dict[str, Json]]
    ] = [  # text, importance, and what its uses left: last use in days ago, uses, wins, losses, strength
        ("a", 0.5, {"at": NOW - 10 * DAY, "uses": 2, "wins": 1, "losses": 1}),
        ("b", 0.1, {"at": NOW - 40 * DAY, "uses": 3, "losses": 1, "strength": 7}),
        ("c", 0.7, {}),
        ("d", 0.9, {"at": NOW - 30 * DAY, "uses": 1, "wins": 2}),
    ]
    for n, (text, importance, changes) in enumerate(table):
        name = m.insert(text, importance=importance, created_at=NOW - (99 - n) * DAY).id
        m.apply([Op(verb="reinforce", id=name, changes=changes)] if changes else [])


def test_the_least_recently_used_go_first_exactly_as_in_a_cache_of_the_same_size() -> None:
    with memory() as m:
        cache: list[str] = []
        ids: dict[str, str] = {}
        for n, text in enumerate("abcabdaecbdafbg"):
            at = NOW + n
            if text not in cache:
                ids[text] = m.insert(text, created_at=at).id
            else:
                cache.remove(text)
                m.edit(ids[text], last_used_at=at)
            cache.append(text)
            m.sweep([Evict(3, "lru")], now=at)
            cache = cache[-3:]
            assert {found.text for found in m.list()} == set(cache)


@given(st.integers(0, 12), st.lists(st.booleans(), max_size=10), st.sampled_from(["lru", "lfu", "fifo", "utility"]))
def test_a_cap_is_exceeded_by_pinned_items_alone(cap: int, pinned: list[bool], order: Order) -> None:
    with memory() as m:
        for n, pin in enumerate(pinned):
            m.insert(f"item {n}", pinned=pin)
        m.sweep([Evict(cap, order)])
        assert len(m.list()) == min(len(pinned), max(cap, sum(pinned)))
        assert sum(found.pinned for found in m.list()) == sum(pinned)


def test_of_equals_the_one_inserted_first_goes() -> None:
    with memory() as m:
        m.insert([f"item {n}" for n in range(9)])
        m.sweep([Evict(4, "lfu")])
        assert texts(m) == [f"item {n}" for n in range(5, 9)]


@pytest.mark.parametrize("order", ["lfu", "near"])
def test_of_equals_the_one_inserted_first_goes_in_a_draft_that_changed_some_too(order: Order) -> None:
    with memory() as m:
        items = m.insert([f"item {n}" for n in range(5)])
        m.quarantine(items[1].id)
        outer = m.draft()
        outer.insert("item 5")
        draft = outer.draft()
        draft.insert("item 6")
        draft.edit(items[0].id, importance=0.6)
        draft.release(items[1].id)
        draft.edit(outer.list()[0].id, importance=0.6)
        gone = [op.id for op in ops(Evict(1, order), moment(draft))]
        draft.commit()
        outer.commit()
        assert gone == [op.id for op in ops(Evict(1, order), moment(m))]
        assert texts(m)[:6] == [item.text for name in gone if (item := m.get(name))]


@pytest.mark.parametrize("order", ["lfu", "utility", "importance"])
def test_of_equals_the_one_used_longest_ago_goes(order: Order) -> None:
    with memory() as m:
        ids = {text: m.insert(text, created_at=at).id for text, at in (("old", 1.0), ("new", 3.0), ("older", 0.0))}
        m.edit(ids["older"], last_used_at=2.0)
        gone = [m.sweep([Evict(cap, order)]).ops[0].id for cap in (2, 1, 0)]
        assert gone == [ids["old"], ids["older"], ids["new"]]


def test_by_help_what_helped_often_outlives_what_helped_once_and_what_failed_goes_before_the_untried() -> None:
    with memory() as m:
        often, once, untried, failed = m.insert(["often", "once", "untried", "failed"])
        m.reinforce(often.id, wins=10, losses=2)
        m.reinforce(once.id, wins=1)
        m.reinforce(failed.id, losses=3)
        gone = [m.sweep([Evict(cap, "help")]).ops[0].id for cap in (3, 2, 1, 0)]
        assert gone == [failed.id, untried.id, once.id, often.id]


def test_what_was_used_outlives_what_was_not_though_nobody_told_whether_it_helped() -> None:
    with memory() as m:
        items = m.insert([f"item {n}" for n in range(20)])
        m.reinforce([item.id for item in items[:10]])
        m.sweep([Evict(10, "utility")])
        assert texts(m) == [f"item {n}" for n in range(10)]


def test_near_keeps_of_what_was_never_used_what_is_like_what_was() -> None:
    with memory() as m:
        used = m.insert("the kettle in the kitchen is blue", created_at=NOW - 90 * DAY)
        vain = m.insert("the kettle in the kitchen is old", created_at=NOW)
        m.insert("a kettle in the kitchen of Anna", created_at=NOW - 80 * DAY)
        m.insert(["ships sail at dawn", "taxes rose again"], created_at=NOW - DAY)
        m.reinforce(used.id, wins=1), m.reinforce(vain.id, losses=1)
        m.sweep([Evict(2, "near")])
        assert texts(m) == ["the kettle in the kitchen is blue", "a kettle in the kitchen of Anna"]


def test_near_falls_back_to_the_latest_where_nothing_was_used() -> None:
    with memory() as m:
        m.insert(["old", "new"], created_at=[NOW - 2 * DAY, NOW - DAY])
        m.sweep([Evict(1, "near")])
        assert texts(m) == ["new"]


@given(
    st.lists(
        st.fixed_dictionaries(
            {}, optional={"at": st.sampled_from([NOW - 3 * DAY, NOW]), "uses": st.integers(1, 2),
                          "wins": st.floats(0, 3), "losses": st.floats(0, 3), "strength": st.floats(0, 3)},
        ),
        max_size=8,
    ),
    st.sampled_from(["lru", "lfu", "fifo", "utility", "help", "near", "importance", "retention"]),
    st.integers(0, 8),
)  # fmt: skip
def test_a_draft_with_changes_evicts_in_the_order_in_which_the_memory_does(
    used: list[dict[str, Json]], order: Order, cap: int
) -> None:
    with memory() as m:
        for n, changes in enumerate(used):
            name = m.insert(f"item {n}", created_at=NOW - n % 3 * DAY, pinned=n == 5, importance=n % 4 / 4).id
            m.apply([Op(verb="reinforce", id=name, changes=changes)] if changes else [])
        with m.draft() as draft:
            draft.insert("a note, which eviction passes over", kind="note")
            assert ops(Evict(cap, order), moment(draft)) == ops(Evict(cap, order), moment(m))


def test_eviction_counts_only_its_kind_and_its_filter() -> None:
    with memory() as m:
        m.insert(["a", "b", "c"], kind="lesson", metadata=[{"team": "x"}, {"team": "x"}, {"team": "y"}])
        m.insert("d", kind="fact")
        m.sweep([Evict(1, "fifo", "lesson", where={"team": "x"})])
        assert sorted(texts(m)) == ["b", "c", "d"]


# --- rules and dates


def test_discard_by_a_function_forgets_what_it_names() -> None:
    with memory() as m:
        bad = m.insert("bad").id
        m.insert("good")
        m.reinforce(bad, losses=3)
        (op,) = m.sweep([Discard(lambda item: item.losses - item.wins >= 3)]).ops
        assert op.id == bad
        assert op.reason.startswith("discarded: test_forget.")


def test_discard_by_a_filter_forgets_what_passes_it() -> None:
    with memory() as m:
        m.insert(["a", "b"], metadata=[{"draft": True}, {}])
        (op,) = m.sweep([Discard({"draft": True})]).ops
        assert op.reason == 'discarded: {"draft": true}'
        assert texts(m) == ["b"]


def test_discard_gives_the_reason_it_is_given() -> None:
    with memory() as m:
        m.insert("a")
        assert m.sweep([Discard({}, reason="the team is gone")]).ops[0].reason == "the team is gone"


def test_expire_forgets_what_is_past_its_date_of_whatever_kind() -> None:
    with memory() as m:
        m.insert("past", kind="note", expires_at=NOW)
        m.insert("to come", expires_at=NOW + 1)
        m.insert("for good")
        m.sweep([Expire()])
        assert sorted(texts(m)) == ["for good", "to come"]


@pytest.mark.parametrize("policy", [Decay(), Evict(0), Discard({}), Discard(lambda item: True), Expire()])
def test_pinned_items_stay(policy: Decay | Evict | Discard | Expire) -> None:
    with memory() as m:
        m.insert("pinned", pinned=True, created_at=0.0, expires_at=1.0)
        loose = m.insert("loose", created_at=0.0, expires_at=1.0)
        assert [op.id for op in m.sweep([policy]).ops] == [loose.id]
        assert texts(m) == ["pinned"]


def test_what_is_forgotten_can_be_restored() -> None:
    with memory() as m:
        m.insert("a")
        (op,) = m.sweep([Evict(0)]).ops
        m.restore(op.id)
        assert texts(m) == ["a"]


# --- misuse


@pytest.mark.parametrize(
    ("policy", "fields", "says"),
    [
        (Decay, {"curve": "linear"}, "unknown curve 'linear'; known: exp, power"),
        (Decay, {"since": "birth"}, "unknown since 'birth'"),
        (Decay, {"mode": "dice"}, "unknown mode 'dice'"),
        (Decay, {"scale_days": 0}, "scale_days is 0; expected a number of days above 0"),
        (Decay, {"floor": 2}, "floor is 2; expected a retention from 0 to 1"),
        (Decay, {"kind": "facts"}, "unknown kind 'facts'; known: fact"),
        (Decay, {"where": {"$colour": 1}}, "where: unknown field"),
        (Evict, {"cap": -1}, "cap is -1; expected how many items may stay"),
        (Evict, {"cap": 2.5}, "cap is 2.5; expected how many items may stay, a whole number"),
        (Evict, {"cap": "3"}, "cap is '3'; expected how many items may stay, a whole number"),
        (Evict, {"cap": True}, "cap is True; expected how many items may stay, a whole number"),
        (Decay, {"scale_days": "30"}, "scale_days is '30'; expected a number of days above 0"),
        (Decay, {"floor": "0"}, "floor is '0'; expected a retention from 0 to 1"),
        (Evict, {"cap": 3, "order": "best"}, "unknown order 'best'"),
        (Discard, {"which": "old"}, "Discard takes a function of an item or a filter, not 'old'"),
        (Discard, {"which": {"$colour": 1}}, "where: unknown field"),
    ],
)
def test_a_policy_that_makes_no_sense_is_refused_when_it_is_made(policy: Any, fields: Any, says: str) -> None:
    with pytest.raises(Misuse, match=says):
        policy(**fields)


def test_policies_see_a_draft_as_it_would_be() -> None:
    with memory() as m, m.draft() as draft:
        m.insert("below")
        draft.insert("above", created_at=NOW + 1)
        draft.forget(draft.list(order="oldest")[0].id)
        assert [op.id for op in ops(Evict(0), moment(draft))] == [draft.list()[0].id]


@pytest.mark.parametrize(
    "odd", [["a\0", "a\0b", "a\0c"], ["\u2028", "é", '"', "\\", "\\u0000", "[1]", "1"], ["😀", "é😀"]]
)
def test_items_of_whatever_names_are_forgotten_together_and_come_back_together(odd: list[str]) -> None:
    given = ["a", *odd]
    with memory() as m:
        m.apply([Op(verb="insert", id=one, item=item(one, text=f"item {n}")) for n, one in enumerate(given)])
        gone = given[1:]
        m.apply([Op(verb="forget", id=one, reason="too old") for one in gone])
        assert [found.id for found in m.list()] == ["a"]
        assert {change.reason for one in gone for change in changes(m, one)[1:]} == {"too old"}
        m.undo()
        assert {found.id for found in m.list()} == {*given}


def test_a_name_that_no_memory_can_hold_is_refused_also_where_many_are_forgotten_together() -> None:
    with memory() as m:
        m.insert("kept")
        forgets = [Op(verb="forget", id=one, reason="too old") for one in (m.list()[0].id, "x\udc00")]
        with pytest.raises(Misuse, match=r"^'x.udc00' holds half of a surrogate pair"):
            m.apply(forgets)
        assert texts(m) == ["kept"]


def changes(m: Memory, id: str) -> list[Change]:
    return [change for change in m.history(id) if isinstance(change, Change)]


@pytest.mark.parametrize("meanwhile", ["edited", "purged", "both"])
def test_of_ops_that_are_alike_those_whose_item_changed_meanwhile_are_left_out(meanwhile: str) -> None:
    with memory() as m:
        m.insert([f"item {n}" for n in range(6)])
        found = m.list(order="oldest")
        edited = {found[1].id} if meanwhile != "purged" else set()
        purged = {found[4].id} if meanwhile != "edited" else set()
        with m.draft() as draft:
            draft.apply([Op(verb="forget", id=one.id, reason="too old") for one in found])
            for one in edited:
                m.edit(one, text="another")
            for one in purged:
                m.purge(one)
            done = draft.commit()
        assert {*done.skipped} == edited | purged
        assert {one.id for one in m.list()} == edited
        assert {one.id for one in m.list(status="forgotten")} == {one.id for one in found} - edited - purged


@pytest.mark.parametrize("is_drafted", [False, True])
def test_items_that_say_the_very_same_are_not_restored_together(is_drafted: bool) -> None:
    with memory() as m:
        same = []
        for _ in range(2):
            same.append(m.insert("said twice").id)
            m.forget(same[-1])
        to = m.draft() if is_drafted else m
        with pytest.raises(Misuse, match=f"items {same[0]} and {same[1]} say the very same; restore one of them"):
            to.restore(same)
        assert to.list() == []
        assert to.restore([same[1], same[1]]).status == "live"


@pytest.mark.parametrize("is_drafted", [False, True])
def test_what_takes_the_place_of_a_pinned_item_is_pinned(is_drafted: bool) -> None:
    with memory() as m:
        old = m.insert("the limit is 500")
        m.pin(old.id)
        if is_drafted:
            with m.draft() as draft:
                new = draft.supersede(old.id, "the limit is 900")
                assert new.pinned
                draft.commit()
        else:
            new = m.supersede(old.id, "the limit is 900")
        m.sweep([Evict(0)])
        assert m.list() == [m.get(new.id)]
        m.undo()
        assert [(item.text, item.pinned) for item in m.list()] == [("the limit is 500", True)]


@pytest.mark.parametrize("is_drafted", [False, True])
def test_an_item_that_takes_a_pinned_ones_place_by_saying_its_new_text_already_is_pinned(is_drafted: bool) -> None:
    with memory() as m:
        old, other = m.insert("the limit is 500"), m.insert("the limit is 900")
        m.pin(old.id)
        to = m.draft() if is_drafted else m
        assert to.supersede(old.id, other.text) == to.get(other.id)
        assert [(item.id, item.pinned, item.supersedes) for item in to.list()] == [(other.id, True, None)]
        if isinstance(to, Draft):
            to.edit(other.id, importance=0.9)
            assert to.commit().skipped == ()
        assert [(item.id, item.pinned) for item in m.list()] == [(other.id, True)]
        m.undo()
        assert {item.id: item.pinned for item in m.list()} == {old.id: True, other.id: False}


def test_what_took_a_pinned_ones_place_in_a_draft_and_is_said_by_another_meanwhile_is_pinned() -> None:
    with memory() as m:
        old, changed = m.insert("the limit is 500"), m.insert("the limit is 900")
        more = m.insert("the limit is 700")
        m.pin([old.id, more.id])
        draft = m.draft()
        draft.supersede(old.id, changed.text)
        draft.edit(changed.id, importance=0.9)
        draft.supersede(more.id, "the limit is 1,000")
        m.edit(changed.id, importance=0.1)
        new = m.insert("the limit is 1,000")
        assert draft.commit().skipped == (changed.id,)
        assert {(item.id, item.pinned, item.importance) for item in m.list()} == {
            (changed.id, True, 0.1),
            (new.id, True, 0.5),
        }
