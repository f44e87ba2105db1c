"""The public contract, over every kind of memory and of draft; and it notices a memory that breaks it."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from chroma_server import chroma_server
from word_vectors import open_memory

from agentevo.memory import Memory
from agentevo.memory.check import check_memory
from agentevo.memory.clauses import Checked
from agentevo.types import Hit, Item


@pytest.fixture
def fresh(tmp_path: Path) -> Iterator[Callable[..., Memory]]:
    """Give new folder memories, closed at the end."""
    numbers, opened = itertools.count(), list[Memory]()

    def make(**options: object) -> Memory:
        opened.append(open_memory(tmp_path / f"m{next(numbers)}", **options))
        return opened[-1]

    yield make
    for memory in opened:
        memory.close()


def test_a_folder_memory_keeps_the_contract(fresh: Callable[..., Memory]) -> None:
    check_memory(fresh)


def test_a_memory_in_this_process_alone_keeps_the_contract() -> None:
    check_memory(lambda: open_memory(":memory:"))


def test_a_namespace_beside_others_keeps_the_contract(tmp_path: Path) -> None:
    with open_memory(tmp_path / "m") as other:
        other.insert(["said twice", "the red fox jumps", "team one", "kept"])
        numbers = itertools.count()
        check_memory(lambda: open_memory(tmp_path / "m", namespace=f"n{next(numbers)}"))


def test_a_memory_over_its_index_keeps_the_contract(fresh: Callable[..., Memory]) -> None:
    check_memory(lambda: fresh(exact_limit=0))


def test_a_memory_over_a_chroma_server_keeps_the_contract(tmp_path: Path, fresh: Callable[..., Memory]) -> None:
    with chroma_server(tmp_path / "chroma") as url:
        check_memory(lambda: fresh(exact_limit=0, chroma=url))


def test_a_draft_and_a_draft_of_a_draft_keep_the_contract(fresh: Callable[..., Memory]) -> None:
    check_memory(lambda: fresh().draft())
    check_memory(lambda: fresh().draft().draft())


def test_a_kept_draft_keeps_the_contract(fresh: Callable[..., Memory]) -> None:
    check_memory(lambda: fresh().draft("kept"))


@pytest.mark.parametrize(
    ("verb", "clause"),
    [
        ("forget", "Forgetting takes out of recall"), ("reinforce", "counts once"), ("edit", "An edit is found"),
        ("purge", "A purge destroys"), ("import_", "An export brings everything back"),
        ("record", "An experience that was recorded"), ("recall", "What was inserted"),
        ("quarantine", "What is quarantined"), ("sweep", "A sweep does once"), ("list", "One item a text"),
        ("at", "a past moment can be read"), ("was_purged", "A purge destroys"),
        ("derived", "What came from what"), ("made_from", "What came from what"),
        ("lineage", "What came from what"), ("kept", "An experience that was recorded"),
        ("reflect", "What a model finds"), ("namespaces", "What is in another namespace"),
        ("reindex", "An index that is made anew"), ("backup", "A backup is a memory of its own"),
    ],
)  # fmt: skip
def test_a_broken_memory_is_named_by_the_clause_it_breaks(verb: str, clause: str) -> None:
    class Broken(Memory):
        """A memory one of whose verbs does nothing."""

    def does_nothing(self: Memory, id: object, *rest: object, **options: object) -> Item | list[Item]:
        return self._must(id) if isinstance(id, str) and self.get(id) else []

    setattr(Broken, verb, does_nothing)

    def broken() -> Checked:
        memory = open_memory(":memory:")
        return Broken(memory._store, memory.namespace, "user", memory._clock)

    with pytest.raises(AssertionError, match=f"broken: .*({clause}|one item, until)"):
        check_memory(broken)


@pytest.mark.parametrize("how", ["an empty file", "an empty memory", "without the rest"])
def test_a_memory_whose_backup_leaves_things_out_is_named(how: str) -> None:
    class Broken(Memory):
        """A memory that backs up next to nothing."""

        def backup(self, folder: str | Path, **_: Any) -> Path:
            with open_memory(folder, namespace=self.namespace) as copy:
                if how == "without the rest":
                    copy.insert("worth a copy")
            if how == "an empty file":
                (Path(folder) / "ledger.db").write_bytes(b"")
            return Path(folder)

    def broken() -> Checked:
        memory = open_memory(":memory:")
        return Broken(memory._store, memory.namespace, "user", memory._clock)

    with pytest.raises(AssertionError, match="broken: A backup is a memory of its own"):
        check_memory(broken)


def test_a_memory_that_recalls_what_is_past_its_date_is_named() -> None:
    class Broken(Memory):
        """A memory for which it is always the beginning of time."""

        def recall(self, query: str, k: int = 5, **options: Any) -> list[Hit]:
            return super().recall(query, k, **{**options, "now": 0.0})

    def broken() -> Checked:
        memory = open_memory(":memory:")
        return Broken(memory._store, memory.namespace, "user", memory._clock)

    with pytest.raises(AssertionError, match="broken: What is past its date"):
        check_memory(broken)
