"""What goes wrong with disks, folders, files and processes is told plainly, and costs nothing acknowledged."""

from __future__ import annotations

import errno
import os
import random
import resource
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from word_vectors import WordVectors, export_lines, open_memory

from agentevo.errors import AgentEvoError, EmbedderError, LedgerBusy, LedgerCorrupt, LedgerError, LedgerTooNew, Misuse
from agentevo.memory import Memory

TESTS = Path(__file__).parent


def in_process(code: str, *arguments: str) -> str:
    """Run code in a process of its own; return what it printed."""
    program = f"import sys; sys.path.insert(0, {str(TESTS)!r})\nfrom word_vectors import open_memory\n{code}"
    done = subprocess.run(
        [sys.executable, "-c", program, *arguments], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def filled(folder: Path, count: int = 5) -> None:
    with open_memory(folder) as memory:
        memory.insert([f"number {n} is kept" for n in range(count)])


# --- the disk


def test_a_full_disk_keeps_what_was_acknowledged(tmp_path: Path) -> None:
    filled(tmp_path / "m")
    said = in_process(
        """
import resource, signal
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
memory = open_memory(sys.argv[1])
resource.setrlimit(resource.RLIMIT_FSIZE, (2_000_000, 2_000_000))
kept = []
try:
    for n in range(2000):
        kept.append(memory.insert(f"before it is full {n} " + "x" * 4000).id)
except Exception as error:
    print(type(error).__name__, len(memory.list()) == 5 + len(kept), len(kept) > 10)
print(*kept)
""",
        str(tmp_path / "m"),
    )
    verdict, kept = said.splitlines()
    assert verdict == "LedgerError True True"
    with open_memory(tmp_path / "m") as memory:
        assert set(kept.split()) <= {item.id for item in memory.list()}
        assert memory.verify().ok
        memory.insert("there is room again")


def test_a_sweep_for_which_there_is_no_room_says_so_and_changes_nothing(tmp_path: Path) -> None:
    filled(tmp_path / "m", 2_000)
    code = """
import resource, signal
from agentevo.memory import Evict
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
memory = open_memory(sys.argv[1])
memory._store.ledger._writing_connection().execute("PRAGMA cache_size = 30")  # so that it is full within a statement
resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, resource.RLIM_INFINITY))
try:
    memory.sweep([Evict(0)])
except Exception as error:
    print(type(error).__name__, "the disk failed" in str(error))
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY,) * 2)
print(memory.stats().live, len(memory.sweep([Evict(0)]).ops), memory.stats().live, memory.verify().ok)
"""
    assert in_process(code, str(tmp_path / "m")).splitlines() == ["LedgerError True", "2000 2000 0 True"]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_a_large_change_leaves_moving_its_log_to_the_next_small_one(tmp_path: Path) -> None:
    ledger = tmp_path / "m" / "ledger.db"
    with open_memory(tmp_path / "m") as memory:
        memory.insert([f"number {n} is l{'o' * 10_000}ng" for n in range(1_200)])
        size = ledger.stat().st_size
        assert memory.get(memory.insert("a short one").id) is not None
        assert ledger.stat().st_size > size + 10_000_000


def test_a_folder_that_cannot_be_written_is_a_clear_error(tmp_path: Path) -> None:
    folder = tmp_path / "m"
    filled(folder)
    for path in (tmp_path, tmp_path.parent, tmp_path.parent.parent):
        path.chmod(0o755)
    said = in_process(
        """
import os
from agentevo.errors import LedgerError
os.setuid(65534)
for path in sys.argv[1:]:
    try:
        open_memory(path).insert("no")
    except LedgerError as error:
        print("permissions" in str(error) or "Permission" in str(error))
""",
        str(folder),
        str(tmp_path / "new"),
    )
    assert said.split() == ["True", "True"]


def test_a_locked_ledger_is_read_and_says_that_it_is_busy(tmp_path: Path) -> None:
    filled(tmp_path / "m")
    other = sqlite3.connect(tmp_path / "m" / "ledger.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    try:
        with open_memory(tmp_path / "m", busy_timeout_s=0.05) as memory:
            with pytest.raises(LedgerBusy, match="try again"):
                memory.insert("not now")
            assert memory.recall("number 3", k=1, mode="vector")[0].item.text == "number 3 is kept"
            other.execute("ROLLBACK")
            memory.insert("now")
            assert memory.stats().live == 6
    finally:
        other.close()


# --- the folder


@pytest.mark.parametrize("name", ["file", "file/below", "nul\0", "x" * 300])
def test_a_path_that_cannot_be_a_folder_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / "file").write_text("something else")
    with pytest.raises((Misuse, LedgerError)):
        open_memory(f"{tmp_path}/{name}")
    assert (tmp_path / "file").read_text() == "something else"


def test_a_file_that_is_no_database_is_told_apart(tmp_path: Path) -> None:
    (tmp_path / "ledger.db").write_bytes(b"not a database at all " * 100)
    with pytest.raises(LedgerCorrupt, match="is no database, so nothing of it can be read or exported: put a backup"):
        open_memory(tmp_path)


@pytest.mark.parametrize("version", [0, 1, 7])
@pytest.mark.parametrize("table", ["theirs", "items", "meta"])
def test_the_database_of_another_program_is_refused_and_left_alone(tmp_path: Path, table: str, version: int) -> None:
    with sqlite3.connect(tmp_path / "ledger.db") as db:
        db.execute(f"CREATE TABLE {table} (amount)")
        db.execute(f"PRAGMA user_version = {version}")
    db.close()
    before = (tmp_path / "ledger.db").read_bytes()
    with pytest.raises(Misuse, match=rf"ledger.db is the database of another program \(its tables: {table}\)"):
        open_memory(tmp_path)
    assert [(entry.name, entry.read_bytes()) for entry in tmp_path.iterdir()] == [("ledger.db", before)]


@pytest.mark.parametrize("journal", ["WAL", "DELETE"])
def test_a_ledger_of_a_newer_version_is_refused_and_left_alone(tmp_path: Path, journal: str) -> None:
    filled(tmp_path / "m")
    with sqlite3.connect(tmp_path / "m" / "ledger.db") as db:
        db.execute("PRAGMA user_version = 99")
        db.commit()
        db.execute(f"PRAGMA journal_mode = {journal}")
    db.close()
    before = (tmp_path / "m" / "ledger.db").read_bytes()
    with pytest.raises(LedgerTooNew, match="upgrade"):
        open_memory(tmp_path / "m")
    assert (tmp_path / "m" / "ledger.db").read_bytes() == before


def test_a_namespace_is_any_text_but_the_empty_one(tmp_path: Path) -> None:
    for name in ("käse/../x", "a" * 2000, "日本", "x'; --"):
        with open_memory(tmp_path / "m", namespace=name) as memory:
            memory.insert("mine alone")
            assert memory.stats().live == 1
    for name in ("", "\ud800"):
        with pytest.raises(Misuse):
            open_memory(tmp_path / "m", namespace=name)


# --- damage


def test_a_damaged_ledger_never_shows_anything_but_our_errors(tmp_path: Path) -> None:
    filled(tmp_path / "whole", 300)
    pages = bytearray((tmp_path / "whole" / "ledger.db").read_bytes())
    dice, told = random.Random(7), 0
    for n in range(25):
        damaged = bytearray(pages)
        for _ in range(1 + n // 5):
            at = 4096 * dice.randrange(1, len(pages) // 4096) + dice.choice([0, 8, 100, 2000])
            damaged[at : at + 64] = dice.randbytes(64)
        folder = tmp_path / f"damaged{n}"
        folder.mkdir()
        (folder / "ledger.db").write_bytes(damaged)
        told += _survives(folder)
    assert told > 5


def _survives(folder: Path) -> bool:
    """Use a damaged memory; say whether the damage was told."""
    told = False
    try:
        memory = open_memory(folder)
    except LedgerError:
        return True
    uses: list[Callable[[], object]] = [
        memory.list, lambda: memory.recall("number 3"), lambda: memory.insert("one more"), memory.history, memory.stats,
        lambda: export_lines(memory),
        lambda: memory.forget(memory.list(limit=1)[0].id), memory.undo, lambda: memory.at(0.0),
    ]  # fmt: skip
    for use in uses:
        try:
            use()
        except AgentEvoError as error:
            told = told or isinstance(error, LedgerError)
    try:
        told = told or not memory.verify().ok
    except LedgerError:
        told = True
    memory.close()
    return told


def test_what_is_readable_of_a_damaged_ledger_can_be_exported_and_imported(tmp_path: Path) -> None:
    filled(tmp_path / "m", 300)
    path = tmp_path / "m" / "ledger.db"
    data = bytearray(path.read_bytes())
    at = data.index(b"number 150 is kept") // 4096 * 4096
    data[at : at + 4096] = random.Random(1).randbytes(4096)
    path.write_bytes(data)
    with open_memory(tmp_path / "m") as memory, pytest.raises(LedgerCorrupt, match="all else was exported"):
        memory.export(tmp_path / "saved.jsonl")
    with open_memory(tmp_path / "saved") as rescued:
        count = rescued.import_(tmp_path / "saved.jsonl")
        assert 250 < count < 300
        assert rescued.verify().ok
        item = rescued.list(order="oldest")[0]
        assert rescued.recall(item.text, k=1, mode="vector")[0].item.text == item.text


# --- texts


@pytest.mark.parametrize("text", ["", " \n\t", "half \ud83d", "x" * 1_000_001, None, 7, b"bytes"])
def test_what_is_no_text_is_refused(text: object) -> None:
    with open_memory(":memory:") as memory:
        kept = memory.insert("kept")
        insert: Callable[[Any], object] = memory.insert
        edit: Callable[[Any], object] = lambda said: memory.edit(kept.id, said)  # noqa: E731 -- beside its like
        supersede: Callable[[Any], object] = lambda said: memory.supersede(kept.id, said)  # noqa: E731
        for write in (insert, edit, supersede):
            with pytest.raises((Misuse, TypeError)):
                write(text)
        assert [item.text for item in memory.list()] == ["kept"]
        assert memory.verify().ok


@pytest.mark.parametrize(
    "text", ["nul\0in the middle", "x" * 1_000_000, "日本語のテキスト", "\u202eright to left", "🦊" * 50, "'\"; --"]
)
def test_what_is_any_text_comes_back_as_it_was(text: str) -> None:
    with open_memory(":memory:") as memory:
        item = memory.insert(text, metadata={"said": text[:100]}, reason="for\nno\nreason")
        assert memory.recall(text[:200], k=1)[0].item.text == text
        assert memory.list(where={"said": text[:100]}) == [item]
        assert memory.insert(text).id == item.id
        assert memory.verify().ok


def test_questions_are_never_operators() -> None:
    with open_memory(":memory:") as memory:
        memory.insert(["plain words", "other things"])
        found: dict[str, list[str]] = {}
        for query in ('"', "plain AND", "NEAR(", "*", "a OR b NOT c", "\0", "(", "'", "half \ud83d", "", "- - -"):
            found[query] = [hit.item.text for hit in memory.recall(query, mode="bm25")]
        assert {query: texts for query, texts in found.items() if texts} == {"plain AND": ["plain words"]}
        assert memory.stats().live == 2


def test_ids_that_are_not_here_are_named() -> None:
    with open_memory(":memory:") as memory:
        verbs: list[Callable[[str], object]] = [
            memory.forget, memory.restore, memory.pin, memory.release, memory.purge, memory.lineage, memory.history,
            memory.reinforce, lambda name: memory.edit(name, "x"), lambda name: memory.link(name, name),
            lambda name: memory.supersede(name, "x"),
        ]  # fmt: skip
        for name in ("nobody", "", "half \ud83d"):
            for verb in verbs:
                with pytest.raises(Misuse):
                    verb(name)
        assert memory.get("nobody") is None
        with pytest.raises(Misuse, match="nothing to undo"):
            memory.undo()


# --- processes


def test_four_processes_make_one_memory_at_once(tmp_path: Path) -> None:
    code = f"""
import sys, time; sys.path.insert(0, {str(TESTS)!r})
from word_vectors import open_memory
for line in sys.stdin:
    moment, folder = line.split()
    while time.monotonic() < float(moment):
        pass
    with open_memory(folder) as memory:
        memory.insert("from " + sys.argv[1])
    print("done", flush=True)
"""
    processes = [
        subprocess.Popen([sys.executable, "-c", code, str(n)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for n in range(4)
    ]
    for turn in range(30):
        moment = time.monotonic() + 0.03
        for process in processes:
            assert process.stdin is not None
            process.stdin.write(f"{moment} {tmp_path}/m{turn}\n")
            process.stdin.flush()
        for process in processes:
            assert process.stdout is not None
            assert process.stdout.readline() == "done\n"
        with open_memory(tmp_path / f"m{turn}") as memory:
            assert {item.text for item in memory.list()} == {f"from {n}" for n in range(4)}
    for process in processes:
        process.communicate()


def test_an_interrupted_transaction_leaves_nothing(tmp_path: Path) -> None:
    class Interrupted(WordVectors):
        name = "word-vectors"

    with open_memory(tmp_path / "m") as memory, memory.draft() as draft:
        draft.insert("first of two")
        draft.edit(draft.insert("second of two").id, metadata={"x": 1})
        draft._ops[-1] = draft._ops[-1].model_copy(update={"changes": {"colour": "red"}})  # fails within the commit
        with pytest.raises(Misuse, match="colour"):
            draft.commit()
        assert memory.list() == []
        assert memory.verify().ok


def test_no_limit_is_left_behind() -> None:
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[0] == resource.RLIM_INFINITY


def test_what_takes_long_tells_how_far_it_is(tmp_path: Path) -> None:
    told: list[tuple[str, int, int]] = []

    def progress(what: str, done: int, total: int) -> None:
        assert 0 <= done <= (total or done)
        told.append((what, done, total))

    def said() -> set[str]:
        names = {what for what, _, _ in told}
        told.clear()
        return names

    with open_memory(tmp_path / "m") as memory, open_memory(tmp_path / "n") as other:
        memory.insert([f"text {n}" for n in range(20)])
        memory.verify(progress=progress)
        assert told[-1] == ("items", 20, 20)
        assert said() == {"items"}
        memory.export(tmp_path / "lines", progress=progress)
        assert said() == {"items", "entries of the history"}
        for _ in range(2):
            other.import_(tmp_path / "lines", progress=progress)
            assert said() == {"reading lines", "writing items"}
        memory.backup(tmp_path / "copy", progress=progress)
        assert said() == {"copying pages"}
        memory.reindex(WordVectors("others"), progress=progress)
        assert said() == {"embedding"}


class Odd(WordVectors):
    """An embedder that makes something else of its texts."""

    def __init__(self, make: Callable[[Sequence[str]], object]) -> None:
        super().__init__("odd")
        self.make = make

    async def embed(self, texts: Sequence[str]) -> Any:
        return self.make(texts)


@pytest.mark.parametrize(
    ("made", "said"),
    [
        (lambda texts: None, "expected one row of numbers a text"),
        (lambda texts: [["a"] * 8 for _ in texts], "no vectors of numbers"),
        (lambda texts: [[1.0] * (n + 1) for n in range(len(texts))], "no vectors of numbers"),
        (lambda texts: [[1.0] * 8], "expected one row of numbers a text"),
        (lambda texts: [[] for _ in texts], "expected one row of numbers a text"),
        (lambda texts: [[float("nan")] * 8 for _ in texts], "length nan of 'one'"),
        (lambda texts: [[float("inf")] * 8 for _ in texts], "length inf of 'one'"),
        (lambda texts: [[0.0] * 8 for _ in texts], "length 0 of 'one'"),
    ],
)
def test_what_an_embedder_makes_is_checked_before_it_is_kept(
    made: Callable[[Sequence[str]], object], said: str
) -> None:
    with open_memory(":memory:", embedder=Odd(made)) as memory, pytest.raises(EmbedderError, match=said):
        memory.insert(["one", "two"])
    with open_memory(":memory:") as memory:
        memory.insert(["one", "two"])
        before = export_lines(memory)
        with pytest.raises(EmbedderError, match=said):
            memory.reindex(Odd(made))
        assert export_lines(memory) == before
        assert memory.verify().ok


def test_vectors_of_any_length_are_scaled_to_1(tmp_path: Path) -> None:
    long = Odd(lambda texts: [[3.0, 4.0] for _ in texts])
    with open_memory(tmp_path / "m") as memory:
        memory.insert("one")
        memory.reindex(long)
        memory.insert("two")
        assert [round(hit.score, 5) for hit in memory.recall("three", mode="vector")] == [1.0, 1.0]
        assert memory.stats().dimensions == 2


def test_what_others_write_while_the_vectors_are_made_anew_gets_new_ones_too(tmp_path: Path) -> None:
    with open_memory(tmp_path / "m") as memory:
        _, second, third = memory.insert(["first text", "second text", "third text"])
        new = WordVectors(dimensions=40)
        rounds: list[str] = []

        def others(what: str, done: int, total: int) -> None:
            rounds.append(f"{what} {done} of {total}")
            if len(rounds) == 1:  # all texts were read, and none is embedded yet
                memory.insert("a fourth text")
                memory.edit(second.id, "second text, edited")
                memory.purge(third.id)

        memory.reindex(new, progress=others)
        assert rounds == ["embedding 0 of 3", "embedding 0 of 2"]
        assert memory.verify().problems == ()
        for text in ("first text", "second text, edited", "a fourth text"):
            assert memory.recall(text, 1, mode="vector")[0].score > 0.999


def test_a_backup_that_breaks_off_leaves_nothing_behind(tmp_path: Path) -> None:
    def full(what: str, done: int, total: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with open_memory(tmp_path / "m") as memory:
        memory.insert("a text")
        with pytest.raises((LedgerError, OSError)):
            memory.backup(tmp_path / "copy", progress=full)
        assert list((tmp_path / "copy").iterdir()) == []
        memory.backup(tmp_path / "copy")
    with open_memory(tmp_path / "copy") as copy:
        assert copy.verify().ok


def test_a_backup_for_which_there_is_no_room_names_its_own_folder(tmp_path: Path) -> None:
    with open_memory(tmp_path / "m") as memory:
        memory.insert([f"a text of some length, number {n}" for n in range(200)])
    code = """
import resource
memory = open_memory(sys.argv[1])
resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000))
try:
    memory.backup(sys.argv[2])
except Exception as error:
    print(type(error).__name__, sys.argv[2] in str(error))
"""
    assert in_process(code, str(tmp_path / "m"), str(tmp_path / "copy")) == "LedgerError True"
    assert list((tmp_path / "copy").iterdir()) == []


def test_a_backup_is_whole_and_a_memory_of_its_own(tmp_path: Path) -> None:
    filled(tmp_path / "m", 20)
    with open_memory(tmp_path / "m") as memory:
        target = memory.backup(tmp_path / "copy")
        memory.insert("after the backup")
        with pytest.raises(Misuse, match="new one"):
            memory.backup(tmp_path / "copy")
        with open_memory(target) as copy:
            assert copy.stats().live == 20
            assert copy.verify().ok
            assert _identity(copy) != _identity(memory)


def _identity(memory: Memory) -> object:
    return memory._store.ledger.meta("id")
