"""Drafts: memory as it would be, unseen until it is committed, once."""

from __future__ import annotations

import contextlib
import random
import sqlite3
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from word_vectors import WordVectors, export_lines, open_memory

from agentevo.errors import Misuse
from agentevo.memory import Draft, Memory
from agentevo.memory.recall import Mode
from agentevo.types import Item, Json, Op, Verb

WORDS = ["refund", "invoice", "signature", "billing", "owner", "team", "limit", "policy", "north", "south", "approve"]


RARER = [*WORDS, *(f"{word}{n}" for n in range(25) for word in WORDS)]
OFTEN = [1 / (n + 3) for n in range(len(RARER))]  # as words are in any language: few are common, most are rare


def sentence(dice: random.Random) -> str:
    return " ".join(dice.choices(RARER, OFTEN, k=dice.randint(3, 12)))


def change(draft: Draft, dice: random.Random, ids: list[str]) -> None:
    """Make one random change that a draft can hold."""
    name, verb = dice.choice(ids), dice.randrange(8)
    live = draft._must(name).status == "live"
    if verb < 3:
        ids.append(draft.insert(sentence(dice), metadata={"n": dice.randrange(3)}).id)
    elif verb == 3 and live:
        draft.apply([Op(verb="edit", id=name, changes={"text": sentence(dice)})])
    elif verb == 4:
        draft.apply([Op(verb="forget", id=name)])
    elif verb == 5 and live:
        ids.append(draft.supersede(name, sentence(dice)).id)
    elif verb == 6:
        draft.reinforce(name, wins=1, key=f"attempt {dice.randrange(3)}")
    else:
        draft.apply([Op(verb="restore", id=name)])


def reads(memory: Memory | Draft, mode: str) -> list[list[str]]:
    dice = random.Random(3)
    queries = [sentence(dice) for _ in range(15)]
    return [[hit.item.text for hit in memory.recall(query, 10, mode=mode, now=1e9)] for query in queries]  # type: ignore[arg-type]


@pytest.mark.parametrize("nested", [False, True])
def test_reads_of_a_draft_are_reads_after_its_commit(nested: bool) -> None:
    """To the last bit by vector; by words the draft counts with the frequencies from before (it changes a 13th)."""
    overlaps: dict[str, list[float]] = {"bm25": [], "hybrid": []}
    for seed in range(4):
        dice = random.Random(seed)
        with open_memory(":memory:", clock=lambda: 1e9) as memory:
            ids = [item.id for item in memory.insert([sentence(dice) for _ in range(400)])]
            with memory.draft() as outer:
                draft = outer.draft() if nested else outer
                for _ in range(30):
                    change(draft, dice, ids)
                before = {mode: reads(draft, mode) for mode in ("vector", *overlaps)}
                items = {item.id: item for item in draft.list(status=None)}
                if nested:
                    draft.commit()
                    assert {item.id: item for item in outer.list(status=None)} == items
                assert outer.commit().skipped == ()
            assert {item.id: item for item in memory.list(status=None)} == items
            assert reads(memory, "vector") == before["vector"]
            for mode, found in overlaps.items():
                for old, new in zip(before[mode], reads(memory, mode), strict=True):
                    found.append(len(set(old) & set(new)) / max(1, len(new)))
            assert memory.verify().ok
    means = {mode: sum(found) / len(found) for mode, found in overlaps.items()}
    assert min(means.values()) >= 0.95, means


def test_a_draft_moves_nobody_elses_ranking_and_a_rejected_one_leaves_nothing(tmp_path: Path) -> None:
    dice = random.Random(1)
    with open_memory(tmp_path / "m") as memory:
        memory.insert([sentence(dice) for _ in range(80)])
        exported, read = export_lines(memory), {mode: reads(memory, mode) for mode in ("vector", "bm25", "hybrid")}
        with memory.draft() as draft, draft.draft() as inner:
            for _ in range(20):
                draft.insert(sentence(dice) + " refund refund")
                inner.insert(sentence(dice) + " refund refund")
            assert {mode: reads(memory, mode) for mode in read} == read
            inner.commit()
        with pytest.raises(Misuse, match="closed"):
            draft.insert("too late")
        with pytest.raises(Misuse, match="closed"):
            draft.commit()
        assert export_lines(memory) == exported


def test_a_key_commits_once() -> None:
    with open_memory(":memory:") as memory:
        item = memory.insert("counted")
        done = []
        for _ in range(3):
            with memory.draft() as draft:
                draft.reinforce(item.id)
                done.append(draft.commit(key="turn 1"))
        assert done[0] == done[1] == done[2]
        assert memory.get(item.id).uses == 1  # type: ignore[union-attr]
        with memory.draft() as outer:
            for _ in range(3):
                inner = outer.draft()
                inner.reinforce(item.id)
                inner.commit(key="part")
            outer.commit(key="turn 2")
        assert memory.get(item.id).uses == 2  # type: ignore[union-attr]


def test_a_key_commits_once_from_two_processes(tmp_path: Path) -> None:
    with open_memory(tmp_path / "m") as memory:
        item = memory.insert("counted")
    code = f"""
import sys; sys.path.insert(0, {str(Path(__file__).parent)!r})
from word_vectors import open_memory
memory = open_memory(sys.argv[1])
input()
for n in range(20):
    with memory.draft() as draft:
        draft.reinforce(sys.argv[2])
        print(draft.commit(key=f"turn {{n}}").id)
"""
    arguments = [sys.executable, "-c", code, str(tmp_path / "m"), item.id]
    processes = [
        subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(2)
    ]
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    said = [process.communicate()[0].split() for process in processes]
    assert said[0] == said[1]
    with open_memory(tmp_path / "m") as memory:
        assert memory.get(item.id).uses == 20  # type: ignore[union-attr]


def test_a_change_to_what_changed_meanwhile_is_skipped_and_reported() -> None:
    with open_memory(":memory:") as memory:
        names = ["edited", "forgotten", "reinforced", "untouched", "counted first"]
        edited, forgotten, reinforced, untouched, counted = (memory.insert(name).id for name in names)
        with memory.draft() as draft:
            for name in (edited, forgotten, untouched):
                draft.edit(name, metadata={"by": "draft"})
            draft.pin(reinforced)
            draft.reinforce(counted)
            draft.forget(counted)
            draft.insert("new in the draft")
            memory.edit(edited, "edited by another")
            memory.forget(forgotten)
            memory.reinforce(reinforced)
            memory.edit(counted, "counted first, then edited by another")
            done = draft.commit()
        assert set(done.skipped) == {edited, forgotten, counted}
        assert memory.get(edited).text == "edited by another"  # type: ignore[union-attr]
        assert memory.get(counted).status == "live"  # type: ignore[union-attr]
        assert memory.get(untouched).metadata == {"by": "draft"}  # type: ignore[union-attr]
        assert (memory.get(reinforced).pinned, memory.get(reinforced).uses) == (True, 1)  # type: ignore[union-attr]
        assert "new in the draft" in {item.text for item in memory.list()}


def test_two_nested_drafts_do_not_overwrite_each_other() -> None:
    with open_memory(":memory:") as memory:
        item = memory.insert("shared")
        with memory.draft() as outer:
            one, other = outer.draft(), outer.draft()
            one.edit(item.id, metadata={"by": "one"})
            other.edit(item.id, metadata={"by": "other"})
            assert one.commit().skipped == ()
            assert other.commit().skipped == (item.id,)
            assert outer.commit().skipped == ()
        assert memory.get(item.id).metadata == {"by": "one"}  # type: ignore[union-attr]


def test_a_draft_and_the_draft_below_it_keep_their_items_apart() -> None:
    with open_memory(":memory:") as memory, memory.draft() as outer:
        outer.insert("first in the outer")
        inner = outer.draft()
        inner.insert("in the inner")
        outer.insert("second in the outer")
        inner.insert("again in the inner")
        assert len(inner.list()) == len(inner.recall("outer inner", 9)) == 4
        inner.commit()
        assert len(outer.commit().items) == 4
        assert len(memory.list()) == 4


def test_a_text_said_by_another_meanwhile_is_one_item_with_all_that_the_draft_did_to_it() -> None:
    with open_memory(":memory:") as memory:
        with memory.draft() as draft:
            mine = draft.insert("said by both")
            draft.pin(mine.id)
            draft.edit(mine.id, "said by both, and then corrected")
            theirs = memory.insert("said by both")
            done = draft.commit()
        assert done.items == (theirs.id,)
        assert [(item.text, item.pinned) for item in memory.list()] == [("said by both, and then corrected", True)]
        found = memory.recall("said by both, and then corrected", mode="vector")[0]
        assert found.score == pytest.approx(1.0, abs=1e-5)
        assert memory.verify().ok


def resting(to: Draft, on: str) -> list[Item]:
    """Insert what is derived from an item, what is derived from that, and what is linked to it before and after."""
    child = to.insert("concluded from it", kind="lesson", derived_from=[on])
    further = to.insert("concluded further", kind="lesson", derived_from=[child.id])
    linked, later = to.insert("beside it", links=[on]), to.insert("joined to it")
    to.link(later.id, on)
    return [child, further, linked, later]


def drafted(memory: Memory, how: str) -> tuple[Draft, str, list[Item]]:
    """Insert a text in a draft, and what rests on it; it is not committed yet."""
    outer = memory.draft("kept" if how == "kept" else None)
    to = outer.draft() if how == "nested" else outer
    said = to.insert("fee 2" if how != "superseded" else "fee 1")
    if how == "superseded":
        said = to.supersede(said.id, "fee 2")
    made = resting(to, said.id)
    if how == "nested":
        to.commit()
    return outer, said.id, made


@pytest.mark.parametrize("how", ["plain", "nested", "superseded", "kept"])
@pytest.mark.parametrize("trusted", ["user", "web"])
def test_what_rests_on_a_text_that_another_said_meanwhile_rests_on_that_one(how: str, trusted: str) -> None:
    with open_memory(":memory:") as memory:
        draft, said, (child, further, linked, later) = drafted(memory, how)
        theirs = memory.insert("fee 2", source=trusted)
        draft = memory.draft("kept") if how == "kept" else draft
        draft.commit()
        assert memory.get(said) is None
        assert memory._must(child.id).derived_from == (theirs.id,)
        assert memory._must(linked.id).links == memory._must(later.id).links == (theirs.id,)
        assert {memory._must(one.id).trust for one in (child, further)} == {theirs.trust}
        memory.edit(theirs.id, "fee 3")
        assert {item.id for item in memory.list(status="quarantined")} == {child.id, further.id}
        memory.purge(theirs.id)
        assert memory.verify().ok


def test_what_rests_on_a_text_that_an_outer_draft_has_rests_on_that_one_before_the_commit_as_after() -> None:
    with open_memory(":memory:") as memory, memory.draft() as outer:
        inner = outer.draft()
        mine = inner.insert("fee 2")
        theirs = outer.insert("fee 2", source="web")
        made = resting(inner, mine.id)
        inner.commit()
        with outer.draft() as another:
            last = another.insert("concluded last", derived_from=[mine.id, made[1].id])
            assert another._must(last.id).derived_from == (theirs.id, made[1].id)
            another.commit()
        items = {item.id: item for item in outer.list(status=None)}
        assert {name: item.derived_from for name, item in items.items() if item.derived_from} == {
            made[0].id: (theirs.id,),
            made[1].id: (made[0].id,),
            last.id: (theirs.id, made[1].id),
        }
        assert [items[one.id].trust for one in (*made[:2], last)] == [0.2] * 3
        outer.commit()
        assert {item.id: item for item in memory.list(status=None)} == items
        memory.undo()
        assert memory.list() == []


def test_a_text_said_by_another_meanwhile_and_said_better_in_the_draft_is_not_doubted() -> None:
    with open_memory(":memory:") as memory:
        draft = memory.draft()
        mine = draft.insert("fee 2")
        child = draft.insert("concluded from it", derived_from=[mine.id])
        better = Item(id="better", text="fee 2 by night", created_at=0.0, derived_from=(mine.id,))
        draft.apply([Op(verb="supersede", id=mine.id, item=better)])
        theirs = memory.insert("fee 2")
        draft.commit()
        assert [memory._must(name).status for name in (child.id, "better")] == ["live", "live"]
        assert (memory._must("better").derived_from, memory._must("better").supersedes) == ((theirs.id,), theirs.id)


# --- drafts that are kept


def test_a_kept_draft_goes_on_where_it_was_and_its_name_serves_again(tmp_path: Path) -> None:
    with open_memory(tmp_path / "m") as memory:
        kept = memory.insert("committed before")
        memory.draft("nightly").insert("first night")
    with open_memory(tmp_path / "m") as memory:
        draft = memory.draft("nightly")
        draft.edit(kept.id, "changed in the draft")
        assert {item.text for item in draft.list()} == {"first night", "changed in the draft"}
        assert {item.text for item in memory.list()} == {"committed before"}
    with open_memory(tmp_path / "m") as memory:
        memory.draft("nightly").commit()
        assert {item.text for item in memory.list()} == {"first night", "changed in the draft"}
        second = memory.draft("nightly")
        second.insert("second night")
        second.commit()
        assert "second night" in {item.text for item in memory.list()}
        memory.draft("nightly").insert("thrown away")
        memory.draft("nightly").discard()  # type: ignore[attr-defined]
        assert memory.draft("nightly").ops == ()


def test_a_kept_draft_still_skips_what_changed_since_it_began(tmp_path: Path) -> None:
    with open_memory(tmp_path / "m") as memory:
        item = memory.insert("as it was")
        memory.draft("long").edit(item.id, "as the draft wants it")
    with open_memory(tmp_path / "m") as memory:
        memory.edit(item.id, "as another wants it")
    with open_memory(tmp_path / "m") as memory:
        assert memory.draft("long").commit().skipped == (item.id,)
        assert memory.get(item.id).text == "as another wants it"  # type: ignore[union-attr]


def test_a_kept_draft_committed_again_after_a_crash_in_between_changes_nothing(tmp_path: Path) -> None:
    with open_memory(tmp_path / "m") as memory:
        item = memory.insert("counted")
        draft = memory.draft("once")
        draft.reinforce(item.id)
        Draft.commit(draft, key=draft._key)  # type: ignore[attr-defined] # the crash: its rows are not cleared
    with open_memory(tmp_path / "m") as memory:
        memory.draft("once").commit()
        assert memory.get(item.id).uses == 1  # type: ignore[union-attr]
        assert memory.draft("once").ops == ()


def test_a_draft_without_a_name_vanishes_with_its_process(tmp_path: Path) -> None:
    with open_memory(tmp_path / "m") as memory:
        memory.insert("before")
        exported = export_lines(memory)
        memory.draft().insert("never committed")
    with open_memory(tmp_path / "m") as memory:
        assert export_lines(memory) == exported


@settings(max_examples=20)
@given(seed=st.integers(0, 10**6), count=st.integers(1, 25))
def test_a_kept_draft_reads_the_same_when_it_is_opened_again(seed: int, count: int) -> None:
    dice = random.Random(seed)
    with open_memory(":memory:", clock=lambda: 1e9) as memory:
        ids = [item.id for item in memory.insert([sentence(dice) for _ in range(10)])]
        draft = memory.draft("d")
        for _ in range(count):
            change(draft, dice, ids)
        again = memory.draft("d")
        assert (again.ops, again.list(status=None)) == (draft.ops, draft.list(status=None))
        assert reads(again, "hybrid") == reads(draft, "hybrid")


def test_what_is_new_in_a_draft_is_still_found_by_its_vector_where_a_draft_over_it_changes_it() -> None:
    with open_memory(":memory:") as memory, memory.draft() as outer:
        item = outer.insert("the mast broke")
        with outer.draft() as inner:
            inner.pin(item.id)
            assert [hit.item.id for hit in inner.recall("the mast broke", mode="vector")] == [item.id]


def test_what_a_draft_forgets_edits_and_restores_is_found_by_what_it_says_now() -> None:
    with open_memory(":memory:") as memory:
        id_ = memory.insert("the mast broke").id
        memory.insert("an invoice is due")
        draft = memory.draft()
        draft.forget(id_)
        assert draft.recall("mast", mode="bm25") == []
        draft.edit(id_, "the kettle broke")
        draft.restore(id_)
        for mode in ("vector", "bm25"):
            assert draft.recall("kettle", 1, mode=mode)[0].item.id == id_
        assert draft.recall("mast", mode="bm25") == []


def test_a_key_commits_once_through_drafts_of_drafts(tmp_path: Path) -> None:
    def counted(memory: Memory, *, inner: bool, outer: str | None = None) -> None:
        around = memory.draft(outer) if inner else memory
        draft = around.draft()
        draft.reinforce(memory.list()[0].id, wins=1)
        draft.commit(key="turn")
        if isinstance(around, Draft) and outer is None:
            around.commit()

    with open_memory(tmp_path / "m") as memory:
        item = memory.insert("used once")
        for inner, outer in ((True, "kept"), (True, "kept")):
            counted(memory, inner=inner, outer=outer)  # the outer draft is left on the disk, as by a crash
        assert len(memory.draft("kept").ops) == 1
        memory.draft("kept").commit()
        for inner in (True, False):
            counted(memory, inner=inner)
        assert memory._must(item.id).wins == 1
        assert memory.verify().ok


def test_a_key_committed_elsewhere_meanwhile_stops_the_draft_that_took_it_in() -> None:
    with open_memory(":memory:") as memory:
        outer = memory.draft()
        inner = outer.draft()
        inner.insert("from the inner draft")
        inner.commit(key="turn")
        other = memory.draft()
        other.insert("from another")
        other.commit(key="turn")
        with pytest.raises(Misuse, match="'turn' was committed elsewhere"):
            outer.commit()
        assert [item.text for item in memory.list()] == ["from another"]


@pytest.mark.parametrize("name", [None, "nightly"])
def test_the_key_of_what_was_committed_into_a_draft_is_not_that_of_the_whole(tmp_path: Path, name: str | None) -> None:
    with open_memory(tmp_path / "m") as memory:
        outer = memory.draft(name)
        inner = outer.draft()
        inner.insert("from the inner draft")
        inner.commit(key="turn")
        with pytest.raises(Misuse, match="'turn' is the key of what was committed into this draft"):
            outer.commit(key="turn")
        outer.commit(key="day")
        assert [item.text for item in memory.list()] == ["from the inner draft"]


def test_two_that_go_on_with_one_kept_draft_lose_nothing(tmp_path: Path) -> None:
    with open_memory(tmp_path / "m") as memory, open_memory(tmp_path / "m") as other:
        memory.draft("nightly").insert("first")
        here, there = memory.draft("nightly"), other.draft("nightly")
        there.insert("second")
        with pytest.raises(Misuse, match="'nightly' was changed"):
            here.commit()
        with pytest.raises(Misuse, match="'nightly' was changed"):
            here.insert("third")
        with pytest.raises(Misuse, match="closed"):
            here.insert("fourth")
        done = there.commit()
        assert len(done.items) == 2
        assert {item.text for item in memory.list()} == {"first", "second"}


def test_a_kept_draft_committed_twice_leaves_what_was_begun_under_its_name_since(tmp_path: Path) -> None:
    with open_memory(tmp_path / "m") as memory:
        memory.draft("nightly").insert("first")
        here, there = memory.draft("nightly"), memory.draft("nightly")
        done = there.commit()
        memory.draft("nightly").insert("of the next night")
        assert here.commit().id == done.id
        assert len(memory.draft("nightly").ops) == 1


def test_a_kept_draft_committed_with_last_changes_is_gone_from_the_disk(tmp_path: Path) -> None:
    with open_memory(tmp_path / "m") as memory:
        item = memory.insert("goes")
        draft = memory.draft("nightly")
        draft.reinforce(item.id)
        draft.commit_with([Op(verb="forget", id=item.id)])
        assert memory.draft("nightly").ops == ()
        assert (memory._must(item.id).status, memory._must(item.id).uses) == ("forgotten", 1)


def test_what_was_to_take_the_place_of_something_changed_meanwhile_is_not_missed() -> None:
    with open_memory(":memory:") as memory:
        old = memory.insert("old")
        draft = memory.draft()
        new = draft.supersede(old.id, "new")
        derived = draft.insert("derived", derived_from=(new.id,))
        draft.pin(new.id)
        memory.edit(old.id, "changed meanwhile")
        done = draft.commit()
        assert (done.items, done.skipped) == ((derived.id,), (old.id, new.id))


def test_an_id_that_is_taken_is_refused_in_a_draft_and_skipped_by_a_memory() -> None:
    def named(text: str) -> Op:
        return Op(verb="insert", id="mine", item=Item(id="mine", text=text, created_at=1.0))

    with open_memory(":memory:") as memory:
        late = memory.draft()
        late.apply([named("of the late one")])
        assert memory.apply([named("of the first")]).skipped == ()
        assert memory.apply([named("of the second")]).skipped == ("mine",)
        with pytest.raises(Misuse, match="there is an item 'mine' already"):
            memory.draft().apply([named("of a draft")])
        assert memory.draft().apply([named("of the first")]).items == ("mine",)
        assert late.commit().skipped == ("mine",)
        other = memory.insert("in the way")
        superseding = Op(verb="supersede", id=other.id, item=named("instead").item)
        assert memory.apply([superseding]).skipped == (other.id,)
        assert {item.text for item in memory.list()} == {"of the first", "in the way"}
        assert memory.verify().ok


def test_of_two_that_come_under_one_id_the_first_is_inserted_and_found_by_its_own_vector() -> None:
    with open_memory(":memory:") as memory:
        done = memory.apply([_named("mine", "the sky is blue"), _named("mine", "refunds need a signature")])
        assert (done.skipped, [item.text for item in memory.list()]) == (("mine",), ["the sky is blue"])
        (hit,) = memory.recall("the sky is blue", mode="vector")
        assert hit.score > 0.99


@pytest.mark.parametrize("mode", ["bm25", "hybrid"])
def test_a_draft_of_texts_without_words_is_asked_as_any_other(mode: Mode) -> None:
    with open_memory(":memory:") as memory, memory.draft() as draft:
        shown = draft.insert("😀")
        assert [hit.item.id for hit in draft.recall("refund", mode=mode)] == [shown.id] * (mode == "hybrid")
        draft.commit()
        assert [hit.item.id for hit in memory.recall("refund", mode=mode)] == [shown.id] * (mode == "hybrid")


@pytest.mark.parametrize("meanwhile", ["edit", "purge"])
def test_a_successor_that_was_not_inserted_is_not_reported(meanwhile: str) -> None:
    with open_memory(":memory:") as memory:
        old = memory.insert("the limit was 400")
        with memory.draft() as draft:
            draft.supersede(old.id, "the limit is 500")
            other = draft.insert("beside it")
            memory.edit(old.id, "the limit was 450") if meanwhile == "edit" else memory.purge(old.id)
            done = draft.commit()
        assert (done.items, done.skipped) == ((other.id,), (old.id,))


@pytest.mark.parametrize("nested", [False, True])
def test_a_key_that_undo_would_take_for_its_own_is_refused(nested: bool) -> None:
    with open_memory(":memory:") as memory:
        draft = memory.draft().draft() if nested else memory.draft()
        draft.insert("kept")
        with pytest.raises(Misuse, match=r"key is 'undo:mine'.*another key"):
            draft.commit(key="undo:mine")
        draft.commit(key="mine")


@pytest.mark.parametrize("drafted", [False, True])
@pytest.mark.parametrize(
    ("verb", "changes", "said"),
    [
        ("edit", {"kind": "poem"}, "kind"), ("edit", {"trust": "high"}, "trust"),
        ("edit", {"metadata": [1]}, "metadata"),
        ("reinforce", {"wins": "x"}, "wins.*'x'"), ("reinforce", {"uses": None}, "uses.*None"),
        ("reinforce", {"at": "now"}, "at.*'now'"), ("reinforce", {"losses": True}, "losses.*True"),
    ],
)  # fmt: skip
def test_ops_that_make_no_item_are_refused_and_change_nothing(
    verb: Verb, changes: dict[str, Json], said: str, drafted: bool
) -> None:
    with open_memory(":memory:") as memory:
        item = memory.insert("as it was")
        to = memory.draft() if drafted else memory
        with pytest.raises(Misuse, match=said):
            to.apply([Op(verb="pin", id=item.id), Op(verb=verb, id=item.id, changes=changes)])
        assert memory.get(item.id) == item


def _named(name: str, text: str) -> Op:
    return Op(verb="insert", id=name, item=Item(id=name, text=text, created_at=1.0))


@pytest.mark.parametrize("how", ["plain", "nested", "kept"])
@pytest.mark.parametrize(
    "last",
    [
        Op(verb="pin", id="nobody"), _named("here", "something else"), _named("new", "something else"),
        Op(verb="edit", id="new", changes={"kind": "poem"}), Op(verb="reinforce", id="here", changes={"wins": "x"}),
        Op(verb="supersede", id="here", item=_named("new", "something else").item),
    ],
    ids=["no such item", "taken", "taken by these ops", "no item", "no count", "successor taken"],
)  # fmt: skip
def test_of_ops_that_a_draft_refuses_none_is_carried_out(last: Op, how: str) -> None:
    with open_memory(":memory:") as memory:
        memory.apply([_named("here", "as it was")])
        draft = memory.draft().draft() if how == "nested" else memory.draft("kept" if how == "kept" else None)
        draft.insert("said before")
        before = (draft.list(status="all"), draft.ops)
        with pytest.raises(Misuse):
            draft.apply([_named("new", "said now"), Op(verb="forget", id="here"), last])
        assert (draft.list(status="all"), draft.ops) == before
        draft.commit()
        if how == "nested":
            return
        assert {item.text for item in memory.list()} == {"as it was", "said before"}


def test_an_edit_that_a_draft_refuses_leaves_the_vector_too() -> None:
    with open_memory(":memory:") as memory:
        memory.insert("the river is blue")
        item = memory.insert("cats sleep all day")
        with memory.draft() as draft:
            draft.apply([Op(verb="edit", id=item.id, changes={"text": "the river is blue"})])
            scores = {hit.item.id: hit.score for hit in draft.recall("blue river", mode="vector")}
            draft.commit()
        after = {hit.item.id: hit.score for hit in memory.recall("blue river", mode="vector")}
        assert scores[item.id] == pytest.approx(after[item.id], abs=1e-6)


@pytest.mark.parametrize("is_drafted", [False, True])
def test_an_edit_into_what_was_just_forgotten_has_the_vector_of_its_new_text(is_drafted: bool) -> None:
    with open_memory(":memory:") as memory:
        other = memory.insert("the river is blue")
        item = memory.insert("cats sleep all day")
        made = [Op(verb="forget", id=other.id), Op(verb="edit", id=item.id, changes={"text": "the river is blue"})]
        if is_drafted:
            with memory.draft() as draft:
                draft.apply(made)
                draft.commit()
        else:
            memory.apply(made)
        (hit,) = memory.recall("the river is blue", mode="vector")
        assert (hit.item.id, hit.item.text) == (item.id, "the river is blue")
        assert hit.score == pytest.approx(1, abs=1e-5)


class Other(WordVectors):
    """Another embedder: the same words have other directions."""

    def _direction(self, word: str) -> NDArray[np.float32]:
        return super()._direction("other " + word)


@pytest.mark.parametrize("dimensions", [32, 16])
@pytest.mark.parametrize("name", [None, "nightly"])
@pytest.mark.parametrize("read", [False, True])
def test_a_draft_is_embedded_anew_where_its_memory_was(
    tmp_path: Path, name: str | None, dimensions: int, read: bool
) -> None:
    with open_memory(tmp_path / "m") as memory:
        old = memory.insert("alpha one")
        draft = memory.draft(name)
        draft.insert("gamma three")
        draft.edit(old.id, "delta four")
        inner = draft.draft()
        inner.insert("epsilon five", vectors=[1.0] * 32)
        memory.reindex(Other("other", dimensions, "2"))
        if read:
            assert draft.recall("gamma three", 1, mode="vector")[0].score > 0.99
            assert inner.recall("delta four", 1, mode="vector")[0].score > 0.99
        inner.commit()
        draft.commit()
        for text in ("gamma three", "delta four", "epsilon five"):
            assert memory.recall(text, 1, mode="vector")[0].score > 0.99
        assert memory.verify().ok


class Watching(Other):
    """Another embedder, which sees whether others could write while it embeds."""

    ledger: Path

    async def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        with contextlib.closing(sqlite3.connect(self.ledger, timeout=0, isolation_level=None)) as db:
            db.execute("BEGIN IMMEDIATE")
            db.execute("ROLLBACK")
        return await super().embed(texts)


@pytest.mark.parametrize("nested", [False, True])
def test_a_kept_draft_is_embedded_anew_outside_of_any_transaction(tmp_path: Path, nested: bool) -> None:
    watching = Watching("other", 16, "2")
    watching.ledger = tmp_path / "m" / "ledger.db"
    with open_memory(tmp_path / "m") as memory:
        memory.insert("alpha one")
        kept = memory.draft("nightly")
        kept.insert("gamma three")
        inner = kept.draft()
        inner.insert("epsilon five")
        memory.reindex(watching)
        if nested:
            inner.commit()
        kept.commit()
        assert memory.recall("gamma three", 1, mode="vector")[0].score > 0.99


@pytest.mark.parametrize("dimensions", [32, 16])
def test_a_kept_draft_is_embedded_anew_where_another_process_embedded_its_memory_anew(
    tmp_path: Path, dimensions: int
) -> None:
    other = Other("other", dimensions, "2")
    with open_memory(tmp_path / "m") as memory:
        memory.insert("alpha one")
        memory.draft("nightly").insert("gamma three")
    with open_memory(tmp_path / "m") as memory:
        memory.reindex(other)
    with open_memory(tmp_path / "m", embedder=other) as memory:
        draft = memory.draft("nightly")
        assert draft.recall("gamma three", 1, mode="vector")[0].score > 0.99
        draft.insert("more")
        draft.commit()
        for text in ("gamma three", "more"):
            assert memory.recall(text, 1, mode="vector")[0].score > 0.99


@pytest.mark.parametrize("name", [None, "nightly"])
def test_what_is_said_of_an_item_whose_id_others_took_is_not_said_of_theirs(tmp_path: Path, name: str | None) -> None:
    def mine(text: str) -> Op:
        return Op(verb="insert", id="mine", item=Item(id="mine", namespace="default", text=text, created_at=1.0))

    with open_memory(tmp_path / "m") as memory:
        draft = memory.draft(name)
        draft.apply([mine("from the draft"), Op(verb="pin", id="mine")])
        draft.insert("beside it")
        draft.edit("mine", "as the draft has it")
        draft.forget([draft.insert("gone again").id])
        draft.supersede("mine", "instead of it")
        memory.apply([mine("from others")])
        if name:
            draft = memory.draft(name)  # opened again, as after a crash
            assert {item.text for item in draft.list()} == {"from others", "beside it"}
            draft.pin(draft.insert("said later").id)
        done = draft.commit()
        assert done.skipped == ("mine",)
        here = {item.text: (item.status, item.pinned) for item in memory.list(status="all")}
        later = {"said later": ("live", True)} if name else {}
        assert here == {
            "from others": ("live", False), "beside it": ("live", False), "gone again": ("forgotten", False), **later
        }  # fmt: skip


@pytest.mark.parametrize("name", [None, "nightly"])
def test_what_a_draft_of_a_draft_derived_from_what_the_outer_takes_back_is_doubted(
    tmp_path: Path, name: str | None
) -> None:
    with open_memory(tmp_path / "m") as memory:
        said, held = memory.insert("limit is 500"), memory.insert("fee is 2")
        outer = memory.draft(name)
        outer.edit(held.id, "fee is 3")
        inner = outer.draft()
        doubled = inner.insert("double is 1000", kind="lesson", derived_from=[said.id])
        further = inner.insert("half of it is 500", kind="lesson", derived_from=[doubled.id])
        fine = inner.insert("fees are 3 a day", kind="lesson", derived_from=[held.id])
        outer.edit(said.id, "limit is 900")
        inner.commit()
        assert [outer._must(item.id).status for item in (doubled, further, fine)] == ["quarantined"] * 2 + ["live"]
        outer.commit()
        assert [memory._must(item.id).status for item in (doubled, further, fine)] == ["quarantined"] * 2 + ["live"]
