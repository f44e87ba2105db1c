"""Handles of one path share a store; they end when they are closed, and they are not carried over a fork."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from word_vectors import WordVectors, export_lines, open_memory

from agentevo.errors import EmbedderError, LedgerError, Misuse
from agentevo.memory import Memory


def texts(memory: Memory) -> set[str]:
    return {item.text for item in memory.list()}


def test_each_memory_in_memory_is_its_own() -> None:
    first, second = open_memory(":memory:"), open_memory(":memory:")
    second.insert("only in the second")
    first.close()
    with open_memory(":memory:") as third:
        assert texts(third) == set()
    second.close()


def test_two_handles_of_one_folder_see_the_same(tmp_path: Path) -> None:
    with open_memory(tmp_path / "m") as one, open_memory(tmp_path / "m" / ".." / "m") as other:
        one.insert("written here")
        assert texts(other) == {"written here"}


def test_a_handle_is_closed_alone_and_twice(tmp_path: Path) -> None:
    one, other = open_memory(tmp_path / "m"), open_memory(tmp_path / "m")
    one.close()
    one.close()
    with pytest.raises(LedgerError, match="closed"):
        one.insert("too late")
    other.insert("still open")
    other.close()
    uses: list[Callable[[], object]] = [
        other.stats, other.verify, other.history, other.undo, lambda: other.recall("x"), lambda: other.purge("x"),
        lambda: other.draft().insert("x"), other.catch_up, lambda: list(other.experiences()),
    ]  # fmt: skip
    for use in uses:
        with pytest.raises(LedgerError, match="closed"):
            use()


def test_many_short_threads_leave_no_files_open(tmp_path: Path) -> None:
    with open_memory(tmp_path / "m") as memory:
        memory.insert("read by many")
        memory.recall("many")
        before = len(list(Path("/proc/self/fd").iterdir()))
        for _ in range(60):
            thread = threading.Thread(target=memory.recall, args=("many",))
            thread.start()
            thread.join()
        assert len(list(Path("/proc/self/fd").iterdir())) <= before + 6


def test_many_threads_on_one_handle_lose_nothing(tmp_path: Path) -> None:
    failures: list[BaseException] = []
    with open_memory(tmp_path / "m") as memory:

        def work(n: int) -> None:
            try:
                for i in range(15):
                    item = memory.insert(f"thread {n} says {i}")
                    assert memory.recall(item.text, k=1, mode="vector")[0].score > 0.9
                    memory.reinforce(item.id)
            except BaseException as error:  # noqa: BLE001 -- shown below, in the thread that fails the test
                failures.append(error)

        threads = [threading.Thread(target=work, args=(n,)) for n in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert failures == []
        assert memory.stats().live == 120
        assert {item.uses for item in memory.list()} == {1}
        assert memory.verify().ok


def test_an_open_export_does_not_keep_its_thread_in_the_past(tmp_path: Path) -> None:
    with open_memory(tmp_path / "m") as memory:
        memory.insert("before")
        lines = memory.export()
        assert not isinstance(lines, int)
        next(lines)
        memory.insert("while the export is half read")
        assert texts(memory) == {"before", "while the export is half read"}
        assert sum('"type":"item"' in line for line in lines) == 1


# --- forks


def in_child(work: Callable[[], object]) -> int:
    """Run work in a forked child; return the child's status: 0 where it ended well."""
    child = os.fork()
    if child == 0:
        try:
            work()
        except BaseException:  # noqa: BLE001 -- the status says it
            os._exit(1)
        os._exit(0)
    return child


def status(child: int) -> int:
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_child_must_open_the_memory_itself(tmp_path: Path) -> None:
    with open_memory(tmp_path / "m") as memory:
        memory.insert("from the parent")

        def use_the_parents() -> None:
            for use in (memory.list, memory.stats, memory.catch_up, lambda: memory.insert("from the child")):
                with pytest.raises(LedgerError, match="forked"):
                    use()

        assert status(in_child(use_the_parents)) == 0
        assert texts(memory) == {"from the parent"}


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_what_a_forked_child_commits_outlives_the_parents_handle(tmp_path: Path) -> None:
    ready, go_on = os.pipe(), os.pipe()
    memory = open_memory(tmp_path / "m")
    memory.insert("from the parent")

    def write_before_and_after() -> None:
        with open_memory(tmp_path / "m") as own:
            own.insert("while the parent has it")
            os.write(ready[1], b"x")
            os.read(go_on[0], 1)
            for n in range(20):
                own.insert(f"after the parent closed it {n}")
            os.kill(os.getpid(), 9)

    child = in_child(write_before_and_after)
    os.read(ready[0], 1)
    memory.close()
    os.write(go_on[1], b"x")
    assert status(child) == -9
    with open_memory(tmp_path / "m") as again:
        assert again.stats().live == 22
        assert again.verify().ok


# --- embedders


def test_another_embedder_is_refused_once_there_are_vectors(tmp_path: Path) -> None:
    with open_memory(tmp_path / "m", embedder=WordVectors("first")) as memory:
        memory.recall("nothing is stored by asking")
    with open_memory(tmp_path / "m", embedder=WordVectors("second")) as memory:
        memory.insert("now it is the second's")
    with pytest.raises(EmbedderError, match=r"'second'.*reindex"):
        open_memory(tmp_path / "m", embedder=WordVectors("first"))


def test_a_memory_keeps_the_embedder_it_was_made_with_before_anything_is_written(tmp_path: Path) -> None:
    Memory.open(tmp_path / "m", embedder="hash").close()
    with Memory.open(tmp_path / "m") as memory:
        assert memory.stats().embedder == "hash"
        memory.insert("a first text")
        assert (memory.stats().embedder, memory.stats().dimensions) == ("hash", 384)


def test_until_there_are_vectors_another_embedder_may_take_its_place(tmp_path: Path) -> None:
    Memory.open(tmp_path / "m", embedder="hash").close()
    with open_memory(tmp_path / "m", embedder=WordVectors("second")) as memory:
        assert memory.stats().embedder == "hash"
        memory.insert("a first text")
        assert (memory.stats().embedder, memory.stats().dimensions) == ("second", 32)
    with pytest.raises(EmbedderError, match=r"'second'.*reindex"):
        Memory.open(tmp_path / "m", embedder="hash")


def test_an_export_without_vectors_goes_into_a_memory_of_any_embedder() -> None:
    with Memory.open(":memory:", embedder="hash") as empty, open_memory(":memory:") as other:
        assert other.import_(export_lines(empty)) == 0
        other.insert("a first text")
        assert other.stats().embedder == "word-vectors"


def test_a_memory_made_without_a_name_takes_the_embedder_of_the_settings_with_its_first_vectors(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AGENTEVO_EMBEDDER", "all-MiniLM-L6-v2")
    with Memory.open(tmp_path / "m") as memory:
        assert memory.stats().embedder == ""
    monkeypatch.setenv("AGENTEVO_EMBEDDER", "hash")
    with Memory.open(tmp_path / "m") as memory:
        memory.insert("a first text")
        assert memory.stats().embedder == "hash"


def test_an_embedder_that_changed_under_its_name_is_refused(tmp_path: Path) -> None:
    with open_memory(tmp_path / "m") as memory:
        memory.insert("made by the first version")
    with open_memory(tmp_path / "m", embedder=WordVectors(fingerprint="2")) as memory:
        with pytest.raises(EmbedderError, match="reindex"):
            memory.insert("made by the second")
        assert [hit.item.text for hit in memory.recall("first version", mode="bm25")] == ["made by the first version"]


def test_vectors_that_do_not_fit_are_refused_whole(tmp_path: Path) -> None:
    with open_memory(tmp_path / "m") as memory:
        bad: list[list[list[float]]] = [
            [[1, 0], [1, 0, 0]], [[1, 0], [float("nan"), 1]], [[1, 0], [0, 0]], [[1, 0], [float("inf"), 0]], [[1, 0]],
        ]  # fmt: skip
        for vectors in bad:
            with pytest.raises((Misuse, EmbedderError)):
                memory.insert(["one", "two"], vectors=vectors)
        assert (memory.list(), memory.stats().dimensions) == ([], None)
        memory.insert(["one", "two"], vectors=[[1, 0], [0, 1]])
        with pytest.raises(Misuse, match="2 dimensions"):
            memory.recall("one", vector=[1, 0, 0])
        with pytest.raises(EmbedderError, match="2 dimensions"):
            memory.insert("embedded in 32 dimensions")
        assert memory.verify().ok


def test_a_second_server_for_one_open_memory_is_refused(tmp_path: Path) -> None:
    with open_memory(tmp_path / "m"), pytest.raises(Misuse, match="close it"):
        open_memory(tmp_path / "m", chroma="http://localhost:1")


def test_all_that_is_here_is_listed_as_the_message_says() -> None:
    with open_memory(":memory:") as memory:
        kept, gone = memory.insert("kept"), memory.insert("gone")
        memory.forget(gone.id)
        with pytest.raises(Misuse, match=r"no item 'nobody' in namespace 'default'; list\(status='all'\) shows"):
            memory.forget("nobody")
        assert [item.id for item in memory.list(status="all")] == [gone.id, kept.id]
        assert memory.list(status=None) == memory.list(status="all") == memory.draft().list(status="all")


# --- where


@pytest.mark.parametrize("name", ["", 3])
def test_a_namespace_without_a_name_is_refused_within_an_open_memory_too(name: Any) -> None:
    with open_memory(":memory:") as memory:
        with pytest.raises(Misuse, match="namespace"):
            memory.within(name)
        assert memory.namespaces() == ["default"]


@pytest.mark.parametrize("place", ["b", "deeper/b", "../m/b"])
def test_a_backup_does_not_go_into_the_memory_itself(tmp_path: Path, place: str) -> None:
    with open_memory(tmp_path / "m") as memory:
        memory.insert("kept")
        with pytest.raises(Misuse, match="inside the memory's own folder"):
            memory.backup(tmp_path / "m" / place)
        assert not (tmp_path / "m" / "b").exists()


def test_who_still_has_the_embedder_of_before_is_told_which_one_it_is_now(tmp_path: Path) -> None:
    program = "import sys; from word_vectors import *; open_memory(sys.argv[1]).reindex(WordVectors('wider', 48))"
    with open_memory(tmp_path / "m") as memory:
        memory.insert("made before")
        subprocess.run([sys.executable, "-c", program, tmp_path / "m"], check=True, cwd=Path(__file__).parent)
        for use in (memory.insert, memory.recall):
            with pytest.raises(EmbedderError, match=r"'wider' by now, not of 'word-vectors'.*embedder='wider'"):
                use("made after")
        assert [hit.item.text for hit in memory.recall("made", mode="bm25")] == ["made before"]
    with open_memory(tmp_path / "m", embedder=WordVectors("wider", 48)) as memory:
        assert memory.recall("made before", mode="vector")[0].score > 0.99
