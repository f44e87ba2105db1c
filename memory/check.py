"""The contract of a memory as a function: what every memory, and every draft of one, must do."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from agentevo.memory.clauses import CLAUSES, Checked, current, live, recalled, refused, same
from agentevo.memory.forget import Evict
from agentevo.memory.memory import Memory
from agentevo.models import ScriptedModel
from agentevo.types import Experience, Task


def check_memory(open_memory: Callable[[], Checked]) -> None:
    """Check the contract, clause by clause, each on a fresh and empty memory or draft that `open_memory` gives.

    Raises AssertionError, which names the clause that is broken and says how.
    """
    for clause in CLAUSES:
        with open_memory() as memory:
            _check(clause, memory)
    for whole in CLAUSES_OF_THE_WHOLE:
        with open_memory() as memory:
            if isinstance(memory, Memory):
                _check(whole, memory)
    with open_memory() as memory, open_memory() as other:
        if isinstance(memory, Memory) and isinstance(other, Memory):
            _check(_travels, memory, other)


def _check(clause: Callable[..., None], *memories: Checked) -> None:
    try:
        clause(*memories)
    except Exception as error:  # what is checked may be anybody's, and raise anything
        raise AssertionError(f"broken: {clause.__doc__} {type(error).__name__}: {error}") from error


def _looks_back(memory: Memory) -> None:
    """History tells what happened and by whom, undo takes back the latest change, and a past moment can be read."""
    item = memory.insert("as it was", created_at=1.0, reason="first")
    memory.edit(item.id, "as it is", reason="second")
    changes = [(change.verb, change.reason) for change in memory.history(item.id)]  # type: ignore[union-attr]
    same(changes, [("insert", "first"), ("edit", "second")], "its history")
    memory.undo()
    same(current(memory, item).text, "as it was", "its text after undo")
    memory.undo()
    same(current(memory, item).status, "forgotten", "its status after undoing the insert")
    refused("an undo of nothing", memory.undo)
    same(memory.at(float("-inf")), [], "the items before the beginning")
    same(memory.at(float("inf")), memory.list(status=None, order="oldest"), "the items at the end of time")


def _descends(memory: Memory) -> None:
    """What came from what is known, in one step and in all."""
    source = memory.insert("a source")
    child = memory.insert("from it", kind="lesson", derived_from=[source.id, "an attempt"])
    grandchild = memory.insert("from that", kind="lesson", derived_from=[child.id])
    lineage = memory.lineage(child.id)
    same((lineage.parents, lineage.origins, lineage.children), ((source,), ("an attempt",), (grandchild,)), "lineage")
    same(memory.made_from("an attempt"), [child], "what was made from an attempt")
    same(memory.derived(source.id), [child, grandchild], "what is derived, however far down")


def _purges(memory: Memory) -> None:
    """A purge destroys an item, quarantines what came from it, leaves the rest whole, and is known of its attempt."""
    source = memory.insert("the source")
    child = memory.insert("a lesson from it", kind="lesson", derived_from=[source.id])
    other = memory.insert("unrelated")
    same(memory.purge(source.id).derived, (child.id,), "what was derived")
    same((memory.get(source.id), current(memory, child).status), (None, "quarantined"), "the item and its child")
    same(live(memory), {other.text}, "what is live")
    done = memory.insert("asked, and answered", kind="experience", derived_from=["an attempt"])
    known = [memory.was_purged("an attempt")]
    memory.purge(done.id)
    same([*known, memory.was_purged("an attempt")], [False, True], "whether what came of an attempt was purged")


def _records(memory: Memory) -> None:
    """An experience that was recorded never changes; they are told oldest first."""
    task = Task(id="t", prompt="what was asked")
    name = memory.record(Experience(task=task), id="first")
    refused("an experience under an id that is taken", lambda: memory.record(
        Experience(task=task.model_copy(update={"prompt": "something else"})), id=name
    ))  # fmt: skip
    second = memory.record(Experience(task=task), id="a second")
    told = [(key, one.task.prompt) for key, one in memory.experiences()]
    same(told, [(name, task.prompt), (second, task.prompt)], "what is recorded")
    same([one.id for one in memory.kept()], [name, second], "what is kept")


def _sweeps(memory: Memory) -> None:
    """A sweep does once what its policies say; a dry run says it, and changes nothing."""
    memory.insert(["one", "two", "three"])
    swept = memory.sweep([Evict(1)], dry_run=True)
    same((len(swept.ops), swept.transaction, len(live(memory))), (2, None, 3), "what a dry run says, and leaves")
    memory.sweep([Evict(1)])
    same(live(memory), {"three"}, "what a sweep leaves")


def _reflects(memory: Memory) -> None:
    """What a model finds in items is inserted, derived from what it rests on; a bad reply loses nothing."""
    items = memory.insert(["one", "two", "three"])
    memory.reflect(model=ScriptedModel(["no JSON", "none either"]), by="all")
    same((live(memory), len(memory.list(status="quarantined"))), ({"one", "two", "three"}, 1), "after bad replies")
    memory.reflect(model=ScriptedModel(['{"insights": [{"text": "they count", "rests_on": [1, 3]}]}']), by="all")
    found = {item.text: item.derived_from for item in memory.list(kind="lesson")}
    same(found, {"they count": (items[0].id, items[2].id)}, "what was found")


def _keeps_apart(memory: Memory) -> None:
    """What is in another namespace is not seen here, and is not found."""
    memory.insert("said here")
    with memory.within("beside this one") as beside:
        beside.insert("said there")
        same((live(memory), live(beside)), ({"said here"}, {"said there"}), "what is live here, and there")
        same(recalled(memory, "said there"), ["said here"], "what is recalled here")
    same({memory.namespace, "beside this one"} - {*memory.namespaces()}, set(), "namespaces that are not named")


def _is_indexed_anew(memory: Memory) -> None:
    """An index that is made anew has every vector."""
    memory.insert(["the red fox jumps", "a dog sleeps"])
    same(memory.reindex() >= 2, True, "that two vectors are indexed")
    same(recalled(memory, "a dog sleeps", mode="vector")[:1], ["a dog sleeps"], "recall by vector")


def _is_backed_up(memory: Memory) -> None:
    """A backup is a memory of its own that holds all there was, vectors and history too."""
    memory.edit(memory.insert("worth a copi", metadata={"x": 1}).id, "worth a copy")
    memory.forget(memory.insert("forgotten").id)
    memory.record(Experience(task=Task(id="t", prompt="what was asked")))
    lines = _exported(memory)
    with TemporaryDirectory() as folder:
        place = memory.backup(Path(folder) / "copy")
        with Memory.open(place, namespace=memory.namespace, embedder=memory._store.embedder) as copy:
            same(_exported(copy), lines, "what the copy exports")
            same(recalled(copy, "worth a copy", mode="vector"), ["worth a copy"], "recall from the copy")
            same(copy.verify().problems, (), "verify of the copy")
            copy.insert("written to the copy")
    same(_exported(memory), lines, "what is here after the copy was written to")


def _travels(memory: Memory, other: Memory) -> None:
    """An export brings everything back, byte for byte, and the memory says of itself that it is whole."""
    item = memory.insert("goes on a journey", metadata={"x": [1, None, {"y": "é"}]})
    memory.edit(item.id, "went on a journey")
    memory.reinforce(item.id, wins=1, key="k")
    memory.forget(memory.insert("stays behind").id)
    memory.record(Experience(task=Task(id="t", prompt="what was asked")))
    memory.purge(memory.insert("asked, and answered", kind="experience", derived_from=["an attempt"]).id)
    lines = _exported(memory)
    same(memory.import_(lines), 0, "an import of what is here already")
    same(memory.verify().problems, (), "verify")
    same(memory.stats().live, 1, "the live items")
    same(other.import_(lines), 2, "an import elsewhere")
    same([i.id for i in other.list(status=None)], [i.id for i in memory.list(status=None)], "the items there")
    same(_exported(other)[1:], lines[1:], "what is exported there again, but for the namespace in its first line")
    same(other.was_purged("an attempt"), True, "whether what came of an attempt was purged, there")
    same(other.verify().problems, (), "verify there")


def _exported(memory: Memory) -> list[str]:
    exported = memory.export()
    if isinstance(exported, int):
        raise AssertionError("an export without a path gives lines")
    return list(exported)


CLAUSES_OF_THE_WHOLE: Sequence[Callable[[Memory], None]] = (
    _looks_back, _descends, _purges, _records, _sweeps, _reflects, _keeps_apart, _is_indexed_anew, _is_backed_up,
)  # fmt: skip
"""What holds of a memory alone: a draft has no history, no purge and no export of its own."""
