"""Random damage: whatever stands in a ledger's file, each verb ends well or says that it is damaged."""

from __future__ import annotations

import json
import os
import random
import re
import shutil
import sqlite3
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from word_vectors import WordVectors, export_lines, open_memory

from agentevo.errors import AgentEvoError, EmbedderError, LedgerCorrupt, LedgerError, Misuse
from agentevo.memory import Memory
from agentevo.memory.ledger import Ledger
from agentevo.memory.outgoing import exported
from agentevo.types import Attempt, Experience, Task

CASES, AT_ONCE = (2_000, 20) if os.environ.get("AGENTEVO_SOAK") else (30, 10)
TASK = Task(id="t", prompt="p")
EXPERIENCE = Experience(task=TASK, attempts=(Attempt(id="a", task=TASK, answer="an answer"),))


def lived(folder: Path) -> list[str]:
    """Make a memory that holds something of everything; return the ids of its items."""
    with open_memory(folder) as memory:
        texts = [f"number {n} is kept beside {n % 7}" for n in range(60)]
        ids = [item.id for item in memory.insert(texts, metadata=[{"n": n, "tag": ["a", "b"]} for n in range(60)])]
        memory.insert("a lesson", kind="lesson", derived_from=[ids[3]], key_text="another key", expires_at=1e12)
        memory.edit(ids[0], "edited")
        memory.forget(ids[1])
        memory.pin(ids[2])
        memory.quarantine(ids[4])
        memory.reinforce(ids[5], wins=1, key="k")
        memory.supersede(ids[6], "a newer text")
        for n in range(5):
            memory.record(EXPERIENCE, run="r", id=f"e{n}")
        kept = memory.draft("kept")
        kept.insert("drafted")
        kept.forget(ids[7])
        return ids


def drafts(memory: Memory, one: str) -> None:
    with memory.draft() as draft:
        draft.insert("drafted anew")
        draft.edit(one, "edited in a draft")
        draft.recall("drafted")
        draft.commit()


def uses(memory: Memory, ids: list[str], lines: list[str], spare: Path) -> list[Callable[[], object]]:
    return [
        lambda: memory.list(status=None),
        lambda: memory.list(where={"n": {"$gt": 3}}),
        lambda: memory.recall("number 3"),
        lambda: memory.recall("number 3", mode="vector", where={"tag": "a"}),
        lambda: memory.recall("kept beside", mode="bm25", kind="lesson"),
        lambda: memory.recall("number", mmr=0.5),
        lambda: [memory.get(one) for one in ids[:20]],
        lambda: memory.insert("one more"),
        lambda: memory.insert(["number 3 is kept beside 3", "some more"]),
        lambda: memory.edit(ids[10], "edited too", metadata={"z": 1}),
        lambda: memory.forget(ids[11]),
        lambda: memory.purge(ids[12]),
        lambda: memory.supersede(ids[13], "in its place"),
        lambda: memory.reinforce(ids[5], wins=1, key="k"),
        lambda: memory.undo(),
        lambda: memory.history(),
        lambda: memory.history(ids[0]),
        lambda: memory.lineage(ids[3]),
        lambda: memory.derived(ids[3]),
        lambda: memory.at(0.0),
        lambda: memory.record(EXPERIENCE),
        lambda: list(memory.experiences()),
        lambda: memory.draft("kept").commit(),
        lambda: drafts(memory, ids[9]),
        lambda: export_lines(memory),
        lambda: memory.import_(lines),
        lambda: memory.backup(spare),
        lambda: memory.reindex(),
        lambda: memory.reindex(WordVectors()),
        lambda: memory.verify(),
        lambda: memory.stats(),
    ]


def damaged(pages: bytes, dice: random.Random) -> bytes:
    """Overwrite some bytes in some places, some of them where a page begins."""
    data = bytearray(pages)
    for _ in range(dice.choice([1, 1, 2, 4, 8, 16])):
        size = dice.choice([1, 1, 2, 8, 64, 512])
        at = dice.randrange(len(data) - size)
        if dice.random() < 0.3:
            at = at // 4096 * 4096 + dice.choice([0, 8, 100, 2000])
        data[at : at + size] = dice.randbytes(size)
    return bytes(data[: len(pages)])


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[bytes, list[str], list[str]]:
    """The file of a ledger, the ids of its items, and an export of another memory."""
    folder = tmp_path_factory.mktemp("whole") / "m"
    ids = lived(folder)
    with open_memory(":memory:") as other:
        other.insert(["imported", "imported, too"])
        return (folder / "ledger.db").read_bytes(), ids, export_lines(other)


@pytest.mark.parametrize("first", range(0, CASES, AT_ONCE))
def test_whatever_is_overwritten_ends_well_or_in_a_clear_error(
    tmp_path: Path, whole: tuple[bytes, list[str], list[str]], first: int
) -> None:
    pages, ids, lines = whole
    told = 0
    for seed in range(first, first + AT_ONCE):
        dice, folder = random.Random(seed), tmp_path / str(seed)
        folder.mkdir()
        (folder / "ledger.db").write_bytes(damaged(pages, dice))
        told += _told(folder, ids, lines, dice)
        shutil.rmtree(folder)
    assert told > AT_ONCE // 4


def _told(folder: Path, ids: list[str], lines: list[str], dice: random.Random) -> bool:
    """Use a damaged memory in every way, in any order; say whether the damage was told."""
    told = False
    try:
        memory = open_memory(folder)
    except LedgerError:
        return True
    with memory:
        spare = folder / "spare"
        for use in dice.sample(each := uses(memory, ids, lines, spare), len(each)):
            try:
                use()
            except AgentEvoError as error:
                told = told or isinstance(error, LedgerError)
        try:
            return told or not memory.verify().ok
        except LedgerError:
            return True


def lose_page(folder: Path, page: int) -> None:
    with (folder / "ledger.db").open("r+b") as file:
        file.seek((page - 1) * 4096)
        file.write(b"\xff" * 4096)


def root_of(folder: Path, name: str) -> int:
    """Return the page at which a table or an index begins."""
    db = sqlite3.connect(folder / "ledger.db")
    (page,) = db.execute("SELECT rootpage FROM sqlite_master WHERE name = ?", (name,)).fetchone()
    db.close()
    return int(page)


def leaf_of(folder: Path, content: bytes) -> int:
    """Return the page that holds this."""
    return (folder / "ledger.db").read_bytes().index(content) // 4096 + 1


def readable(folder: Path) -> tuple[list[dict[str, Any]], str]:
    """Return the lines of an export as far as it comes, and what it says of the rest."""
    lines: list[dict[str, Any]] = []
    ledger = Ledger(folder / "ledger.db")
    try:
        lines.extend(map(json.loads, exported(ledger, "default")))
    except LedgerCorrupt as error:
        return lines, str(error)
    finally:
        ledger.close()
    return lines, ""


@pytest.fixture(scope="module")
def long_lived(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A memory whose tables take many pages; what is looked for in its pages stands in one of them alone."""
    folder = tmp_path_factory.mktemp("long") / "m"
    with open_memory(folder) as memory:
        ids = [item.id for item in memory.insert([f"number {n} is kept" for n in range(300)])]
        for n in range(40):
            memory.record(Experience(task=Task(id=f"task {n}.", prompt="p" * 200)))
        memory.reinforce(ids, key="k")
        for one in ids[:30]:
            memory.edit(one, metadata={"edited": True})
        attempts = [f"attempt {n} at {'something ' * 9}" for n in range(200)]
        memory.purge(memory.insert("what was tried", kind="experience", derived_from=attempts).id)
    return folder


WHOLE = {
    "header": 1, "item": 300, "transaction": 34, "credit": 300, "experience": 40, "purged": 200, "op": 632, "end": 1,
}  # fmt: skip


@pytest.mark.parametrize(
    ("place", "less", "said"),
    [
        ("sqlite_sequence", {}, ""),
        ("sqlite_autoindex_namespaces_1", {}, ""),
        ("namespaces", {}, ""),
        ("experiences_by_run", {}, ""),
        ("ops_by_txn", {}, ""),
        ("transactions_by_id", {}, ""),
        ("items_by_time", {}, ""),
        ("vectors", {}, "300 parts .*vector of the item in row 1, "),
        ("meta", {}, "1 parts .*every vector"),
        ("items", {"item": 0}, "301 parts .*item in row 1, "),
        ("derived", {"purged": 0}, "1 parts .*some purge marks"),
        ("transactions", {"transaction": 0, "op": 0}, "666 parts .*transaction in row 1, "),
    ],
)
def test_where_one_table_or_index_is_lost_all_else_is_exported(
    tmp_path: Path, long_lived: Path, place: str, less: Mapping[str, int], said: str
) -> None:
    shutil.copytree(long_lived, tmp_path / "m")
    lose_page(tmp_path / "m", root_of(tmp_path / "m", place))
    lines, told = readable(tmp_path / "m")
    assert Counter(line["type"] for line in lines) == +Counter({**WHOLE, **less})
    assert (bool(told), bool(re.search(said, told))) == (bool(said), True)
    has_vectors = place not in ("vectors", "meta")
    assert {line["vector"] is not None for line in lines if line["type"] == "item"} <= {has_vectors}
    with open_memory(":memory:") as new:
        assert new.import_(map(json.dumps, lines)) == less.get("item", 300)
        assert (new.verify().problems, new.verify().vectors) == ((), less.get("item", 300))


@pytest.mark.parametrize(("kind", "least"), [("item", 250), ("experience", 20), ("credit", 200), ("purged", 100)])
def test_of_a_table_with_a_lost_page_the_other_pages_are_exported(
    tmp_path: Path, long_lived: Path, kind: str, least: int
) -> None:
    folder = tmp_path / "m"
    shutil.copytree(long_lived, folder)
    one = readable(folder)[0][150]["id"]
    content = {
        "item": "number 150 is kept", "experience": '"task 20."', "credit": f"k{one}", "purged": "attempt 150 at",
    }[kind]  # fmt: skip
    lose_page(folder, leaf_of(folder, content.encode()))
    lines, said = readable(folder)
    left = Counter(line["type"] for line in lines)
    assert least <= left[kind] < WHOLE[kind]
    assert {**left, kind: 0} == {**WHOLE, kind: 0}
    assert {"credit": "some credits", "purged": "some purge marks"}.get(kind, f"{kind} in row") in said


def test_items_whose_vectors_are_lost_come_without_them(tmp_path: Path, long_lived: Path) -> None:
    shutil.copytree(long_lived, tmp_path / "m")
    lose_page(tmp_path / "m", leaf_of(tmp_path / "m", WordVectors().vector("number 150 is kept").tobytes()))
    items = [line for line in readable(tmp_path / "m")[0] if line["type"] == "item"]
    assert len(items) == 300
    assert 0 < sum(item["vector"] is None for item in items) < 50


def altered(folder: Path, *statements: str) -> None:
    with sqlite3.connect(folder / "ledger.db") as db:
        for statement in statements:
            db.execute(statement)
    db.close()


OUT_OF_SHAPE: Mapping[str, tuple[str, Callable[[Memory, str], object]]] = {
    "the metadata of an item": ("UPDATE items SET metadata = '{'", lambda m, one: m.get(one)),
    "a text that is no UTF-8": ("UPDATE items SET text = CAST(x'ff' AS TEXT)", lambda m, one: m.get(one)),
    "an image in the journal": ("UPDATE ops SET before = '{'", lambda m, one: m.history(one)),
    "an image that undo needs": ("UPDATE ops SET before = '{'", lambda m, one: m.undo()),
    "an image of an earlier moment": ("UPDATE ops SET before = '[]'", lambda m, one: m.at(0.0)),
    "an image that purge reads": ("UPDATE ops SET before = '{'", lambda m, one: m.purge(one)),
    "what a reinforcement added": ("UPDATE ops SET detail = '7'", lambda m, one: m.history(one)),
    "an experience": ("UPDATE experiences SET body = '{}'", lambda m, one: list(m.experiences())),
    "an experience to be purged": ("UPDATE experiences SET body = '{'", lambda m, one: m.purge("e0")),
    "a kept draft": ("UPDATE drafts SET body = '{}'", lambda m, one: m.draft("kept")),
    "what the vectors are like": ("UPDATE meta SET value = 'x' WHERE name = 'dimensions'", lambda m, _: m.insert("x")),
    "a text to embed anew": ("UPDATE items SET text = x'00'", lambda m, one: m.reindex(WordVectors())),
}


@pytest.mark.parametrize("what", OUT_OF_SHAPE)
def test_what_cannot_be_read_back_says_that_the_ledger_is_damaged(tmp_path: Path, what: str) -> None:
    one = lived(tmp_path)[5]
    statement, use = OUT_OF_SHAPE[what]
    altered(tmp_path, statement)
    with open_memory(tmp_path) as memory, pytest.raises(LedgerCorrupt, match=r"is damaged .*agentevo memory export"):
        use(memory, one)


def test_an_item_of_a_kind_that_nobody_knows_is_told_by_verify_and_hides_no_other(tmp_path: Path) -> None:
    one, *_ = lived(tmp_path)
    altered(tmp_path, f"UPDATE items SET kind = 'f!ct' WHERE id = '{one}'")
    with open_memory(tmp_path) as memory:
        assert memory.recall("number 3 is kept beside 3", 1, mode="vector")[0].item.text == "number 3 is kept beside 3"
        assert any(one in problem for problem in memory.verify().problems)


def test_a_mistake_over_a_whole_ledger_stays_what_it_is(tmp_path: Path) -> None:
    lived(tmp_path)
    with open_memory(tmp_path) as memory:
        ledger = memory._store.ledger
        for within in (ledger.reading, ledger.writing, ledger.snapshot):
            with pytest.raises(ZeroDivisionError), within():
                _ = 1 // 0
            with pytest.raises(Misuse), within():
                raise Misuse("not of the ledger")
        with pytest.raises(EmbedderError):
            memory.import_([json.dumps({"type": "header", "format": 1, "embedder": "another"}), '{"type":"end"}'])
        assert memory.verify().ok
