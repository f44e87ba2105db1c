"""Export and import: nothing is lost on the way, and what is no export changes nothing."""

from __future__ import annotations

import base64
import json
import sqlite3
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from word_vectors import WordVectors, export_lines, open_memory

from agentevo.errors import EmbedderError, Misuse
from agentevo.memory import Memory
from agentevo.types import Attempt, Experience, Feedback, Task


def lived(memory: Memory) -> None:
    """Give a memory something of everything."""
    first = memory.insert("the first item", metadata={"a": [1, {"b": None}], "é": True}, kind="lesson", source="web")
    second = memory.insert("the second item", derived_from=[first.id], key_text="found under this", expires_at=1e12)
    memory.edit(first.id, "the first item, edited")
    memory.supersede(second.id, "the third item")
    memory.reinforce(first.id, wins=0.5, key="attempt")
    memory.pin(first.id)
    memory.quarantine(first.id)
    memory.undo()
    task = Task(id="t", prompt="p")
    told = Attempt(id="a", task=task, answer="x").told(Feedback(score=0.5))
    memory.record(Experience(task=task, attempts=(told,)), run="run 1")
    memory.purge(memory.insert("to be purged", kind="experience", derived_from=["b", "c"]).id)


def test_an_export_brings_everything_back(tmp_path: Path) -> None:
    with open_memory(tmp_path / "one") as one, open_memory(tmp_path / "other", namespace="elsewhere") as other:
        lived(one)
        assert one.export(tmp_path / "lines.jsonl") == len(export_lines(one))
        assert other.import_(str(tmp_path / "lines.jsonl")) == 3
        assert export_lines(other)[1:] == export_lines(one)[1:]
        assert other.verify().problems == ()
        assert len(other.history()) == len(one.history())
        assert {item.namespace for item in other.at(0.0)} <= {"elsewhere"}
        hit = other.recall("found under this", 1, kind=["fact"], mode="vector", where={"$status": "live"})
        assert hit[0].item.text == "the third item"
        other.undo()
        assert list(other.experiences()) == list(one.experiences())


def test_an_import_beside_other_items_adds_what_is_new(tmp_path: Path) -> None:
    with open_memory(tmp_path / "one") as one, open_memory(tmp_path / "other") as other:
        lived(one)
        mine = other.insert("the third item")
        assert other.import_(export_lines(one)) == 2
        assert other.import_(export_lines(one)) == 0
        assert [item.id for item in other.list() if item.text == "the third item"] == [mine.id]
        assert len(list(other.experiences())) == 1
        assert other.verify().problems == ()


def test_an_import_that_was_undone_can_be_imported_again() -> None:
    with open_memory(":memory:") as one, open_memory(":memory:") as other:
        kept, held, _, gone = one.insert(["pinned", "held back", "plain", "forgotten there"])
        one.pin(kept.id)
        one.quarantine(held.id)
        one.forget(gone.id)
        lines = export_lines(one)
        other.insert("my own")
        assert other.import_(lines) == 4
        before = other.list(status=None)
        other.undo()
        assert [item.text for item in other.list(status=["live", "quarantined"])] == ["my own"]
        assert (other.import_(lines), other.list(status=None)) == (3, before)
        assert other.import_(lines) == 0
        other.undo()
        other.insert("plain")
        assert other.import_(lines) == 2
        other.forget(other.unpin(kept.id).id)
        assert other.import_(lines) == 0  # nobody undid that
        other.restore(kept.id)
        other.undo()
        assert (other.import_(lines), other.get(kept.id).status) == (0, "forgotten")  # type: ignore[union-attr]
        assert other.verify().ok


@pytest.mark.parametrize("trusted", ["user", "web"])
def test_what_an_import_leaves_out_is_named_by_nothing_that_comes_with_it(tmp_path: Path, trusted: str) -> None:
    with open_memory(tmp_path / "one") as one, open_memory(tmp_path / "other") as other:
        first = one.insert("linked to what comes later")
        source = one.insert("the source says so")
        derived = one.insert("so it is", kind="lesson", derived_from=[source.id])
        one.link(first.id, source.id)
        newer = one.supersede(one.insert("the limit is 5").id, "the limit is 6")
        same = other.insert("the source says so", source=trusted)
        limit = other.insert("the limit is 5")
        assert other.import_(export_lines(one)) == 3
        came = other._must(derived.id)
        assert (came.derived_from, came.trust) == ((same.id,), same.trust)
        assert other._must(first.id).links == (same.id,)
        assert other._must(newer.id).supersedes == limit.id
        assert other.purge(same.id).derived == (derived.id,)
        assert other.verify().ok


@pytest.mark.parametrize("beside", [[], ["my own"]])
def test_what_was_purged_stays_so_where_it_is_imported_and_bars_adapters_there(beside: list[str]) -> None:
    with open_memory(":memory:") as one, open_memory(":memory:") as other:
        task = Task(id="t", prompt="p")
        one.purge(one.record(Experience(task=task, attempts=(Attempt(id="att1", task=task, answer="x"),))))
        other.insert(beside)
        here = [other.insert("card of old", kind="adapter", derived_from=["att1"]).id] if beside else []
        other.import_(export_lines(one))
        assert (other.was_purged("att1"), other.was_purged("att2")) == (True, False)
        assert [(other._must(name).status, "blocked" in other._must(name).metadata) for name in here] == [
            ("quarantined", True) for _ in here
        ]
        new = other.insert("card", kind="adapter", derived_from=["att1"])
        assert other._must(new.id).status == "quarantined"
        before = other.history()
        assert (other.import_(export_lines(one)), other.history()) == (0, before)


def line(**values: Any) -> str:
    return json.dumps(values)


ITEM = {"type": "item", "id": "x", "text": "t", "created_at": 0}
USED = {"type": "op", "transaction": "t", "verb": "reinforce", "item": "x", "reason": "", "before": None}
TRANSACTION = {
    "type": "transaction", "id": "t", "actor": "a", "reason": "", "key": None, "at": 1.0, "content": 1,
    "undone_by": None, "skipped": "[]",
}  # fmt: skip


@pytest.mark.parametrize(
    ("bad", "said"),
    [
        ("not json", "line 2"),
        ("[1]", "line 2"),
        (line(type="poem"), "line 2"),
        (line(id="x"), "type"),
        (line(type="header", format=99), "upgrade"),
        (line(**{**ITEM, "text": 7}), "text"),
        (line(**{**ITEM, "vector": "!!"}), "line 2"),
        (line(**{**ITEM, "vector": "AAAAAAAAwH8="}), "length 1"),
        (line(type="experience", id="e", run="", task="t", score=0, at=0, body="{}"), "task"),
        (line(type="op", transaction="nowhere", verb="pin", item="x", reason="", detail="{}", before=None), "together"),
        (line(type="op", transaction="t", verb="pin", item="x", reason="", detail="{", before=None), "detail"),
        (line(type="op", transaction="t", verb="pin", item="x", reason="", detail="[1]", before=None), "detail"),
        (line(type="op", transaction="t", verb="pin", item="x", reason="", detail="{}", before="{ }"), "before"),
        (line(type="op", transaction="t", verb="edit", item="x", reason="", detail="{}", before="{}"), "before"),
        (line(type="op", transaction="t", verb="explode", item="x", reason="", detail="{}", before=None), "verb"),
        (line(**{**USED, "detail": '{"changes": {"wins": "many"}}'}), "wins"),
        (line(**{**TRANSACTION, "skipped": "not json"}), "skipped"),
        (line(**{**TRANSACTION, "at": "yesterday"}), "at:"),
        (line(**{**TRANSACTION, "actor": 5}), "actor"),
        (line(type="header", format="x"), "format"),
        (line(type="header", format=1, dimensions="many"), "dimensions"),
        (line(type="header", format=1, fingerprint={}), "fingerprint"),
        (line(**{**ITEM, "uses": 10**30}), "too large"),
        (line(**{**ITEM, "text": " "}), "empty text"),
        (line(**{**ITEM, "text": "x" * 1_000_001}), "too long"),
        ("[" * 100_000 + "]" * 100_000, "recursion"),
        (line(type="credit", key="k", item="x", changes="[1]"), "changes"),
        (line(type="experience", id="e", run="", task="t", score="high", at=0.0, body="{}"), "score"),
        (line(type="credit", key="k", item="x"), "changes"),
        (line(type="credit", key="k", item={}, changes="{}"), "line 2"),
        (line(type="purged", parent="a", child="x"), "child"),
        (line(**ITEM) + "\n" + line(**ITEM), "line 2"),
    ],
)
def test_what_is_no_export_is_refused_whole(bad: str, said: str) -> None:
    with open_memory(":memory:") as memory:
        good = line(**{**ITEM, "id": "good", "text": "would be fine"})
        with pytest.raises(Misuse, match=said):
            memory.import_([good, bad])
        assert (memory.list(status=None), memory.history()) == ([], [])
        assert memory.verify().ok


def test_an_export_that_was_cut_off_between_two_lines_is_refused(tmp_path: Path) -> None:
    with open_memory(tmp_path / "one") as one, open_memory(tmp_path / "other") as other:
        lived(one)
        whole = export_lines(one)
        for count in range(len(whole)):
            with pytest.raises(Misuse, match=f"cut off after line {count}:" if count else "nothing in it"):
                other.import_(whole[:count])
        assert (other.list(status=None), other.history()) == ([], [])
        assert other.import_(whole[1:4]) == 3
        assert other.verify().ok


def test_vectors_of_another_embedder_are_not_mixed_in(tmp_path: Path) -> None:
    with open_memory(tmp_path / "one") as one:
        lived(one)
        lines = export_lines(one)
    others = [WordVectors("another"), WordVectors(fingerprint="2"), WordVectors(dimensions=16)]
    for n, embedder in enumerate(others):
        with open_memory(tmp_path / f"other{n}", embedder=embedder) as other:
            other.insert("already here")
            with pytest.raises(EmbedderError):
                other.import_(lines)
            assert [item.text for item in other.list()] == ["already here"]


def vector(size: int) -> str:
    return base64.b64encode(np.eye(1, size, dtype=np.float32).tobytes()).decode()


def with_vectors(header: dict[str, Any] | None, *sizes: int) -> list[str]:
    """Return an export whose vectors have these sizes, whatever its header says of them."""
    items = [line(**{**ITEM, "id": f"i{n}", "text": f"t {n}", "vector": vector(size)}) for n, size in enumerate(sizes)]
    return [line(type="header", format=1, **header), *items, line(type="end")] if header is not None else items


@pytest.mark.parametrize(
    ("header", "sizes", "said"),
    [
        ({"dimensions": 8}, [8, 8], "line 1 says that its vectors have 8 dimensions, .* 'word-vectors' makes have 32"),
        ({"dimensions": 8, "fingerprint": "1"}, [], "line 1 says that its vectors have 8 dimensions, .* have 32"),
        ({"dimensions": 32}, [32, 8], "line 3 holds a vector of 8 dimensions, and .* have 32"),
        ({}, [8, 8], "line 2 holds a vector of 8 dimensions, and .* have 32"),
        (None, [32, 8], "line 2 holds a vector of 8 dimensions, and .* have 32"),
        ({"dimensions": 0}, [8], "line 1 .*dimensions"),
        ({"dimensions": -5, "fingerprint": "1"}, [], "line 1 .*dimensions"),
    ],
)
def test_vectors_of_a_wrong_size_leave_a_fresh_memory_as_it_was(
    tmp_path: Path, header: dict[str, Any] | None, sizes: list[int], said: str
) -> None:
    with open_memory(tmp_path / "m") as memory:
        before = export_lines(memory)
        with pytest.raises((EmbedderError, Misuse), match=said):
            memory.import_(with_vectors(header, *sizes))
        assert (export_lines(memory), memory.stats().dimensions, memory.history()) == (before, None, [])
        memory.insert("a first text")
        assert memory.recall("a first text", mode="vector")[0].item.text == "a first text"


class Unsure(WordVectors):
    """An embedder that knows what its vectors are like once it has made some."""

    @property
    def dimensions(self) -> int:
        raise EmbedderError("embed a text first")

    @dimensions.setter
    def dimensions(self, value: int) -> None:
        self.made = value

    def _direction(self, word: str) -> NDArray[np.float32]:
        direction: NDArray[np.float32] = np.eye(1, self.made, dtype=np.float32)[0]
        return direction


def test_where_the_embedder_cannot_say_an_export_must_agree_with_itself() -> None:
    with open_memory(":memory:", embedder=Unsure()) as memory:
        for header, sizes, said in (
            ({"dimensions": 32}, [32, 8], "line 3 holds a vector of 8 dimensions, and its header says 32"),
            ({}, [32, 32, 8], "line 4 holds a vector of 8 dimensions, and line 2 has 32"),
        ):
            with pytest.raises(Misuse, match=said):
                memory.import_(with_vectors(header, *sizes))
        assert memory.import_(with_vectors({"dimensions": 32}, 32, 32)) == 2
        memory.insert("one more")
        assert memory.verify().ok


WITHOUT_VECTORS = [line(**{**ITEM, "id": f"i{n}", "text": f"word {n}"}) for n in range(5)]


@pytest.mark.parametrize("beside", [[], ["word 3 was here before"]])
def test_items_that_come_without_vectors_are_given_some(tmp_path: Path, beside: list[str]) -> None:
    with open_memory(tmp_path / "m") as memory:
        memory.insert(beside)
        assert memory.import_(WITHOUT_VECTORS) == 5
        hit = memory.recall("word 3", 1, mode="vector")[0]
        assert (hit.item.text, round(hit.score, 4)) == ("word 3", 1.0)
        assert memory.import_(WITHOUT_VECTORS) == 0
        assert (memory.verify().problems, memory.verify().vectors) == ((), 5 + len(beside))
    with open_memory(tmp_path / "m", embedder=WordVectors(fingerprint="2")) as memory:
        with pytest.raises(EmbedderError, match="reindex"):
            memory.import_([line(**{**ITEM, "id": "new", "text": "one more"})])
        assert memory.stats().live == 5 + len(beside)


def test_vectors_that_are_missing_are_a_problem_until_reindex_makes_them(tmp_path: Path) -> None:
    with open_memory(tmp_path / "m") as memory:
        memory.insert([f"word {n}" for n in range(5)])
        before = export_lines(memory)
    with sqlite3.connect(tmp_path / "m" / "ledger.db") as db:
        db.execute("DELETE FROM vectors WHERE row > 3")
    db.close()
    with open_memory(tmp_path / "m") as memory:
        assert memory.verify().problems == ("2 items have no vector; run `agentevo memory reindex`",)
        assert memory.recall("word 4", 1, mode="vector")[0].item.text != "word 4"
        assert memory.reindex() == 5
        assert memory.recall("word 4", 1, mode="vector")[0].item.text == "word 4"
        assert (memory.verify().problems, export_lines(memory)) == ((), before)


def test_items_without_vectors_are_found_by_their_words(tmp_path: Path) -> None:
    with open_memory(tmp_path / "m") as memory:
        memory.import_(WITHOUT_VECTORS)
    with sqlite3.connect(tmp_path / "m" / "ledger.db") as db:
        db.execute("DELETE FROM vectors")
    db.close()
    with open_memory(tmp_path / "m") as memory:
        for balance in (None, 0.5):
            assert memory.recall("word 3", 2, mode="bm25", mmr=balance)[0].item.text == "word 3"
            assert memory.recall("word 3", 2, mmr=balance)[0].item.text == "word 3"


def test_an_import_is_read_before_anything_is_locked(tmp_path: Path) -> None:
    with open_memory(tmp_path / "one") as one, open_memory(tmp_path / "other") as other:
        lived(one)

        def others(what: str, done: int, total: int) -> None:
            if (what, done) == ("reading lines", 3):
                with sqlite3.connect(tmp_path / "other" / "ledger.db", timeout=0) as db:
                    db.execute("UPDATE namespaces SET name = name")
                db.close()

        assert other.import_(export_lines(one), progress=others) == 3


def test_a_failed_export_leaves_the_file_that_was_there(tmp_path: Path) -> None:
    path = tmp_path / "lines.jsonl"
    path.write_text("what was there")
    memory = open_memory(tmp_path / "m")
    memory.insert("x")
    memory.close()
    with pytest.raises(Exception, match="closed"):
        memory.export(path)
    assert path.read_text() == "what was there"
    assert [entry.name for entry in tmp_path.iterdir() if entry.suffix == ".part"] == []


def test_an_export_is_one_moment_while_others_write(tmp_path: Path) -> None:
    with open_memory(tmp_path / "m") as memory:
        memory.insert([f"text {n}" for n in range(300)])
        lines = memory.export()
        assert not isinstance(lines, int)
        read = [next(lines) for _ in range(10)]
        memory.forget(memory.list(limit=1)[0].id)
        memory.insert("later")
        with open_memory(":memory:") as other:
            assert other.import_([*read, *lines]) == 300
            assert other.stats().live == 300
            assert len(other.history()) == 1
