"""The file that an export goes to: what stands there is kept, unless it was an export or the caller insists."""

from __future__ import annotations

import os
import random
import threading
from pathlib import Path

import pytest
from word_vectors import export_lines, open_memory

from agentevo.errors import LedgerCorrupt, LedgerError, Misuse
from agentevo.memory import Memory


def names(folder: Path) -> list[str]:
    """Return what lies in a folder, but for memories."""
    return sorted(entry.name for entry in folder.iterdir() if not entry.is_dir())


def test_what_is_no_export_is_replaced_with_force_alone(tmp_path: Path) -> None:
    mine = tmp_path / "mine.txt"
    with open_memory(tmp_path / "m") as memory:
        memory.insert("x")
        for content in ("my own words\n", '{"type": "item"}\n', "[" * 10_000, "7\n", "\udcff"):
            mine.write_bytes(content.encode("utf-8", "surrogateescape"))
            before = mine.read_bytes()
            with pytest.raises(Misuse, match=r"mine.txt is there already and is no export of a memory.*force=True"):
                memory.export(mine)
            assert (mine.read_bytes(), names(tmp_path)) == (before, ["mine.txt"])
        memory.export(mine, force=True)
        assert mine.read_text("utf-8").splitlines() == export_lines(memory)


def test_an_export_is_replaced_and_keeps_its_permissions(tmp_path: Path) -> None:
    file = tmp_path / "lines.jsonl"
    file.touch(0o640)  # as `mktemp` makes it: nothing is lost with what holds nothing
    with open_memory(tmp_path / "m") as memory:
        memory.export(file)
        memory.insert("x")
        memory.export(file)
        assert file.read_text("utf-8").splitlines() == export_lines(memory)
    assert file.stat().st_mode & 0o777 == 0o640
    assert names(tmp_path) == ["lines.jsonl"]


@pytest.mark.parametrize("name", ["ledger.db", "ledger.db-wal", "export.jsonl", "index/lines", "../m/lines"])
def test_nothing_goes_into_the_memorys_own_folder(tmp_path: Path, name: str) -> None:
    with open_memory(tmp_path / "m") as memory:
        memory.insert("x")
        (tmp_path / "link").symlink_to(tmp_path / "m" / name)
        before = sorted((tmp_path / "m").iterdir())
        for path in (tmp_path / "m" / name, tmp_path / "link"):
            with pytest.raises(Misuse, match="inside the memory's own folder"):
                memory.export(path, force=True)
        assert sorted((tmp_path / "m").iterdir()) == before
        assert memory.verify().ok


def test_a_link_stays_one_and_what_it_leads_to_is_written(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    link, target = tmp_path / "link", tmp_path / "elsewhere" / "lines"
    link.symlink_to(target)
    with open_memory(tmp_path / "m") as memory:
        for _ in range(2):
            memory.insert("x")
            memory.export(link)
            assert link.is_symlink()
            assert target.read_text("utf-8").splitlines() == export_lines(memory)
        target.write_text("my own")
        with pytest.raises(Misuse, match="is no export"):
            memory.export(link)


def test_what_is_no_file_is_written_into(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    got: list[str] = []
    with open_memory(tmp_path / "m") as memory:
        memory.insert("x")
        reader = threading.Thread(target=lambda: got.append(pipe.read_text("utf-8")))
        reader.start()
        count = memory.export(pipe)
        reader.join()
        assert (got[0].splitlines(), count) == (export_lines(memory), len(export_lines(memory)))
        assert (pipe.is_fifo(), names(tmp_path)) == (True, ["pipe"])
        assert memory.export("/dev/null") == count
        read, write = os.pipe()
        assert memory.export(f"/dev/fd/{write}") == count
        os.close(write)
        with os.fdopen(read, encoding="utf-8") as told:
            assert told.read().splitlines() == export_lines(memory)


def test_two_exports_to_one_name_and_a_file_of_the_users_own_do_not_meet(tmp_path: Path) -> None:
    file, own = tmp_path / "lines", tmp_path / "lines.part"
    own.write_text("my own")
    with open_memory(tmp_path / "m") as memory, open_memory(tmp_path / "n") as other:
        memory.insert([f"text {n}" for n in range(50)])

        def another(what: str, done: int, total: int) -> None:
            if done == 1:
                other.export(file)

        memory.export(file, progress=another)
        assert file.read_text("utf-8").splitlines() == export_lines(memory)
    assert (own.read_text(), names(tmp_path)) == ("my own", ["lines", "lines.part"])


def test_a_failed_export_leaves_nothing_beside_what_was_there(tmp_path: Path) -> None:
    with open_memory(tmp_path / "m") as memory:
        memory.insert("x")

        def fail(what: str, done: int, total: int) -> None:
            raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            memory.export(tmp_path / "lines", progress=fail)
        with pytest.raises(LedgerError, match="cannot be written: No such file"):
            memory.export(tmp_path / "nowhere" / "lines")
    assert names(tmp_path) == []


def damaged(folder: Path) -> Memory:
    """Return a memory that cannot be read in one place."""
    with open_memory(folder) as memory:
        memory.insert([f"number {n} is kept" for n in range(300)])
    ledger = folder / "ledger.db"
    data = bytearray(ledger.read_bytes())
    at = data.index(b"number 150 is kept") // 4096 * 4096
    data[at : at + 4096] = random.Random(1).randbytes(4096)
    ledger.write_bytes(data)
    return open_memory(folder)


def test_what_is_readable_of_a_damaged_memory_goes_beside_a_good_export(tmp_path: Path) -> None:
    file = tmp_path / "lines.jsonl"
    with open_memory(tmp_path / "good") as good:
        good.insert("x")
        good.export(file)
    before = file.read_text("utf-8")
    with damaged(tmp_path / "m") as memory, open_memory(tmp_path / "new") as new:
        for n, place in enumerate(("lines.jsonl.readable", "lines.jsonl.readable-2")):
            with pytest.raises(LedgerCorrupt, match=f"read is in .*/{place}, and lines.jsonl is as it was"):
                memory.export(file, force=bool(n))
        assert new.import_(tmp_path / "lines.jsonl.readable") > 250
        with pytest.raises(LedgerCorrupt, match=r"read is in [^,]*/fresh$"):
            memory.export(tmp_path / "fresh")
    assert file.read_text("utf-8") == before
    assert names(tmp_path) == ["fresh", "lines.jsonl", "lines.jsonl.readable", "lines.jsonl.readable-2"]
