"""Where an export goes: a file, a folder or a stream; whole or not at all; and in bounded memory."""

from __future__ import annotations

import gc
import hashlib
import json
import os
import resource
import signal
import subprocess
import sys
import time
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from moments import attempt, experience
from worlds import World, call, looped

from agentevo.errors import ExportError, Misuse
from agentevo.memory import Memory
from agentevo.types import Experience, Feedback, Json, Message
from agentevo.weights import DataCard, export_pairs, export_sft

ROOT = Path(__file__).parents[3]
IS_SOAK = bool(os.environ.get("AGENTEVO_SOAK"))


def many(count: int, length: int = 1) -> Iterator[Experience]:
    for n in range(count):
        right = attempt(f"a{n}", f"Where is number {n}?", f"It is at {n}." * length, 1.0)
        yield experience(right, attempt(f"b{n}", right.task.prompt, f"It is not at {n}.", 0.0))


def beside(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def lines(path: Path) -> list[Any]:
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def test_a_file_has_its_card_beside_it(tmp_path: Path) -> None:
    card = export_sft(many(3), tmp_path / "new" / "data.jsonl")
    folder = tmp_path / "new"
    assert beside(folder) == ["data.card.json", "data.card.md", "data.jsonl"]
    assert DataCard.model_validate_json((folder / "data.card.json").read_text("utf-8")) == card
    assert (folder / "data.card.md").read_text("utf-8") == card.as_markdown()
    assert len(lines(folder / "data.jsonl")) == card.rows == 3
    assert hashlib.sha256((folder / "data.jsonl").read_bytes()).hexdigest() == card.sha256


def test_a_folder_is_what_datasets_load_with_tool_calls_as_they_were(tmp_path: Path) -> None:
    from datasets import load_from_disk

    found, asked = [], list[dict[str, Any]]([{"at": "hall"}, {"to": ["x", {"y": None}]}])
    for n, given in enumerate(asked):
        one = looped(World(), [call(**given), f"Number {n}."]).told(Feedback(score=1.0))
        found.append(Experience(task=one.task, attempts=(one,)))
    card = export_sft(found, tmp_path / "data")
    export_sft(found, tmp_path / "data.jsonl")
    assert {"card.json", "card.md", "dataset_info.json"} <= set(beside(tmp_path / "data"))
    loaded = load_from_disk(str(tmp_path / "data"))
    assert [dict(row) for row in loaded] == lines(tmp_path / "data.jsonl")
    calls = [row["completion"][0]["tool_calls"][0]["function"]["arguments"] for row in loaded]
    assert (calls, card.rows) == (asked, 2)


def calling(*arguments: str) -> list[Experience]:
    """What called a tool with these arguments, once each."""
    made = []
    for n, given in enumerate(arguments):
        function: Json = {"name": "pay", "arguments": given}
        called: Message = {"role": "assistant", "tool_calls": [{"id": "c", "type": "function", "function": function}]}
        messages: list[Message] = [{"role": "user", "content": f"{n}?"}, called]
        made.append(experience(attempt(f"a{n}", f"{n}?", score=1.0, messages=messages)))
    return made


def test_a_row_that_datasets_could_not_read_is_left_out_of_a_folder_alone(tmp_path: Path) -> None:
    from datasets import load_from_disk

    told = calling('{"wei": 123456789012345678901234567890}', '{"wei": -9223372036854775808}', '{"at": 59.91386880001}')
    card = export_sft(told, tmp_path / "data")
    assert export_sft(told, tmp_path / "data.jsonl").rows == 3
    assert (card.rows, card.dropped) == (2, {"unreadable by datasets": 1})
    assert [dict(row) for row in load_from_disk(str(tmp_path / "data"))] == lines(tmp_path / "data.jsonl")[1:]


NO_JSON = ['{"x": NaN}', '{"x": [-Infinity]}', '{"x": 1e999}', "{", *("[" * deep + "]" * deep for deep in (101, 5000))]


@pytest.mark.parametrize("arguments", NO_JSON)
def test_arguments_that_are_no_json_are_no_row(arguments: str, tmp_path: Path) -> None:
    with pytest.raises(ExportError) as raised:
        export_sft(calling(arguments), tmp_path / "data.jsonl")
    assert raised.value.dropped == {"a call that is no JSON": 1}


def test_a_folder_of_preferences(tmp_path: Path) -> None:
    from datasets import load_from_disk

    export_pairs(many(2), tmp_path / "pairs")
    assert [row["margin"] for row in load_from_disk(str(tmp_path / "pairs"))] == [1.0, 1.0]


def test_what_is_there_is_replaced_only_when_asked(tmp_path: Path) -> None:
    for out in (tmp_path / "data.jsonl", tmp_path / "folder"):
        export_sft(many(1), out)
        with pytest.raises(Misuse, match="is there already"):
            export_sft(many(2), out)
        assert export_sft(many(2), out, force=True).rows == 2
    assert len(lines(tmp_path / "data.jsonl")) == 2
    assert json.loads((tmp_path / "folder" / "card.json").read_text())["rows"] == 2
    assert beside(tmp_path) == ["data.card.json", "data.card.md", "data.jsonl", "folder"]


def test_who_reads_an_export_that_is_replaced_reads_it_to_its_end(tmp_path: Path) -> None:
    export_sft(many(1), tmp_path / "data.jsonl")
    before = (tmp_path / "data.jsonl").read_text("utf-8")
    with (tmp_path / "data.jsonl").open(encoding="utf-8") as reading:
        export_sft(many(2), tmp_path / "data.jsonl", force=True)
        assert reading.read() == before


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("thesis/only copy", "x"), ("folder.jsonl/only copy", "x"), ("file", "x"), ("empty.jsonl", ""),
        ("notes.jsonl", '{"prompt": "q", "completion": "a"}\n'), ("list.jsonl", "[1]\n"), ("no.jsonl", "\ud83d"),
    ],
)  # fmt: skip
def test_nothing_but_an_export_is_ever_replaced(path: str, text: str, tmp_path: Path) -> None:
    kept, out = tmp_path / path, tmp_path / Path(path).parts[0]
    kept.parent.mkdir(exist_ok=True)
    kept.write_text(text, "utf-8", "surrogatepass")
    before = kept.read_bytes()
    with pytest.raises(Misuse, match=r"give another name|needs another name"):
        export_sft(many(1), out, force=True)
    assert (kept.read_bytes(), beside(tmp_path)) == (before, [out.name])


@pytest.mark.parametrize("force", [False, True])
@pytest.mark.parametrize("name", ["data.card.json", "data.card.md"])
def test_a_card_that_is_no_export_s_is_never_overwritten(name: str, force: bool, tmp_path: Path) -> None:
    (tmp_path / name).write_text('{"deck": "mine"}', "utf-8")
    with pytest.raises(Misuse, match=f"{name}, where the card goes, is there already"):
        export_sft(many(1), tmp_path / "data.jsonl", force=force)
    assert (beside(tmp_path), (tmp_path / name).read_text("utf-8")) == ([name], '{"deck": "mine"}')


def test_a_folder_with_a_foreign_card_or_more_than_an_export_writes_is_never_replaced(tmp_path: Path) -> None:
    (tmp_path / "deck").mkdir()
    (tmp_path / "deck" / "card.json").write_text('{"deck": "mine"}', "utf-8")
    with pytest.raises(Misuse, match=r"no export \(it has no card.json of an export\)"):
        export_sft(many(1), tmp_path / "deck", force=True)
    export_sft(many(1), tmp_path / "data")
    (tmp_path / "data" / "precious.txt").write_text("years of work", "utf-8")
    with pytest.raises(Misuse, match=r"it holds precious.txt, which no export writes"):
        export_sft(many(1), tmp_path / "data", force=True)
    assert (tmp_path / "data" / "precious.txt").read_text("utf-8") == "years of work"


def test_a_folder_that_datasets_has_read_and_mapped_is_replaced(tmp_path: Path) -> None:
    from datasets import load_from_disk

    export_sft(many(2), tmp_path / "data")
    load_from_disk(str(tmp_path / "data")).map(dict, load_from_cache_file=False)
    assert any(name.startswith("cache-") for name in beside(tmp_path / "data"))
    assert export_sft(many(3), tmp_path / "data", force=True).rows == 3


@pytest.mark.parametrize("force", [False, True])
@pytest.mark.parametrize("name", ["pipe", "pipe.jsonl"])
def test_what_is_neither_a_file_nor_a_folder_stays(name: str, force: bool, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / name)
    (tmp_path / "gone.jsonl").symlink_to(tmp_path / "nowhere")
    for out in (tmp_path / name, tmp_path / "gone.jsonl"):
        with pytest.raises(Misuse, match="neither a file nor a folder; give another name"):
            export_sft(many(1), out, force=force)
    assert (tmp_path / name).is_fifo()
    assert (tmp_path / "gone.jsonl").is_symlink()


@pytest.mark.parametrize("export", [export_sft, export_pairs])
@pytest.mark.parametrize("left", ["data.card.json", "data.jsonl"])
def test_an_export_is_known_by_its_card_or_by_its_rows(
    left: str, export: Callable[..., DataCard], tmp_path: Path
) -> None:
    out = tmp_path / "data.jsonl"
    export(many(1), out)
    if left == "data.jsonl":
        (tmp_path / "data.card.json").unlink()
    else:
        out.write_text("edited", "utf-8")
    assert export(many(2), out, force=True).rows == len(lines(out)) == 2


def test_a_place_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ExportError, match=r"out.jsonl cannot be written: .*; nothing of it is there"):
        export_sft(many(1), tmp_path / "file" / "out.jsonl")
    with pytest.raises(ExportError, match="cannot be written"):
        export_sft(many(1), Path("/proc/nowhere/out.jsonl"))


def test_an_export_that_is_empty_or_breaks_leaves_nothing(tmp_path: Path) -> None:
    def broken() -> Iterator[Experience]:
        yield from many(2)
        raise RuntimeError("the source broke")

    with pytest.raises(ExportError, match="nothing to export"):
        export_sft([], tmp_path / "data.jsonl")
    with pytest.raises(RuntimeError, match="the source broke"):
        export_sft(broken(), tmp_path / "data.jsonl")
    assert beside(tmp_path) == []


PROGRAM = """
import sys
sys.path[:0] = ["tests"]
from pathlib import Path
from moments import attempt, experience
from agentevo.errors import ExportError
from agentevo.weights import export_sft

def slowly():
    for n in range(1500):
        if n == 1000:
            print("far", flush=True)
            WAIT
        yield experience(attempt(f"a{n}", f"Where is number {n}?", f"It is at {n}.", 1.0))

try:
    export_sft(slowly(), Path(sys.argv[1]), force=True)
except ExportError as error:
    sys.exit(str(error))
"""


def program(out: Path, wait: str, limit: Callable[[], None] | None = None) -> subprocess.Popen[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", PROGRAM.replace("WAIT", wait), str(out)]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, cwd=ROOT, env=environment, stdout=pipe, stderr=pipe, text=True, preexec_fn=limit)


def little_room() -> None:
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, 300_000))


def test_a_full_disk_leaves_what_was_there(tmp_path: Path) -> None:
    export_sft(many(1), tmp_path / "data.jsonl")
    before = (tmp_path / "data.jsonl").read_bytes()
    with program(tmp_path / "data.jsonl", "pass", little_room) as process:
        said = process.communicate(timeout=120)[1]
    assert (process.returncode, "cannot be written" in said) == (1, True), said
    assert (tmp_path / "data.jsonl").read_bytes() == before
    assert beside(tmp_path) == ["data.card.json", "data.card.md", "data.jsonl"]


def test_a_killed_export_leaves_nothing_under_its_name(tmp_path: Path) -> None:
    with program(tmp_path / "data.jsonl", "import time; time.sleep(600)") as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "far\n"
        process.kill()
    assert [name for name in beside(tmp_path) if not name.startswith(".")] == []


def peak(count: int, folder: Path, export: Callable[..., DataCard]) -> int:
    """Return the bytes that Python held at most while it exported so many experiences."""
    gc.collect()
    tracemalloc.start()
    card = export(many(count, length=20), folder / f"{export.__name__}-{count}.jsonl")
    held = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert card.rows == count
    return held


@pytest.mark.parametrize("export", [export_sft, pytest.param(export_pairs, marks=pytest.mark.soak)])
def test_memory_does_not_grow_with_the_number_of_experiences(tmp_path: Path, export: Callable[..., DataCard]) -> None:
    export(many(10), tmp_path / "loaded.jsonl")
    few, more = peak(300, tmp_path, export), peak(5_000 if IS_SOAK else 1_000, tmp_path, export)
    assert more < few + 300_000, (few, more)


@pytest.mark.soak
@pytest.mark.timeout(1_800)
def test_50_000_experiences_of_a_memory_are_exported_in_bounded_memory(tmp_path: Path) -> None:
    with Memory.open(tmp_path / "m", embedder="hash") as memory:
        with memory._store.ledger.writing():  # one transaction, or it takes minutes
            for made in many(50_000):
                memory.record(made)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        began = time.process_time()
        card = export_sft(memory, tmp_path / "data.jsonl", against={"held": ["Where is number 49999?"]})
        grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert (card.rows, card.dropped) == (49_999, {"in held": 1, "low score": 50_000})
    assert grown < 60_000, f"{grown} kB more"
    assert time.process_time() - began < 600


def test_a_huge_message_is_left_out_without_much_ado(tmp_path: Path) -> None:
    found = [*many(1, length=1_000_000), *many(2)]
    assert export_sft(found, tmp_path / "data.jsonl").dropped == {"low score": 3, "too long": 1}
