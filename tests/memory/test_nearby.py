"""What nearly repeats what is here is linked, also where a memory is too large to compare everything."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from word_vectors import WordVectors, open_memory

from agentevo.errors import LedgerError
from agentevo.memory import Memory
from agentevo.memory.ledger import Ledger
from agentevo.memory.sketch import Sketches

COUNT, EARLY = 2_500, 4
Vectors = NDArray[np.float32]


def unit(vectors: Vectors) -> Vectors:
    normed: Vectors = (vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)).astype(np.float32)
    return normed


def drawn(count: int, seed: int, lean: float = 0.0) -> Vectors:
    """Return vectors; with a lean all of them point somewhat the same way, as those of many embedders do."""
    made = np.random.default_rng(seed).standard_normal((count, 32)).astype(np.float32)
    made[:, 0] += lean
    return unit(made)


def turned(vector: Vectors, cosine: float, seed: int) -> Vectors:
    """Return a vector that has just this cosine with another one."""
    side = drawn(1, 10_000 + seed)[0]
    side = unit(side - vector * float(side @ vector))
    return unit(cosine * vector + np.float32(np.sqrt(1 - cosine**2)) * side)


def filled(folder: Path, lean: float = 0.0) -> Memory:
    """Return a memory in which enough was looked up for sketches to be made."""
    memory = open_memory(folder)
    memory.insert([f"text {n}" for n in range(COUNT)], vectors=drawn(COUNT, 0, lean))
    for n in range(EARLY):
        memory.insert(f"early {n}", vectors=drawn(1, 1_000 + n, lean)[0])
    return memory


@pytest.fixture(scope="module", params=[0.0, 8.0], ids=["spread", "leaning"])
def large(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Memory, Vectors]]:
    with filled(tmp_path_factory.mktemp("large") / "m", request.param) as memory:
        yield memory, drawn(COUNT, 0, request.param)


def test_what_nearly_repeats_another_is_linked_to_it_at_once(large: tuple[Memory, Vectors]) -> None:
    memory, vectors = large
    ids = [item.id for item in memory.list(order="oldest", limit=COUNT)]
    missed = [
        n
        for n in range(0, COUNT, 50)
        if memory.insert(f"much like {n}", vectors=turned(vectors[n], 0.955, n)).links != (ids[n],)
    ]
    assert len(missed) <= 1


def test_what_is_only_somewhat_alike_is_not_linked(large: tuple[Memory, Vectors]) -> None:
    memory, vectors = large
    matrix = np.delete(vectors, np.s_[20:COUNT:50], axis=0)
    told = [(n, turned(vectors[n], 0.93, n)) for n in range(20, COUNT, 50)]
    alone = [(n, vector) for n, vector in told if float((matrix @ vector).max()) < 0.93]
    assert len(alone) > 25
    assert [memory.insert(f"somewhat like {n}", vectors=vector).links for n, vector in alone] == [()] * len(alone)


def test_what_is_linked_is_as_it_is_now(tmp_path: Path) -> None:
    with filled(tmp_path / "m") as memory:
        vectors, items = drawn(COUNT, 0), memory.list(order="oldest", limit=5)
        memory.forget(items[0].id)
        memory.edit(items[1].id, "words of another kind")
        memory.edit(items[2].id, expires_at=1.0)
        links = [memory.insert(f"like {n}", vectors=turned(vectors[n], 0.98, n)).links for n in range(3)]
        assert links == [(), (), ()]
        memory.restore(items[0].id)
        again = turned(vectors[0], 0.99, 7)
        newest = memory.insert("one", vectors=again)
        assert newest.links[0] in {item.id for item in memory.list() if item.text in ("like 0", "text 0")}
        assert memory.insert("two", vectors=turned(again, 0.999, 8)).links == (newest.id,)
        assert memory.insert("words of another sort", kind="lesson").links == ()
        assert memory.insert("words of another kind indeed words of another kind").links == (items[1].id,)


@pytest.mark.parametrize("drafted", [False, True])
def test_what_nearly_repeats_another_of_the_same_insert_is_linked_to_it(drafted: bool) -> None:
    old, first, other = drawn(3, 0)
    with open_memory(":memory:") as memory:
        here = memory.insert("here", vectors=old)
        to = memory.draft() if drafted else memory
        made = [first, other, turned(first, 0.98, 1), turned(old, 0.98, 2), turned(other, 0.9, 3)]
        a, b, c, d, e = to.insert([*"abcde"], vectors=made)
        assert [item.links for item in (a, b, c, d, e)] == [(), (), (a.id,), (here.id,), ()]
        gone = drawn(1, 5)[0]
        assert [x.links for x in to.insert(["f", "g"], vectors=[gone, turned(gone, 0.98, 4)], expires_at=1.0)] == [
            ()
        ] * 2
        many = [turned(drawn(1, 7)[0], 0.99, n) for n in range(257)]
        assert {x.links for x in to.insert([f"many {n}" for n in range(257)], vectors=many)} == {()}


def rows_like(sketches: Sketches, ledger: Ledger, vector: Vectors) -> list[int] | None:
    with ledger.reading() as db:
        return sketches.like(db, vector, 0.95)


class Other(WordVectors):
    def _direction(self, word: str) -> Vectors:
        return super()._direction("other " + word)


def test_vectors_that_another_process_made_anew_are_sketched_anew(tmp_path: Path) -> None:
    filled(tmp_path / "m").close()
    ledger, was, is_now = Ledger(tmp_path / "m" / "ledger.db"), drawn(COUNT, 0)[0], Other().vector("text 0")
    sketches = Sketches(ledger, ledger.ns("default"))
    assert 1 in (rows_like(sketches, ledger, was) or [])
    assert 1 not in (rows_like(sketches, ledger, is_now) or [])
    code = f"""
import sys; sys.path.insert(0, {str(Path(__file__).parent)!r})
from test_nearby import Other, open_memory
with open_memory(sys.argv[1]) as memory:
    memory.reindex(Other("other"))
"""
    subprocess.run([sys.executable, "-c", code, str(tmp_path / "m")], check=True)
    assert 1 not in (rows_like(sketches, ledger, was) or [])
    assert 1 in (rows_like(sketches, ledger, is_now) or [])
    ledger.close()


def test_an_item_that_comes_and_goes_is_named_once(tmp_path: Path) -> None:
    with filled(tmp_path / "m") as memory:
        vector, item = drawn(COUNT, 0)[0], memory.list(order="oldest", limit=1)[0]
        sketches = Sketches(memory._store.ledger, memory._ns(), batch=3_000)
        for _ in range(3):
            assert rows_like(sketches, memory._store.ledger, vector) == [1]
            memory.forget(item.id)
            memory.restore(item.id)
        memory.insert([f"more {n}" for n in range(2_000)], vectors=drawn(2_000, 9))
        for row, vector in enumerate(drawn(COUNT, 0)[:9], 1):
            assert row in (rows_like(sketches, memory._store.ledger, vector) or [])


def test_many_are_sketched_in_the_background_meanwhile_nothing_is_said(tmp_path: Path) -> None:
    filled(tmp_path / "m").close()
    ledger, asked = Ledger(tmp_path / "m" / "ledger.db"), drawn(COUNT, 0)[COUNT - 1]
    sketches = Sketches(ledger, ledger.ns("default"), batch=10)
    assert rows_like(sketches, ledger, asked) is None
    while (found := rows_like(sketches, ledger, asked)) is None:
        pass
    assert found == [COUNT]
    ledger.close()


def test_a_ledger_that_is_closed_meanwhile_ends_the_sketching(tmp_path: Path) -> None:
    filled(tmp_path / "m").close()
    ledger = Ledger(tmp_path / "m" / "ledger.db")
    sketches = Sketches(ledger, ledger.ns("default"), batch=10)
    assert rows_like(sketches, ledger, drawn(1, 0)[0]) is None
    ledger.close()
    for thread in threading.enumerate():
        if thread.name == "agentevo-sketches":
            thread.join()
    with pytest.raises(LedgerError, match="is closed"):
        rows_like(sketches, ledger, drawn(1, 0)[0])
