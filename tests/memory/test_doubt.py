"""What was derived from something that is purged or corrected is doubted, also where it is forgotten at that moment."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from moments import moment, ops
from numpy.typing import NDArray
from word_vectors import WordVectors, export_lines, open_memory

from agentevo.memory import Draft, Memory, Reconcile, Verdict
from agentevo.memory.trust import DOUBTED
from agentevo.protocols import State
from agentevo.types import Experience, Item, Op

Change = Callable[[Memory | Draft, str], object]

CORRECTIONS: dict[str, Change] = {
    "edit": lambda memory, name: memory.edit(name, "the sky is green"),
    "supersede": lambda memory, name: memory.supersede(name, "the sky is green"),
}
CHANGES: dict[str, Change] = {**CORRECTIONS, "purge": lambda memory, name: memory.purge(name)}  # type: ignore[union-attr]


def family(memory: Memory | Draft) -> tuple[str, str, str]:
    """Insert a source, what was derived from it, and what was derived from that; return their ids."""
    source = memory.insert("the sky is blue")
    child = memory.insert("look up on a clear day", kind="lesson", derived_from=[source.id], metadata={"team": "a"})
    grandchild = memory.insert("look at things", kind="lesson", derived_from=[child.id])
    return source.id, child.id, grandchild.id


def status(memory: Memory | Draft, *ids: str) -> list[str]:
    return [item.status if (item := memory.get(name)) else "gone" for name in ids]


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES.keys())
def test_what_is_forgotten_comes_back_into_quarantine_with_the_reason(change: Change) -> None:
    with open_memory(":memory:") as memory:
        source, child, grandchild = family(memory)
        memory.forget([child, grandchild])
        change(memory, source)
        assert status(memory, child, grandchild) == ["forgotten", "forgotten"]
        memory.restore([child, grandchild], reason="wanted back")
        assert status(memory, child, grandchild) == ["quarantined", "quarantined"]
        why = memory.history(child)[-1].reason
        assert why.startswith("wanted back; quarantined: derived from")
        assert source in why
        assert not {child, grandchild} & {hit.item.id for hit in memory.recall("look at a clear day", 10)}


def test_purge_lists_what_is_forgotten_and_what_was_held_already(tmp_path: Path) -> None:
    with open_memory(tmp_path) as memory:
        source, child, grandchild = family(memory)
        other = memory.insert("look down", kind="lesson", derived_from=[source])
        memory.forget(child)
        memory.quarantine(grandchild)
        assert set(memory.purge(source).derived) == {child, grandchild, other.id}
        assert status(memory, child, grandchild, other.id) == ["forgotten", "quarantined", "quarantined"]


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES.keys())
def test_what_was_quarantined_stays_doubtful_when_it_is_forgotten_and_restored(change: Change) -> None:
    with open_memory(":memory:") as memory:
        source, child, _ = family(memory)
        change(memory, source)
        memory.forget(child)
        memory.restore(child)
        assert status(memory, child) == ["quarantined"]


def test_release_ends_the_doubt_for_good_and_nothing_else_does() -> None:
    with open_memory(":memory:") as memory:
        source, child, _ = family(memory)
        memory.forget(child)
        memory.edit(source, "the sky is green")
        memory.edit(child, metadata={"team": "b"})
        memory.restore(child)
        assert status(memory, child) == ["quarantined"]
        memory.release(child)
        assert (memory.get(child).status, memory.get(child).metadata) == ("live", {"team": "b"})  # type: ignore[union-attr]
        memory.forget(child)
        memory.restore(child)
        assert status(memory, child) == ["live"]


@pytest.mark.parametrize("change", CORRECTIONS.values(), ids=CORRECTIONS.keys())
def test_undo_of_a_correction_leaves_no_doubt(change: Change) -> None:
    with open_memory(":memory:") as memory:
        source, child, grandchild = family(memory)
        memory.forget(grandchild)
        before = [memory.get(child), memory.get(grandchild)]
        change(memory, source)
        memory.undo()
        assert [memory.get(child), memory.get(grandchild)] == before
        memory.restore(grandchild)
        assert status(memory, grandchild) == ["live"]


def test_undo_of_a_release_brings_the_doubt_back() -> None:
    with open_memory(":memory:") as memory:
        source, child, _ = family(memory)
        memory.edit(source, "the sky is green")
        doubted = memory.get(child)
        memory.release(child)
        memory.undo()
        assert memory.get(child) == doubted


@pytest.mark.parametrize("change", CORRECTIONS.values(), ids=CORRECTIONS.keys())
def test_a_draft_reads_and_commits_the_same(change: Change) -> None:
    with open_memory(":memory:") as memory:
        source, child, grandchild = family(memory)
        memory.forget(grandchild)
        with memory.draft() as draft:
            change(draft, source)
            draft.restore(grandchild)
            drafted = [draft.get(child), draft.get(grandchild)]
            draft.commit()
        assert [memory.get(child), memory.get(grandchild)] == drafted
        assert status(memory, child, grandchild) == ["quarantined", "quarantined"]


def test_a_policy_that_restores_what_is_doubted_gets_it_quarantined() -> None:
    with open_memory(":memory:") as memory:
        source, child, _ = family(memory)
        memory.forget(child)
        memory.edit(source, "the sky is green")
        memory.apply([Op(verb="restore", id=child)])
        assert status(memory, child) == ["quarantined"]


def test_what_only_fades_beside_what_is_found_untrue_puts_nothing_in_doubt() -> None:
    with open_memory(":memory:") as memory:
        faded, untrue, instead = (memory.insert(text) for text in ("faded, but true", "untrue", "what holds instead"))
        memory.insert("made from what faded", kind="lesson", derived_from=[faded.id])
        memory.insert("made from what is untrue", kind="lesson", derived_from=[untrue.id])
        memory.apply([Op(verb="forget", id=faded.id), Op(verb="forget", id=untrue.id, to=(instead.id,))])
        assert [item.status for item in memory.list(status="all", kind="lesson", order="oldest")] == [
            "live",
            "quarantined",
        ]


def test_doubt_travels_with_an_export(tmp_path: Path) -> None:
    with open_memory(tmp_path / "m") as memory, open_memory(tmp_path / "n") as copy:
        source, child, _ = family(memory)
        memory.forget(child)
        memory.edit(source, "the sky is green")
        copy.import_(export_lines(memory))
        copy.restore(child)
        assert status(copy, child) == ["quarantined"]


class Meanwhile(WordVectors):
    """Does something once, the next time a text is embedded: as another process may."""

    def __init__(self) -> None:
        super().__init__()
        self.act: Callable[[], object] | None = None

    async def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        if self.act is not None:
            act, self.act = self.act, None
            act()
        return await super().embed(texts)


@pytest.mark.parametrize("change", CORRECTIONS.values(), ids=CORRECTIONS.keys())
def test_what_is_derived_while_the_correction_is_embedded_is_doubted(tmp_path: Path, change: Change) -> None:
    embedder = Meanwhile()
    with open_memory(tmp_path, embedder=embedder) as memory:
        source, _, grandchild = family(memory)
        late: list[str] = []
        vector = np.ones(embedder.dimensions)
        embedder.act = lambda: late.append(memory.insert("late", derived_from=[grandchild], vectors=vector).id)
        change(memory, source)
        assert status(memory, *late) == ["quarantined"]
        assert memory.get(late[0]).metadata[DOUBTED].startswith(f"derived from {source}")  # type: ignore[union-attr]


def drafted(memory: Memory, how: str, parent: str) -> Draft:
    """Begin a draft in which something is derived from an item, as a slow model would; it is not committed yet."""
    draft = memory.draft("kept" if how == "kept" else None)
    if how == "nested":
        with draft.draft() as inner:
            inner.insert("concluded slowly", derived_from=[parent])
            inner.commit()
    else:
        draft.insert("concluded slowly", derived_from=[parent])
    return draft


@pytest.mark.parametrize(
    ("how", "change"),
    [(how, name) for how in ("plain", "nested", "kept") for name in CHANGES if (how, name) != ("kept", "purge")],
)  # a purge deletes the kept drafts that name what is purged
def test_what_a_draft_derived_from_something_that_changed_meanwhile_is_doubted(how: str, change: str) -> None:
    with open_memory(":memory:") as memory:
        source, _, _ = family(memory)
        draft = drafted(memory, how, source)
        CHANGES[change](memory, source)
        if how == "kept":
            draft = memory.draft("kept")
        draft.commit(reason="reflect")
        item = memory.list(status="quarantined")[0]
        assert (item.text, item.status) == ("concluded slowly", "quarantined")
        why = f"derived from {source}, which was purged or corrected meanwhile"
        assert (item.metadata[DOUBTED], memory.history(item.id)[-1].reason) == (why, why)
        assert memory.verify().ok


@pytest.mark.parametrize(("decision", "expected"), [("supersede", "quarantined"), ("none", "live")])
def test_what_a_draft_derived_from_what_was_found_untrue_meanwhile_is_doubted(decision: str, expected: str) -> None:
    with open_memory(":memory:") as memory:
        old = memory.insert("the sky is blue")
        newer = memory.insert("the sky is green")
        derived_from = old.id if decision == "supersede" else newer.id  # of two that say the same the newer goes
        draft = drafted(memory, "plain", derived_from)
        verdict = Verdict.model_validate({"decision": decision, "about": [1], "reason": "seen"})
        memory.sweep([Reconcile(similar=-1.0, rule=lambda item, near: verdict)])
        assert memory.get(derived_from).status == "forgotten"  # type: ignore[union-attr]
        item = next(one.id for one in draft.list() if one.text == "concluded slowly")
        draft.commit()
        assert status(memory, item) == [expected]


def test_a_sweep_whose_policy_is_slow_gets_its_insight_quarantined() -> None:
    with open_memory(":memory:") as memory:
        source, _, _ = family(memory)

        async def slow(state: State, experiences: Sequence[Experience]) -> list[Op]:
            await memory.aedit(source, "the sky is green")
            insight = Item(id="insight", text="blue skies", kind="lesson", created_at=0.0, derived_from=(source,))
            return [Op(verb="insert", id="insight", item=insight)]

        memory.sweep([slow])
        assert status(memory, "insight") == ["quarantined"]


def test_what_a_draft_derived_is_live_where_nothing_else_was_said_meanwhile() -> None:
    with open_memory(":memory:") as memory:
        source, child, grandchild = family(memory)
        memory.edit(grandchild, "before it began")
        with memory.draft() as draft:
            draft.edit(child, "the draft itself corrects it")
            made = draft.insert("concluded slowly", derived_from=[source, child, grandchild, "an attempt"])
            memory.pin(source)
            memory.edit(source, metadata={"text": "a field of that name"})
            draft.commit()
        assert status(memory, made.id) == ["live"]


def test_what_was_quarantined_is_restored_into_quarantine() -> None:
    with open_memory(":memory:") as memory:
        held, live = memory.insert(["kept back by hand", "never kept back"])
        memory.quarantine(held.id, reason="not sure")
        memory.forget([held.id, live.id])
        with memory.draft() as draft:
            draft.restore([held.id, live.id])
            assert status(draft, held.id, live.id) == ["quarantined", "live"]
            draft.quarantine(live.id)
            draft.forget(live.id)
            draft.restore(live.id)
            assert status(draft, live.id) == ["quarantined"]
        memory.restore([held.id, live.id])
        assert status(memory, held.id, live.id) == ["quarantined", "live"]
        memory.release(held.id)
        memory.forget(held.id)
        assert memory.restore(held.id).status == "live"


def test_a_correction_that_comes_too_late_is_reported_once_an_item() -> None:
    with open_memory(":memory:") as memory:
        source, child, grandchild = family(memory)
        with memory.draft() as draft:
            draft.edit(source, "the sky is green")
            memory.edit(source, "the sky is grey")
            assert draft.commit().skipped == (source, child, grandchild)


def supersedes(memory: Memory | Draft, name: str) -> object:
    """Let a rule find, as a model may, that what was inserted last makes an item untrue."""
    memory.insert("the sky is green")
    rule = Reconcile(similar=-1.0, rule=lambda item, near: Verdict(decision="supersede", about=[1], reason="seen"))
    return memory.apply(ops(rule, moment(memory)))


LATE: dict[str, Change] = {
    **CORRECTIONS, "reconcile": supersedes,
    "policy": lambda memory, name: memory.apply([Op(verb="edit", id=name, changes={"text": "the sky is green"})]),
}  # fmt: skip


@pytest.mark.parametrize("how", ["plain", "nested", "kept"])
@pytest.mark.parametrize("change", LATE.values(), ids=LATE.keys())
def test_what_others_derive_until_a_drafted_correction_is_committed_is_doubted(how: str, change: Change) -> None:
    with open_memory(":memory:") as memory:
        source = memory.insert("the sky is blue").id
        child = memory.insert("look up on a clear day", kind="lesson", derived_from=[source]).id
        draft = memory.draft("kept" if how == "kept" else None)
        if how == "nested":
            with draft.draft() as inner:
                change(inner, source)
                inner.commit()
        else:
            change(draft, source)
        late = memory.insert("look for the blue", kind="lesson", derived_from=[source]).id
        later = memory.insert("look for blue things", kind="lesson", derived_from=[child]).id
        anew = draft.insert("look for the green", kind="lesson", derived_from=[source]).id
        draft.release(child)
        assert status(draft, child, anew) == ["live", "live"]
        if how == "kept":
            draft = memory.draft("kept")
        done = draft.commit()
        assert status(memory, late, later, child, anew) == ["quarantined", "quarantined", "live", "live"]
        assert memory.get(late).metadata[DOUBTED].startswith(f"derived from {source}")  # type: ignore[union-attr]
        assert {late, later} <= set(done.items)
        memory.undo()
        assert status(memory, late, later, child) == ["live", "live", "live"]


def test_a_drafted_correction_that_is_skipped_doubts_nothing() -> None:
    with open_memory(":memory:") as memory:
        source, _, _ = family(memory)
        draft = memory.draft()
        draft.edit(source, "the sky is green")
        memory.edit(source, "the sky is grey")
        late = memory.insert("grey skies look like rain", kind="lesson", derived_from=[source]).id
        assert source in draft.commit().skipped
        assert status(memory, late) == ["live"]


def test_what_was_derived_and_changed_meanwhile_is_doubted_as_it_is_now() -> None:
    with open_memory(":memory:") as memory:
        source, child, _ = family(memory)
        draft = memory.draft()
        draft.edit(source, "the sky is green")
        memory.edit(child, metadata={"team": "b"})
        draft.commit()
        item = memory.get(child)
        assert item is not None
        assert (item.status, item.metadata["team"]) == ("quarantined", "b")


def test_what_is_derived_in_a_draft_before_an_inner_draft_corrects_it_is_doubted_in_the_outer_one() -> None:
    with open_memory(":memory:") as memory:
        source, _, _ = family(memory)
        with memory.draft() as outer:
            inner = outer.draft()
            inner.edit(source, "the sky is green")
            late = outer.insert("look for the blue", derived_from=[source]).id
            inner.commit()
            later = outer.insert("look for the green", derived_from=[source]).id
            assert status(outer, late, later) == ["quarantined", "live"]
            outer.commit()
        assert status(memory, late, later) == ["quarantined", "live"]


def test_what_was_derived_from_a_correction_that_is_undone_is_doubted(tmp_path: Path) -> None:
    with open_memory(tmp_path) as memory:
        source, child, _ = family(memory)
        memory.edit(source, "the sky is green")
        with open_memory(tmp_path, actor="another") as other:
            late = other.insert("look for the green", kind="lesson", derived_from=[source]).id
        memory.undo()
        assert status(memory, source, child, late) == ["live", "live", "quarantined"]


def test_undo_of_a_draft_that_corrected_and_forgot_leaves_no_doubt() -> None:
    with open_memory(":memory:") as memory:
        source, child, grandchild = family(memory)
        memory.edit(grandchild, importance=0.9)
        before = [memory.get(name) for name in (source, child, grandchild)]
        with memory.draft() as draft:
            draft.edit(source, "the sky is green")
            draft.supersede(child, "look up at night")
            draft.forget(grandchild)
            draft.commit()
        memory.undo()
        assert [memory.get(name) for name in (source, child, grandchild)] == before


def test_what_says_it_better_is_no_correction() -> None:
    with open_memory(":memory:") as memory:
        source, child, _ = family(memory)
        with memory.draft() as draft:
            whole = Item(id="whole", text="the sky is blue by day", created_at=0.0, derived_from=(source,))
            draft.apply([Op(verb="supersede", id=source, item=whole)])
            late = memory.insert("look for the blue", kind="lesson", derived_from=[source]).id
            draft.commit()
        assert status(memory, source, child, late, "whole") == ["forgotten", "live", "live", "live"]


@pytest.mark.parametrize("nested", [False, True])
@pytest.mark.parametrize("change", CORRECTIONS.values(), ids=CORRECTIONS.keys())
def test_what_was_derived_before_a_drafted_correction_that_is_skipped_is_not_doubted(
    change: Change, nested: bool
) -> None:
    with open_memory(":memory:") as memory:
        source, child, grandchild = family(memory)
        below: Memory | Draft = memory.draft() if nested else memory
        draft = below.draft()
        change(draft, source)
        below.edit(source, importance=0.9)
        assert source in draft.commit().skipped
        assert status(below, source, child, grandchild) == ["live", "live", "live"]
        assert DOUBTED not in below.get(child).metadata  # type: ignore[union-attr]


def test_what_is_doubted_for_another_correction_too_is_doubted_where_one_of_them_is_skipped() -> None:
    with open_memory(":memory:") as memory:
        one, other = memory.insert(["the sky is blue", "the sea is blue"])
        child = memory.insert("look for the blue", kind="lesson", derived_from=[one.id, other.id])
        draft = memory.draft()
        draft.edit(one.id, "the sky is grey")
        draft.edit(other.id, "the sea is grey")
        memory.pin(one.id)
        assert draft.commit().skipped == (one.id,)
        item = memory.get(child.id)
        assert item is not None
        assert (item.status, item.metadata[DOUBTED]) == ("quarantined", f"derived from {other.id}, which was corrected")


@pytest.mark.parametrize(
    "meanwhile",
    [
        lambda memory, name: memory.edit(name, "the sky is blue", importance=0.9),
        lambda memory, name: memory.apply([Op(verb="supersede", id=name, item=better(name))]),
    ],
    ids=["edited into itself", "said better"],
)
def test_what_a_draft_derived_is_live_where_what_it_read_is_still_said(meanwhile: Change) -> None:
    with open_memory(":memory:") as memory:
        source = memory.insert("the sky is blue").id
        with memory.draft() as draft:
            made = draft.insert("concluded slowly", derived_from=[source])
            meanwhile(memory, source)
            draft.commit()
        assert status(memory, made.id) == ["live"]


def better(name: str) -> Item:
    return Item(id="whole", text="the sky is blue by day", created_at=0.0, derived_from=(name,))


def test_the_verb_supersede_always_corrects() -> None:
    with open_memory(":memory:") as memory:
        source, child, _ = family(memory)
        new = memory.supersede(source, "the sky is green", derived_from=[source])
        assert status(memory, source, child, new.id) == ["forgotten", "quarantined", "live"]


def test_what_supersedes_a_doubted_item_is_not_doubted() -> None:
    with open_memory(":memory:") as memory:
        source = memory.insert("a source")
        made = memory.insert("made of it", derived_from=[source.id], metadata={"team": "a"})
        memory.edit(source.id, "another source")
        better = memory.supersede(made.id, "made anew")
        assert (better.status, better.metadata) == ("live", {"team": "a"})
        memory.forget(better.id)
        assert memory.restore(better.id).status == "live"


def test_supersede_gives_the_item_that_says_the_new_text_wherever_it_is() -> None:
    with open_memory(":memory:") as memory:
        source, child, _ = family(memory)
        said = memory.insert("the sky is green")
        for to in (memory.draft(), memory):
            assert to.supersede(source, "the sky is green").id == said.id
            assert status(to, source, child) == ["forgotten", "quarantined"]


@pytest.mark.parametrize("is_drafted", [False, True])
@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_what_was_corrected_stays_doubtful_where_another_correction_of_it_is_skipped(
    is_drafted: bool, order: tuple[int, int]
) -> None:
    with open_memory(":memory:") as memory:
        memory.insert("the river is blue")
        source, child, _ = family(memory)
        edits = [
            Op(verb="edit", id=source, changes={"text": text}) for text in ("the sky is green", "the river is blue")
        ]
        made = [edits[n] for n in order]
        if is_drafted:
            with memory.draft() as draft:
                draft.apply(made)
                assert held(draft, child)
                draft.commit()
        else:
            memory.apply(made)
        assert text(memory, source) == "the sky is green"
        assert held(memory, child)
        (first, *_) = memory.recall("the sky is green", mode="vector")
        assert first.item.id == source
        assert first.score == pytest.approx(1, abs=1e-5)


def held(memory: Memory | Draft, name: str) -> bool:
    item = memory.get(name)
    return item is not None and item.status == "quarantined"


def text(memory: Memory, name: str) -> str | None:
    item = memory.get(name)
    return None if item is None else item.text
