"""Wrong arguments: every public verb says what it expected, in one short Misuse, and changes nothing."""

from __future__ import annotations

import asyncio
import math
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from word_vectors import WordVectors, export_lines, open_memory

from agentevo.errors import AgentEvoError, Misuse
from agentevo.memory import Evict, Memory
from agentevo.memory.verbs import Verbs
from agentevo.models.fakes import ScriptedModel
from agentevo.types import Experience, Task

EXPERIENCE = Experience(task=Task(id="t", prompt="p"))
Call = Callable[[Any, str, Any], object]
"""Called with a memory or a draft, the id of an item, and the bad value."""

HUGE = "x" * 1_100_000
BAD: dict[str, Any] = {
    "nothing": None, "a fraction": 1.5, "empty": "", "bytes": b"x", "negative": -1, "a billion": 10**12,
    "beyond SQLite": 10**30, "not a number": float("nan"), "huge": HUGE, "NUL": "a\0b", "half": "half \ud83d",
    "a list": [None], "an object": object(), "a mapping": {1: 2}, "true": True,
}  # fmt: skip


def with_field(verb: str, name: str) -> Call:
    if verb == "insert":
        return lambda of, one, bad: of.insert("new text", **{name: bad})
    if verb == "supersede":
        return lambda of, one, bad: of.supersede(one, "new text", **{name: bad})
    return lambda of, one, bad: getattr(of, verb)(one, **{name: bad})


def asked_with(name: str) -> Call:
    return lambda of, one, bad: of.recall("first text", **{name: bad})


def listed_with(name: str) -> Call:
    return lambda of, one, bad: of.list(**{name: bad})


def swept_with(name: str) -> Call:
    return lambda of, one, bad: of.sweep([Evict(9)], **{name: bad})


def reflected_with(name: str) -> Call:
    return lambda of, one, bad: of.reflect(model=ScriptedModel([]), **{name: bad})


def of_ids(verb: str) -> dict[str, Call]:
    return {
        f"{verb} ids": lambda of, one, bad: getattr(of, verb)(bad),
        f"{verb} one of several ids": lambda of, one, bad: getattr(of, verb)([one, bad]),
        f"{verb} reason": lambda of, one, bad: getattr(of, verb)(one, reason=bad),
    }


FIELDS = ("kind", "source", "metadata", "trust", "key_text", "importance", "expires_at", "pinned", "created_at",
          "derived_from", "links", "vectors", "reason", "colour")  # fmt: skip
SHARED: dict[str, Call] = {
    "insert text": lambda of, one, bad: of.insert(bad),
    "insert texts": lambda of, one, bad: of.insert(["fine", bad]),
    "insert vectors": lambda of, one, bad: of.insert(["one", "two"], vectors=bad),
    "insert created_at of two": lambda of, one, bad: of.insert(["one", "two"], created_at=[1.0, bad]),
    **{f"insert {name}": with_field("insert", name) for name in FIELDS},
    **{f"supersede {name}": with_field("supersede", name) for name in FIELDS if name != "vectors"},
    "supersede id": lambda of, one, bad: of.supersede(bad, "new text"),
    "supersede text": lambda of, one, bad: of.supersede(one, bad),
    "apply ops": lambda of, one, bad: of.apply(bad),
    "apply op": lambda of, one, bad: of.apply([bad]),
    "apply reason": lambda of, one, bad: of.apply([], reason=bad),
    **{name: call for verb in ("forget", "restore", "pin", "unpin", "quarantine", "release")
       for name, call in of_ids(verb).items()},
    "link id": lambda of, one, bad: of.link(bad, one),
    "link to": lambda of, one, bad: of.link(one, bad),
    "edit id": lambda of, one, bad: of.edit(bad, "new text"),
    "edit text": lambda of, one, bad: of.edit(one, bad),
    **{f"edit {name}": with_field("edit", name) for name in (*FIELDS, "strength", "last_used_at", "wins")},
    "reinforce ids": lambda of, one, bad: of.reinforce(bad),
    **{f"reinforce {name}": with_field("reinforce", name) for name in ("wins", "losses", "strength", "key")},
    "get id": lambda of, one, bad: of.get(bad),
    "was_purged attempt": lambda of, one, bad: of.was_purged(bad),
    "made_from id": lambda of, one, bad: of.made_from(bad),
    **{f"list {name}": listed_with(name) for name in ("where", "kind", "status", "order", "limit")},
    "list where a value": lambda of, one, bad: of.list(where={"a": bad}),
    "list where an own field": lambda of, one, bad: of.list(where={"$text": {"$gt": bad}}),
    "recall query": lambda of, one, bad: of.recall(bad),
    "recall words": lambda of, one, bad: of.recall(bad, mode="bm25"),
    **{f"recall {name}": asked_with(name) for name in
       ("k", "where", "kind", "mode", "vector", "now", "weights", "mmr", "tokens", "count")},
}  # fmt: skip
OF_MEMORY: dict[str, Call] = {
    "record experience": lambda of, one, bad: of.record(bad),
    "record run": lambda of, one, bad: of.record(EXPERIENCE, run=bad),
    "record id": lambda of, one, bad: of.record(EXPERIENCE, id=bad),
    "experiences run": lambda of, one, bad: list(of.experiences(run=bad)),
    "experiences task": lambda of, one, bad: list(of.experiences(task=bad)),
    "experiences min_score": lambda of, one, bad: list(of.experiences(min_score=bad)),
    "experiences limit": lambda of, one, bad: list(of.experiences(limit=bad)),
    "kept run": lambda of, one, bad: list(of.kept(run=bad)),
    "kept min_score": lambda of, one, bad: list(of.kept(min_score=bad)),
    "history id": lambda of, one, bad: of.history(bad),
    "history limit": lambda of, one, bad: of.history(one, limit=bad),
    "history limit of all": lambda of, one, bad: of.history(limit=bad),
    "lineage": lambda of, one, bad: of.lineage(bad),
    "derived": lambda of, one, bad: of.derived(bad),
    "at": lambda of, one, bad: of.at(bad),
    "purge ids": lambda of, one, bad: of.purge(bad),
    "purge one of several ids": lambda of, one, bad: of.purge(["e", bad]),
    "purge reason": lambda of, one, bad: of.purge("e", reason=bad),
    "import lines": lambda of, one, bad: of.import_(bad),
    "import a line": lambda of, one, bad: of.import_([bad]),
    "backup": lambda of, one, bad: of.backup(bad),
    "reindex": lambda of, one, bad: of.reindex(bad),
    "draft name": lambda of, one, bad: of.draft(bad).insert("drafted"),
    "commit key": lambda of, one, bad: of.draft().commit(key=bad),
    "commit reason": lambda of, one, bad: of.draft().commit(reason=bad),
    "sweep policies": lambda of, one, bad: of.sweep(bad),
    "sweep policy": lambda of, one, bad: of.sweep([bad]),
    **{f"sweep {name}": swept_with(name) for name in ("model", "now", "seed", "dry_run", "reason")},
    **{f"reflect {name}": reflected_with(name) for name in
       ("where", "by", "kinds", "to", "at_least", "at_most", "now")},
    "reflect model": lambda of, one, bad: of.reflect(model=bad),
}  # fmt: skip


@pytest.fixture
def filled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Memory, str]]:
    """A memory with a little of everything, and the id of an item; relative paths lead to a folder of its own."""
    monkeypatch.chdir(tmp_path)
    with open_memory(":memory:") as memory:
        one, _, held = (item.id for item in memory.insert(["first text", "second other thing", "held one"]))
        memory.quarantine(held)
        memory.record(EXPERIENCE, id="e")
        yield memory, one


def refusals(call: Call, of: object, one: str) -> set[str]:
    """Call with every bad value; return which were refused. Whatever is raised is one of ours, and short."""
    said: dict[str, str] = {}
    for name, bad in BAD.items():
        try:
            call(of, one, bad)
        except AgentEvoError as error:
            said[name] = str(error)
    assert {name for name, words in said.items() if len(words) > 600} == set()
    return set(said)


@pytest.mark.parametrize("name", [*SHARED, *OF_MEMORY])
def test_a_memory_answers_whatever_it_is_given_in_its_own_words(filled: tuple[Memory, str], name: str) -> None:
    memory, one = filled
    refused = refusals((SHARED | OF_MEMORY)[name], memory, one)
    assert {"bytes", "an object"} <= refused or name in ("recall words", "import a line"), refused
    assert memory.verify().problems == ()
    with open_memory(":memory:") as other:
        other.import_(export_lines(memory))
        assert export_lines(other)[1:] == export_lines(memory)[1:]


@pytest.mark.parametrize("name", SHARED)
def test_so_does_a_draft_and_what_it_took_can_be_committed(filled: tuple[Memory, str], name: str) -> None:
    memory, one = filled
    with memory.draft() as draft:
        refusals(SHARED[name], draft, one)
        draft.commit()
    assert memory.verify().problems == ()


@pytest.mark.parametrize(
    "name", ["path", "namespace", "embedder", "chroma", "actor", "exact_limit", "busy_timeout_s", "clock"]
)
def test_so_does_opening(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.chdir(tmp_path)

    def opened(of: object, one: str, bad: Any) -> None:
        with Memory.open(**{"path": tmp_path / "m", "embedder": WordVectors(), name: bad}) as memory:
            memory.insert("a text")
            memory.recall("a text")

    assert {"bytes", "an object"} <= refusals(opened, None, "")


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda m: m.recall("x", k=1.5), r"recall\(k=...\) got 1.5; expected a whole number from 0 up"),
        (lambda m: m.recall("x", 1.5), r"recall\(k=...\) got 1.5"),
        (lambda m: m.list(limit=-1), r"list\(limit=...\) got -1; expected a whole number from 0 up, or None"),
        (lambda m: m.forget(7), r"forget\(ids=...\) got 7; expected an id, or a list of ids"),
        (lambda m: m.insert("x", reason=b"y"), r"insert\(reason=...\) got b'y'; expected a text, of whole characters"),
        (lambda m: m.sweep([], seed="x"), r"sweep\(seed=...\) got 'x'; expected a whole number"),
        (lambda m: m.recall("x", now=math.inf), r"recall\(now=...\) got inf; expected a finite number, or None"),
        (lambda m: m.sweep([], now=-math.inf), r"sweep\(now=...\) got -inf; expected a finite number"),
        (lambda m: m.recall("x", kind="facts"), "unknown kind 'facts'; known: fact, "),
        (lambda m: m.recall("x", mode="fuzzy"), "unknown recall mode 'fuzzy'; known: bm25, hybrid, vector"),
    ],
)
def test_the_error_names_the_verb_the_argument_and_what_was_expected(call: Callable[[Any], object], said: str) -> None:
    with open_memory(":memory:") as memory, pytest.raises(Misuse, match=said):
        call(memory)


def test_the_asynchronous_twins_refuse_alike() -> None:
    with open_memory(":memory:") as memory:
        bad: Any = 1.5
        with pytest.raises(Misuse, match=r"recall\(k=...\)"):
            asyncio.run(memory.arecall("x", bad))
        with pytest.raises(Misuse, match=r"sweep\(now=...\)"):
            asyncio.run(memory.asweep([], now="now"))  # type: ignore[arg-type]


def test_every_public_verb_is_in_the_table() -> None:
    plain = {name for kind in (Verbs, Memory) for name in vars(kind) if not name.startswith("_")}
    verbs = {name for name in plain if f"a{name.rstrip('_')}" in plain}
    assert {name.rstrip("_") for name in verbs} - {row.split()[0] for row in SHARED | OF_MEMORY} == {
        "export", "verify", "stats", "undo", "catch_up", "namespaces",
    }  # fmt: skip


def test_what_arrays_give_is_taken() -> None:
    with open_memory(":memory:") as memory:
        memory.insert(["one", "two"], vectors=np.eye(2, 32), created_at=[np.float64(1.0), 2])
        assert memory.recall("one", vector=np.eye(1, 32)[0], now=np.float64(3.0))[0].item.text == "one"


def test_a_folder_whose_name_is_no_utf_8_is_a_folder(tmp_path: Path) -> None:
    name = os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9")
    try:
        Path(name).mkdir()
    except OSError:
        pytest.skip("this file system takes UTF-8 alone")
    with open_memory(name) as memory:
        memory.insert("kept")
        assert (memory.path, memory.stats().live) == (Path(name).resolve(), 1)
