"""Reconcile: what is new against what is near, with the decision and its reason, and nothing destroyed."""

from __future__ import annotations

import itertools
import json
from collections.abc import Sequence
from typing import Any

import pytest
from moments import NOW, attempt, experience, memory, moment, ops

from agentevo.errors import Misuse, ModelUnavailable
from agentevo.memory import Draft, Insert, Memory, Reconcile, Verdict
from agentevo.memory.history import Change
from agentevo.memory.insert import Extract
from agentevo.memory.reconcile import Choice
from agentevo.models import ScriptedModel
from agentevo.protocols import State
from agentevo.types import Experience, Item, Op

TOLD = [experience(attempt("1"))]


def verdict(decision: str, *about: int, text: str = "", reason: str = "so it is") -> str:
    return json.dumps({"decision": decision, "about": list(about), "text": text, "reason": reason})


def settled(m: Memory, text: str, *replies: str, **fields: Any) -> list[Op]:
    """Insert a text in a draft, reconcile it, commit, and return what reconciling did."""
    policy = fields.pop("policy", Reconcile(similar=0.3))
    with m.draft() as draft:
        draft.insert(text, **fields)
        found = ops(policy, moment(draft, list(replies)), TOLD)
        draft.apply(found)
        draft.commit()
    return found


def live(m: Memory, kind: Any = "fact") -> list[str]:
    return sorted(item.text for item in m.list(kind=kind))


# --- decisions


def test_a_lives_in_x_then_in_y_leaves_one() -> None:
    with memory() as m:
        old = m.insert("Anna lives in Oslo")
        found = settled(m, "Anna lives in Rome", verdict("supersede", 1, reason="she moved"))
        assert live(m) == ["Anna lives in Rome"]
        assert [op.verb for op in found] == ["forget", "link"]
        assert found[0].reason.startswith("supersede: she moved (superseded by ")
        assert m.list()[0].links == (old.id,)
        m.restore(old.id)
        assert len(live(m)) == 2, "nothing is destroyed"


def test_what_was_derived_from_what_is_untrue_now_is_held_back_however_far_down() -> None:
    with memory() as m:
        old = m.insert("Anna lives in Oslo")
        lesson = m.insert("send Anna's post to Oslo", kind="lesson", derived_from=[old.id])
        further = m.insert("Norwegian stamps are needed often", kind="lesson", derived_from=[lesson.id])
        beside = m.insert("stamps are in the drawer", kind="lesson")
        settled(m, "Anna lives in Rome", verdict("supersede", 1), derived_from=[old.id])
        assert live(m) == ["Anna lives in Rome"], "what says so is not doubted itself"
        assert [item.id for item in m.list(kind="lesson")] == [beside.id]
        held = m.list(status="quarantined")
        assert {item.id for item in held} == {lesson.id, further.id}
        assert all("superseded by" in str(m.history(item.id)[-1].reason) for item in held)
        m.undo()
        assert len(m.list()) == 4


def test_what_rests_on_the_new_one_alone_is_not_doubted() -> None:
    with memory() as m:
        old = m.insert("Anna lives in Oslo")
        new = m.insert("Anna lives in Rome", derived_from=[old.id], created_at=m._now() + 1)
        sure = m.insert("send Anna's post to Rome", kind="lesson", derived_from=[new.id])
        doubted = m.insert("she may be in either", kind="lesson", derived_from=[sure.id, old.id])
        m.sweep([Reconcile(similar=0.3, rule=lambda item, near: Verdict(decision="supersede", about=[1]))])
        assert (live(m), m.get(old.id).status) == ([new.text], "forgotten")  # type: ignore[union-attr]
        assert [item.id for item in m.list(kind="lesson")] == [sure.id]
        assert [item.id for item in m.list(status="quarantined")] == [doubted.id]


@pytest.mark.parametrize("decision", ["update", "merge"])
def test_what_was_derived_from_what_is_only_said_better_stays(decision: str) -> None:
    with memory() as m:
        old = m.insert("Anna lives in Oslo")
        lesson = m.insert("send Anna's post to Oslo", kind="lesson", derived_from=[old.id])
        settled(m, "Anna lives by the harbour", verdict(decision, 1, text="Anna lives in Oslo, by the harbour"))
        assert live(m) == ["Anna lives in Oslo, by the harbour"]
        assert [item.id for item in m.list(kind="lesson")] == [lesson.id]


def test_the_decision_and_its_reason_are_in_the_journal() -> None:
    with memory() as m:
        old = m.insert("Anna lives in Oslo")
        settled(m, "Anna lives in Rome", verdict("supersede", 1, reason="she moved"))
        change = m.history(old.id)[-1]
        assert "supersede: she moved" in change.reason


def test_add_keeps_both_and_links_them() -> None:
    with memory() as m:
        old = m.insert("Anna lives in Oslo")
        (op,) = settled(m, "Anna works in Oslo", verdict("add", reason="another matter"))
        assert (op.verb, op.to, op.reason) == ("link", (old.id,), "add: another matter")
        assert len(live(m)) == 2


def test_none_forgets_the_new_one() -> None:
    with memory() as m:
        old = m.insert("Anna lives in Oslo")
        settled(m, "In Oslo lives Anna", verdict("none", 1))
        assert [item.id for item in m.list()] == [old.id]


def test_update_puts_the_complete_text_in_the_place_of_the_old_one() -> None:
    with memory() as m:
        old = m.insert("Anna lives in Oslo", metadata={"a": 1, "answer": "x"})
        m.reinforce(old.id, wins=2)
        settled(m, "Anna lives in Oslo, Norway, since May", verdict("update", 1, text="Anna: Oslo, Norway, since May"))
        (item,) = m.list()
        assert (item.text, item.supersedes, item.derived_from[0]) == ("Anna: Oslo, Norway, since May", old.id, old.id)
        assert (item.wins, item.uses, item.metadata) == (2, 1, {"a": 1})


def test_merge_makes_one_statement_of_several_that_is_derived_from_all() -> None:
    with memory() as m:
        old = m.insert(["Anna lives in Oslo", "Anna lives with Ben"], source="environment")
        reply = verdict("merge", 1, 2, text="Anna lives with Ben in a flat in Oslo")
        settled(m, "Anna lives in a flat", reply, source="agent")
        (item,) = m.list()
        assert (item.text, item.source, item.trust) == ("Anna lives with Ben in a flat in Oslo", "agent", 0.7)
        assert {source.id for source in old} < set(item.derived_from)
        assert len(m.list(status="forgotten")) == 3


PARTS = ("Anna lives in Oslo by the harbour", "Anna lives in Oslo by the harbour and works at a bakery")


@pytest.mark.parametrize("by_rule", [False, True])
@pytest.mark.parametrize("decision", ["update", "merge"])
@pytest.mark.parametrize("says_all", [0, 1])
def test_where_a_part_says_all_of_it_already_it_stays_and_the_other_goes(
    decision: Choice, says_all: int, by_rule: bool
) -> None:
    decided = Verdict(decision=decision, about=[1], text=PARTS[says_all], reason="one matter")
    policy = Reconcile(similar=0.3, rule=(lambda item, near: decided) if by_rule else None)
    with memory() as m:
        both = [m.insert(text) for text in PARTS]
        stays, goes = both[says_all], both[1 - says_all]
        m.reinforce(goes.id, wins=2)
        m.sweep([policy], model=ScriptedModel([decided.model_dump_json()]))
        (item,) = m.list()
        assert (item.id, item.links, item.wins, item.uses) == (stays.id, (goes.id,), 2, 1)
        assert m.history(goes.id)[-1].reason == f"{decision}: one matter (now in {stays.id})"
        assert [change.reason for change in m.history(stays.id)[1:]] == [f"{decision}: one matter"] * 2


def test_what_is_decided_again_after_an_undo_counts_no_use_twice() -> None:
    decided = Verdict(decision="update", about=[1], text=PARTS[1])
    with memory() as m:
        part, whole = m.insert(PARTS[0]), m.insert(PARTS[1])
        m.reinforce(part.id, wins=3)
        for _ in range(3):
            m.sweep([Reconcile(similar=0.3, rule=lambda item, near: decided)])
            assert (m._must(whole.id).wins, m._must(whole.id).uses, m._must(part.id).status) == (3, 1, "forgotten")
            m.undo()
            assert (m._must(whole.id).wins, m._must(whole.id).uses, m._must(part.id).status) == (0, 0, "live")
        for _ in range(2):
            m.sweep([Reconcile(similar=0.3, rule=lambda item, near: decided)])
            m.restore(part.id)
        assert m._must(whole.id).wins == 3


def test_a_merge_in_a_draft_whose_text_a_part_has_leaves_that_part() -> None:
    with memory() as m:
        m.insert(PARTS[0])
        settled(m, PARTS[1], verdict("merge", 1, text=PARTS[1]))
        assert live(m) == [PARTS[1]]


@pytest.mark.parametrize("decision", ["update", "merge"])
def test_what_another_item_says_already_is_not_inserted_and_the_parts_go_in_its_favour(decision: str) -> None:
    with memory() as m:
        old = m.insert("Anna lives in Oslo")
        other = m.insert("Anna lives by the harbour, in Oslo")
        reply = verdict(decision, 2, text=other.text)
        found = settled(m, "Anna lives by the harbour", reply, policy=Reconcile(similar=0.1))
        (item,) = m.list()
        assert (item.id, item.links) == (other.id, (old.id, found[-1].id))


@pytest.mark.parametrize("decision", ["update", "merge"])
@pytest.mark.parametrize(
    ("status", "left"), [("quarantined", ["Anna lives by the harbour", "Anna lives in Oslo"]), ("forgotten", [None])]
)
def test_a_text_that_is_held_back_or_forgotten_leaves_something_live(
    decision: str, status: str, left: list[str | None]
) -> None:
    whole = "Anna lives in Oslo, by the harbour"
    with memory() as m:
        m.insert("Anna lives in Oslo")
        held = m.insert(whole)
        m.quarantine(held.id) if status == "quarantined" else m.forget(held.id)
        settled(m, "Anna lives by the harbour", verdict(decision, 1, text=whole))
        assert live(m) == [text or whole for text in left]


def test_nothing_goes_in_favour_of_the_same_text_from_a_source_that_is_trusted_less() -> None:
    with memory() as m:
        m.insert("Anna lives in Oslo")
        web = m.insert("Anna lives by the harbour, in Oslo", source="web")
        found = settled(
            m, "Anna lives by the harbour", verdict("merge", 2, text=web.text), policy=Reconcile(similar=0.1)
        )
        assert [op.reason.partition("(")[2] for op in found] == ["what says all of it is trusted less: both are kept)"]


def test_nothing_goes_in_favour_of_what_an_earlier_decision_forgot() -> None:
    def decided(item: Item, near: Sequence[Item]) -> Verdict:
        if item.text == PARTS[1]:
            return Verdict(decision="none", about=[1])
        return Verdict(decision="merge", about=[1], text=PARTS[1])

    with memory() as m:
        texts = [PARTS[0], PARTS[1], "Anna works at a bakery in Oslo"]
        m.insert(texts, created_at=[NOW, NOW + 1, NOW + 2])
        m.sweep([Reconcile(similar=0.3, rule=decided)])
        assert live(m) == [texts[0], texts[2]]


def test_a_text_that_shows_nothing_takes_the_place_of_nothing() -> None:
    with memory() as m:
        m.insert("it is")
        (op,) = settled(m, "is it", verdict("update", 1, text="\u200b"), policy=Reconcile(similar=-1))
        assert "leaves out what they say" in op.reason


def same_head(new: Item, near: Sequence[Item]) -> Verdict:
    about = [n for n, item in enumerate(near, 1) if item.text.split()[0] == new.text.split()[0]]
    return Verdict(decision="supersede" if about else "add", about=about, reason="same head")


def test_a_rule_decides_in_the_place_of_a_model() -> None:
    with memory() as m:
        m.insert(["Anna lives in Oslo", "Ben lives in Oslo"])
        settled(m, "Anna lives in Rome", policy=Reconcile(similar=0.2, rule=same_head))
        assert live(m) == ["Anna lives in Rome", "Ben lives in Oslo"]


# --- what is looked at


def test_the_model_is_shown_the_new_one_and_its_neighbours_nearest_first_as_data() -> None:
    with memory() as m:
        m.insert(["Anna lives in Oslo", "Anna lives in Rome now", "The mast broke"])
        model = ScriptedModel([verdict("add")])
        with m.draft() as draft:
            draft.insert("Anna lives in Rome")
            ops(Reconcile(similar=0.3), moment(draft, model), TOLD)
        assert str(model.requests[0].messages[1]["content"]) == (
            "The new memory:\n```fact from user\nAnna lives in Rome\n```\n\nOlder ones:\n"
            "[1]\n```fact from user\nAnna lives in Rome now\n```\n[2]\n```fact from user\nAnna lives in Oslo\n```"
        )


def test_no_more_than_k_neighbours_of_the_same_kind_are_shown_and_without_any_nobody_is_asked() -> None:
    with memory() as m:
        m.insert([f"Anna lives in Oslo {n}" for n in range(9)])
        m.insert("Anna lives in Oslo", kind="lesson")
        model = ScriptedModel([verdict("add")])
        with m.draft() as draft:
            draft.insert(["Anna lives in Oslo", "something else entirely"])
            (op,) = ops(Reconcile(k=3, similar=0.5), moment(draft, model), TOLD)
        assert len(op.to) == 3


def test_what_is_new_together_is_settled_among_itself_and_each_pair_once() -> None:
    with memory() as m, m.draft() as draft:
        draft.insert("Anna lives in Oslo", created_at=NOW - 1)
        draft.insert("Anna lives in Rome")
        found = ops(Reconcile(similar=0.3), moment(draft, [verdict("supersede", 1)]), TOLD)
        draft.apply(found)
        assert [item.text for item in draft.list()] == ["Anna lives in Rome"]


def test_an_insert_that_was_not_needed_is_not_settled() -> None:
    async def say(state: State, experience: Experience) -> list[Extract]:
        return [Extract("Anna lives in Oslo")]

    with memory() as m:
        m.insert(["Anna lives in Oslo", "Anna lives in Rome"])
        with m.draft() as draft:
            draft.apply(ops(Insert(say, kind="fact"), moment(draft), TOLD))
            assert ops(Reconcile(similar=0.3), moment(draft, []), TOLD) == []


def test_in_a_sweep_every_item_that_passes_is_settled_with_the_older_ones() -> None:
    with memory() as m:
        for n, city in enumerate(["Oslo", "Rome", "Bern"]):
            m.insert(f"Anna lives in {city}", created_at=NOW + n, metadata={"about": "Anna"})
        m.insert(["Ben lives in Rome", "Ben lives in Bern"])
        m.sweep([Reconcile(similar=0.3, where={"about": "Anna"}, rule=same_head)])
        assert live(m) == ["Anna lives in Bern", "Ben lives in Bern", "Ben lives in Rome"]


def test_what_was_added_is_not_asked_about_again_until_one_of_the_two_is_edited() -> None:
    asked: list[str] = []

    def differ(new: Item, near: Sequence[Item]) -> Verdict:
        asked.append(new.text)
        return Verdict(decision="add", reason="they differ")

    reconcile = Reconcile(similar=0.3, rule=differ)
    with Memory.open(":memory:", embedder="hash", clock=itertools.count(NOW).__next__) as m:
        tea = m.insert("the tea is in the left drawer of the kitchen")
        jam = m.insert("the jam is in the left drawer of the kitchen")
        assert [m.sweep([reconcile]).ops[0].to, m.sweep([reconcile]).ops] == [(tea.id,), ()]
        assert asked == [jam.text]
        m.edit(tea.id, "the tea is in the right drawer of the kitchen")
        m.sweep([reconcile])
        assert asked == [jam.text] * 2
        m.edit(jam.id, "the jam is in the right drawer of the kitchen")
        m.sweep([reconcile])
        m.sweep([reconcile])
        assert len(asked) == 3
        ham = m.insert("the ham is in the right drawer of the kitchen")
        m.sweep([reconcile])
        assert asked[3:] == [ham.text], "another neighbour changes nothing between these two"


def test_why_two_stay_is_journaled_of_those_that_were_linked_already() -> None:
    with memory() as m:
        tea = m.insert("the tea is in the left drawer of the kitchen")
        jam = m.insert("the jam is in the left drawer of the kitchen")
        m.link(jam.id, tea.id)
        m.sweep([Reconcile(similar=0.3, rule=lambda new, near: Verdict(decision="add", reason="they differ"))])
        told = m.history(jam.id)[-1]
        assert isinstance(told, Change)
        assert (told.verb, told.reason, told.to) == ("link", "add: they differ", (tea.id,))


def test_after_a_cycle_that_inserted_nothing_nobody_is_asked() -> None:
    with memory() as m:
        m.insert(["Anna lives in Oslo", "Anna lives in Rome"])
        assert ops(Reconcile(similar=0.3), moment(m, []), TOLD) == []


def test_a_dry_run_says_what_would_be_decided() -> None:
    with memory() as m:
        m.insert("Anna lives in Oslo", created_at=NOW - 1)
        m.insert("Anna lives in Rome")
        swept = m.sweep([Reconcile(similar=0.3)], model=ScriptedModel([verdict("supersede", 1)]), dry_run=True)
        assert [op.verb for op in swept.ops] == ["forget", "link"]
        assert len(m.list()) == 2


# --- what is never done


@pytest.mark.parametrize("decision", ["supersede", "update", "merge"])
def test_a_pinned_item_is_never_changed(decision: str) -> None:
    with memory() as m:
        m.insert("Anna lives in Oslo", pinned=True)
        (op,) = settled(m, "Anna lives in Rome", verdict(decision, 1, text="Anna moved"))
        assert op.verb == "link"
        assert op.reason.endswith("is pinned: both are kept)")
        assert live(m) == ["Anna lives in Oslo", "Anna lives in Rome"]


@pytest.mark.parametrize("decision", ["supersede", "update", "merge"])
def test_a_more_trusted_item_is_never_changed_by_a_less_trusted_one(decision: str) -> None:
    with memory() as m:
        m.insert("Anna lives in Oslo")
        (op,) = settled(m, "Anna lives in Rome", verdict(decision, 1, text="Anna moved"), source="web")
        assert "is trusted more" in op.reason
        assert len(live(m)) == 2


@pytest.mark.parametrize("decision", ["none", "update", "merge"])
def test_a_more_trusted_new_item_does_not_go_in_favour_of_a_less_trusted_one(decision: str) -> None:
    with memory() as m:
        m.insert("Anna lives in Oslo", source="web")
        (op,) = settled(m, "Anna is living in Oslo", verdict(decision, 1, text="Anna: Oslo"))
        assert "the new one is trusted more" in op.reason
        assert len(live(m)) == 2


def test_a_new_item_that_is_pinned_stays() -> None:
    with memory() as m:
        m.insert("Anna lives in Oslo")
        (op,) = settled(m, "Anna is living in Oslo", verdict("none", 1), pinned=True)
        assert "the new one is pinned" in op.reason


@pytest.mark.parametrize(
    ("backed", "against", "stays"), [(["1", "2"], ["3"], True), (["1", "2"], ["3", "4"], False), (["1"], ["2"], False)]
)
def test_a_rule_from_one_source_does_not_supersede_one_backed_by_many(
    backed: list[str], against: list[str], stays: bool
) -> None:
    with memory() as m:
        m.insert("If it rains, stay in", kind="lesson", derived_from=backed)
        settled(m, "If it rains, go out", verdict("supersede", 1), kind="lesson", derived_from=against)
        assert ("If it rains, stay in" in live(m, "lesson")) is stays


def test_uses_that_helped_back_a_rule_and_items_merely_used_do_not() -> None:
    with memory() as m:
        used = m.insert(["some fact", "some other fact"])
        backed = m.insert("If it rains, stay in", kind="lesson", derived_from=["1"])
        m.reinforce(backed.id, wins=2)
        fields: dict[str, Any] = {"kind": "lesson", "derived_from": ["2", *(item.id for item in used)]}
        (op,) = settled(m, "If it rains, go out", verdict("supersede", 1), **fields)
        assert "rests on more" in op.reason


@pytest.mark.parametrize(
    ("reply", "says"),
    [
        (verdict("supersede", 7), "names none of them"),
        (verdict("none"), "names none of them"),
        (verdict("merge", 1), "leaves out what they say"),
        (verdict("update", 1, text="The new memory:"), "leaves out what they say"),
    ],
)
def test_a_decision_that_cannot_be_carried_out_counts_as_add(reply: str, says: str) -> None:
    with memory() as m:
        m.insert("Anna lives in Oslo")
        (op,) = settled(m, "Anna lives in Rome", reply)
        assert says in op.reason
        assert len(live(m)) == 2


def test_replies_that_cannot_be_read_count_as_add_and_are_recorded() -> None:
    with memory() as m:
        old = m.insert("Anna lives in Oslo")
        settled(m, "Anna lives in Rome", "hm", "well")
        assert len(live(m)) == 2
        (record,) = m.list(status="quarantined", kind="note")
        about = record.metadata["failed_reconciliation"]
        assert isinstance(about, dict)
        assert isinstance(about["ids"], list)
        assert (about["ids"][1], about["reply"]) == (old.id, "well")


@pytest.mark.parametrize("decision", ["update", "merge"])
def test_a_text_too_long_for_an_item_counts_as_add_and_is_recorded(decision: str) -> None:
    with memory() as m:
        m.insert("Anna lives in Oslo")
        settled(m, "Anna lives in Rome", verdict(decision, 1, text="Anna lives in Oslo and Rome " * 40_000))
        assert live(m) == ["Anna lives in Oslo", "Anna lives in Rome"]
        (record,) = m.list(status="quarantined", kind="note")
        assert "a text of 1,120,000 characters is too long" in record.text


def test_what_one_decision_held_back_takes_no_part_in_the_next() -> None:
    with memory() as m:
        oslo = m.insert("Anna lives in Oslo", created_at=NOW)
        m.insert("Anna lives in Rome", created_at=NOW + 1)
        m.insert("Anna lives in Oslo, by the sea", created_at=NOW + 2, derived_from=[oslo.id])
        m.insert("Anna lives in a flat in Rome", created_at=NOW + 3)
        model = ScriptedModel([verdict("supersede", 1), verdict("add")])
        m.sweep([Reconcile(similar=0.2)], model=model)
        assert "sea" not in str(model.requests[1].messages)
        assert live(m) == ["Anna lives in Rome", "Anna lives in a flat in Rome"]


def test_what_one_decision_forgot_takes_no_part_in_the_next() -> None:
    with memory() as m, m.draft() as draft:
        for n, city in enumerate(["Oslo", "Rome", "Bern"]):
            draft.insert(f"Anna lives in {city}", created_at=NOW + n)
        model = ScriptedModel([verdict("supersede", 1), verdict("add")])
        found = ops(Reconcile(similar=0.3), moment(draft, model), TOLD)
        assert "Oslo" not in str(model.requests[1].messages)
        assert [op.verb for op in found] == ["forget", "link", "link"]


def test_a_model_that_fails_on_the_way_does_not_take_back_what_was_decided_before() -> None:
    with memory() as m, m.draft() as draft:
        for n, city in enumerate(["Oslo", "Rome", "Bern"]):
            draft.insert(f"Anna lives in {city}", created_at=NOW + n)
        replies: list[Any] = [verdict("supersede", 1), ModelUnavailable("down")]
        assert [op.verb for op in ops(Reconcile(similar=0.3), moment(draft, replies), TOLD)] == ["forget", "link"]
        with pytest.raises(ModelUnavailable):
            ops(Reconcile(similar=0.3), moment(draft, [ModelUnavailable("down")]), TOLD)


def test_policies_after_it_see_what_it_decided() -> None:
    with memory() as m:
        m.insert("Anna lives in Oslo", created_at=NOW - 1)
        rome = m.insert("Anna lives in Rome")

        async def left(state: State, experiences: list[Experience]) -> list[Op]:
            assert [item.id for item in await state.memory.alist()] == [rome.id]
            assert isinstance(state.memory, Draft)
            return []

        m.sweep([Reconcile(similar=0.3), left], model=ScriptedModel([verdict("supersede", 1)]))


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"k": 0}, "k is 0"),
        ({"similar": 2}, "similar is 2"),
        ({"rule": "contradict"}, "rule is 'contradict'"),
        ({"kinds": ["facts"]}, "unknown kind"),
        ({"where": {"$colour": 1}}, "where: unknown field"),
    ],
)
def test_a_policy_that_makes_no_sense_is_refused_when_it_is_made(fields: Any, says: str) -> None:
    with pytest.raises(Misuse, match=says):
        Reconcile(**fields)
