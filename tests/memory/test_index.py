"""The index: asked above the exact size, right in what it answers, and thrown away without loss."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from chroma_server import chroma_server
from crowd import found
from numpy.typing import NDArray
from word_vectors import WordVectors, open_memory

from agentevo.errors import LedgerError, Misuse
from agentevo.memory import Memory
from agentevo.memory.index import Index

LIMIT = 200


def vectors(count: int, seed: int = 0) -> NDArray[np.float32]:
    drawn = np.random.default_rng(seed).standard_normal((count, 32)).astype(np.float32)
    units: NDArray[np.float32] = (drawn / np.linalg.norm(drawn, axis=1, keepdims=True)).astype(np.float32)
    return units


def index_of(memory: Memory) -> Index:
    index = memory._store.index
    assert index is not None
    return index


def nearest(memory: Memory, vector: NDArray[np.float32], **options: object) -> list[str]:
    return [hit.item.text for hit in memory.recall("", 10, mode="vector", vector=vector, **options)]  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Memory]:
    """A memory above the exact size, with its index caught up."""
    with open_memory(tmp_path_factory.mktemp("large") / "m", exact_limit=LIMIT) as memory:
        metadata = [{"half": n % 2, "few": n % 50} for n in range(2_000)]
        memory.insert([f"text {n}" for n in range(2_000)], vectors=vectors(2_000), metadata=metadata)
        assert memory.catch_up()
        yield memory


def test_above_the_exact_size_the_index_is_asked_and_agrees_with_exact_search(large: Memory) -> None:
    before, overlap = index_of(large).asked, 0
    matrix = vectors(2_000)
    for query in vectors(40, seed=1):
        exact = {f"text {n}" for n in np.argsort(-(matrix @ query))[:10]}
        overlap += len(exact & set(nearest(large, query)))
    assert index_of(large).asked == before + 40
    assert overlap / 400 >= 0.98


def test_a_broad_filter_asks_the_index_and_a_narrow_one_does_not(large: Memory) -> None:
    query, matrix = vectors(1, seed=2)[0], vectors(2_000)
    for where, step, asks in (({"half": 0}, 2, 1), ({"few": 0}, 50, 0)):
        before = index_of(large).asked
        best = sorted(range(0, 2_000, step), key=lambda n: -float(matrix[n] @ query))[:10]
        assert nearest(large, query, where=where) == [f"text {n}" for n in best]
        assert index_of(large).asked == before + asks


def test_below_the_exact_size_chroma_is_not_even_imported(tmp_path: Path) -> None:
    code = f"""
import sys; sys.path.insert(0, {str(Path(__file__).parent)!r})
from word_vectors import open_memory
with open_memory(sys.argv[1]) as memory:
    memory.purge(memory.insert("small").id)
    memory.insert(["one", "two"])
    memory.recall("one"), memory.verify(), memory.stats()
print("chromadb" in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path / "m")], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
    assert not (tmp_path / "m" / "index").exists()


def grown(folder: Path, word: str = "text", **options: object) -> Memory:
    memory = open_memory(folder, exact_limit=LIMIT, **options)
    if memory.stats().live == 0:
        memory.insert([f"{word}{n} of many" for n in range(300)])
        assert memory.catch_up()
    return memory


def test_what_changes_after_indexing_is_found_as_it_is_now(tmp_path: Path) -> None:
    with grown(tmp_path / "m") as memory:
        asked = index_of(memory).asked
        first, second, third = memory.list(order="oldest", limit=3)
        memory.edit(first.id, "changed into something else")
        memory.forget(second.id)
        memory.quarantine(third.id)
        new = memory.insert("new and not indexed yet")
        for caught_up in (False, True):
            for text in ("changed into something else", new.text):
                assert found(memory, text)
            for item in (first, second, third):
                assert not found(memory, item.text)
            if not caught_up:
                assert memory.catch_up()
        memory.restore(second.id)
        assert found(memory, second.text)
        assert memory.verify().problems == ()
        assert index_of(memory).asked > asked


@pytest.mark.parametrize("harm", ["deleted", "emptied", "garbage", "database"])
def test_a_harmed_index_is_built_anew_from_the_ledger(tmp_path: Path, harm: str) -> None:
    folder = tmp_path / "m"
    grown(folder).close()
    _harm(folder / "index", harm)
    with grown(folder) as memory:
        assert found(memory, "text7 of many")
        assert memory.catch_up()
        asked = index_of(memory).asked
        assert found(memory, "text8 of many")
        assert index_of(memory).asked > asked
        assert memory.verify().problems == ()


@pytest.mark.parametrize("harm", ["deleted", "garbage"])
def test_an_index_that_is_harmed_while_it_is_open_costs_nothing(tmp_path: Path, harm: str) -> None:
    folder = tmp_path / "m"
    with grown(folder) as memory:
        _harm(folder / "index", harm)
        assert found(memory, "text7 of many")
        new = memory.insert("text300 of many")  # like the others: the graph may miss what is like nothing else
        memory.catch_up()
        assert found(memory, new.text)
    with grown(folder) as memory:
        memory.catch_up()
        assert found(memory, new.text)
        memory.reindex()
        assert memory.verify().problems == ()
        assert found(memory, "text9 of many")


def _harm(index: Path, harm: str) -> None:
    if harm == "deleted":
        shutil.rmtree(index)
    for path in [path for path in index.rglob("*") if path.is_file()] if harm != "deleted" else []:
        if harm == "emptied":
            path.write_bytes(b"")
        elif harm == "garbage" or path.suffix == ".sqlite3":
            path.write_bytes(b"\x13garbage" * 500)


def test_reindex_with_another_embedder_finds_all_by_the_new_vectors(tmp_path: Path) -> None:
    with grown(tmp_path / "m") as memory:
        assert memory.reindex(WordVectors("wider", dimensions=48)) == 300
        hit = memory.recall("text7 of many", 1, mode="vector")[0]
        assert (hit.item.text, round(hit.score, 4)) == ("text7 of many", 1.0)
        assert memory.verify().problems == ()
    with open_memory(tmp_path / "m", embedder=WordVectors("wider", dimensions=48)) as memory:
        assert memory.stats().dimensions == 48


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_child_forked_from_a_process_with_an_index_does_without(tmp_path: Path) -> None:
    folder = tmp_path / "m"
    grown(folder).close()
    child = os.fork()
    if child == 0:
        signal.alarm(60)  # it used to wait for ever
        try:
            with grown(folder) as memory:
                os._exit(0 if found(memory, "text7 of many") and not memory.catch_up() and memory.verify().ok else 1)
        finally:
            os._exit(2)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    with grown(folder) as memory:
        assert memory.catch_up()


# --- a Chroma server


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with chroma_server(tmp_path_factory.mktemp("chroma")) as url:
        yield url


def test_a_server_is_asked_and_two_memories_on_it_stay_apart(tmp_path: Path, server: str) -> None:
    with grown(tmp_path / "one", chroma=server) as one, grown(tmp_path / "other", "else", chroma=server) as other:
        for memory, word in ((one, "text"), (other, "else")):
            asked = index_of(memory).asked
            assert [n for n in range(300) if not found(memory, f"{word}{n} of many")] == []
            assert index_of(memory).asked == asked + 300
            assert memory.verify().problems == ()
        assert one.reindex() == 300
        assert found(other, "else7 of many")
        assert one.verify().problems == ()
        one.purge(one.list(limit=1)[0].id)
        assert one.verify().problems == ()
    assert not (tmp_path / "one" / "index").exists()


def test_two_processes_on_one_server_find_all(tmp_path: Path, server: str) -> None:
    script = Path(__file__).with_name("crowd.py")
    with grown(tmp_path / "m", chroma=server) as memory:
        arguments = [sys.executable, str(script), str(tmp_path / "m"), "guest", "15", server]
        guest = subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert guest.stdin is not None
        guest.stdin.write("go\n")
        guest.stdin.flush()
        for n in range(15):
            assert found(memory, memory.insert(f"host{n} tells everyone").text)
        said, _ = guest.communicate(timeout=120)
        assert '"lost": []' in said
        assert memory.catch_up()
        assert [n for n in range(15) if not found(memory, f"guestx{n} tells everyone")] == []
        assert memory.verify().problems == ()


def test_a_server_that_goes_away_is_done_without(tmp_path: Path) -> None:
    with chroma_server(tmp_path / "chroma") as url:
        memory = grown(tmp_path / "m", chroma=url)
        assert found(memory, "text7 of many")
    assert found(memory, "text7 of many")
    assert found(memory, memory.insert("written without a server").text)
    assert memory.verify().problems == ()
    with pytest.raises(LedgerError, match=rf"the index {url} cannot be thrown away .*reindex` again once"):
        memory.reindex()
    memory.close()


def test_a_server_is_named_by_host_and_port_too(tmp_path: Path, server: str) -> None:
    with grown(tmp_path / "m", chroma=server.removeprefix("http://")) as memory:
        assert found(memory, "text7 of many")
        assert index_of(memory).asked > 0
        with open_memory(tmp_path / "m", chroma=f"{server}/") as same:
            assert same.stats().live == 300


@pytest.mark.parametrize(
    "nonsense",
    [
        "", "localhost", "ftp://x", "http://", "http://x:99999", "http://x:0", "http://[::1", "http://x/api", "x y:80",
        "http://x?a=1", "http://user:s3cret@x:80", "user:s3cret@x:80", "http://user:s3/cret@x", "http://s3cret@",
    ],
)  # fmt: skip
def test_what_is_no_address_of_a_server_is_refused_and_no_password_shown(tmp_path: Path, nonsense: str) -> None:
    with pytest.raises(Misuse, match="expected the address of a Chroma server, http://HOST:PORT") as told:
        open_memory(tmp_path / "m", chroma=nonsense)
    assert "s3" not in str(told.value)
    assert not (tmp_path / "m").exists()


def test_a_file_where_the_index_has_to_be_makes_room_for_it(tmp_path: Path) -> None:
    with open_memory(tmp_path / "m") as memory:
        memory.insert("kept")
    index = tmp_path / "m" / "index"
    shutil.rmtree(index, ignore_errors=True)
    index.write_text("not ours")
    with open_memory(tmp_path / "m", exact_limit=0) as memory:
        assert memory.recall("kept", mode="vector")[0].item.text == "kept"
        memory.reindex()
        assert index.is_dir()
        assert memory.recall("kept", mode="vector")[0].item.text == "kept"
        assert memory._stored.index is not None
        assert memory._stored.index.asked > 0


def test_an_empty_key_is_none_also_where_all_is_embedded_anew() -> None:
    with open_memory(":memory:") as memory:
        memory.insert("the owner signs", key_text="")
        memory.reindex(WordVectors())
        assert memory.recall("the owner signs", 1, mode="vector")[0].score > 0.99
