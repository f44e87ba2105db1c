"""A record: what is done under a name is done once, also by the next process."""

from __future__ import annotations

import asyncio
import gc
import subprocess
import sys
import tracemalloc
from collections.abc import Sequence
from pathlib import Path

import pytest

from agentevo.errors import BudgetExceeded, Misuse, RunError
from agentevo.events import Added, Ended, Started
from agentevo.models import ScriptedModel
from agentevo.models.usage import spending
from agentevo.position import attempt_id, here
from agentevo.record import Record
from agentevo.steps import unfinished
from agentevo.types import Attempt, Experience, Op, Task

TASKS = [Task(id=f"t{n}", prompt=f"do {n}") for n in range(4)]


def worker(done: list[str]) -> object:
    async def work(task: Task) -> Experience:
        done.append(task.id)
        await asyncio.sleep(0)
        return Experience(task=task, attempts=(Attempt(id=attempt_id(), task=task, answer=task.id),))

    return work


async def made(value: object, done: list[object]) -> object:
    done.append(value)
    return value


def test_what_was_done_is_read_by_the_next_process(tmp_path: Path) -> None:
    calls: list[int] = []

    async def work() -> list[Op]:
        calls.append(1)
        return [Op(verb="forget", id="x", reason="because")]

    for _ in range(2):
        with Record.open(tmp_path) as record:
            got = asyncio.run(record.turn(0).once("update.0", list[Op], work))
            assert got == [Op(verb="forget", id="x", reason="because")]
    assert calls == [1]


def test_turns_and_slots_have_names_of_their_own(tmp_path: Path) -> None:
    async def place() -> str:
        return here()

    async def four(record: Record) -> list[str]:
        return [await record.turn(turn).once(name, str, place) for turn in (0, 1) for name in ("a", "b")]

    with Record.open(tmp_path, id="run") as record:
        assert asyncio.run(four(record)) == ["run/0/a", "run/0/b", "run/1/a", "run/1/b"]
        assert (record.key, record.turn(3).key) == ("run", "run/3")


def test_each_task_is_worked_on_once_and_the_order_stays(tmp_path: Path) -> None:
    done: list[str] = []
    with Record.open(tmp_path, id="run") as record:
        first = asyncio.run(record.each("act", TASKS[:2], worker(done)))  # type: ignore[arg-type]
    with Record.open(tmp_path) as record:
        second = asyncio.run(record.each("act", TASKS, worker(done)))  # type: ignore[arg-type]
    assert done == ["t0", "t1", "t2", "t3"]
    assert second[:2] == first
    assert [x.attempts[0].id for x in second] == [f"run/act/t{n}#0" for n in range(4)]


def test_what_was_kept_stays_on_the_disk_and_not_in_memory(tmp_path: Path) -> None:
    async def work(task: Task) -> Experience:
        return Experience(task=task, attempts=(Attempt(id="a", task=task, answer="x" * 20_000),))

    tasks = [Task(id=f"t{n}", prompt="do") for n in range(200)]

    def growth(record: Record) -> int:
        tracemalloc.start()
        assert len(asyncio.run(record.each("act", tasks, work))) == 200
        gc.collect()
        grown, _ = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return grown

    for _ in range(2):  # as it is done, and as it is read
        with Record.open(tmp_path) as record:
            assert growth(record) < 1_000_000
    assert (tmp_path / "journal.jsonl").stat().st_size > 4_000_000


def test_a_task_that_comes_twice_is_worked_on_twice(tmp_path: Path) -> None:
    done: list[str] = []
    with Record.open(tmp_path, id="r") as record:
        got = asyncio.run(record.each("act", [TASKS[0], TASKS[0]], worker(done)))  # type: ignore[arg-type]
    assert [x.attempts[0].id for x in got] == ["r/act/t0#0", "r/act/t0~2#0"]


def test_no_more_are_under_way_at_once_than_asked_for() -> None:
    under_way: list[int] = [0, 0]

    async def work(task: Task) -> Experience:
        under_way[0] += 1
        under_way[1] = max(under_way)
        await asyncio.sleep(0)
        under_way[0] -= 1
        return Experience(task=task)

    asyncio.run(Record.open(concurrency=3).each("act", TASKS * 5, work))
    assert under_way == [0, 3]


def test_an_error_ends_the_others_and_keeps_what_had_ended(tmp_path: Path) -> None:
    ended: list[str] = []

    async def work(task: Task) -> Experience:
        if task.id == "t1":
            await asyncio.sleep(0)
            raise Misuse("set up wrongly")
        if task.id == "t2":
            try:
                await asyncio.sleep(60)
            finally:
                ended.append("t2")
        return Experience(task=task)

    with Record.open(tmp_path) as record, pytest.raises(Misuse, match="set up wrongly"):
        asyncio.run(record.each("act", TASKS[:3], work))
    assert ended == ["t2"]
    done: list[str] = []
    with Record.open(tmp_path) as record:
        asyncio.run(record.each("act", TASKS[:3], worker(done)))  # type: ignore[arg-type]
    assert done == ["t1", "t2"]


def test_what_was_paid_before_is_counted_and_not_paid_again(tmp_path: Path) -> None:
    async def ask(record: Record, model: ScriptedModel) -> str:
        async def work() -> str:
            return (await record.model(model).complete([{"role": "user", "content": "hi"}])).text

        return await record.once("a", str, work)

    usages = []
    model = ScriptedModel(["hello"])
    for _ in range(2):
        with Record.open(tmp_path) as record, spending() as meter:
            assert asyncio.run(ask(record, model)) == "hello"
            usages.append(meter.usage)
    assert usages[0] == usages[1]
    assert usages[0].calls == 1


def test_a_reply_is_given_again_only_in_its_own_place(tmp_path: Path) -> None:
    async def ask(record: Record, model: ScriptedModel, names: Sequence[str], fail: bool) -> list[str]:
        replies = []
        recorded = record.model(model)

        async def work() -> str:
            replies.append((await recorded.complete([{"role": "user", "content": "hi"}])).text)
            if fail:
                raise BudgetExceeded("killed here")
            return ""

        for name in names:
            try:
                await record.once(name, str, work)
            except BudgetExceeded:
                continue
        return replies

    with Record.open(tmp_path) as record:
        assert asyncio.run(ask(record, ScriptedModel(["one", "two"]), "ab", True)) == ["one", "two"]
    with Record.open(tmp_path) as record:
        assert asyncio.run(ask(record, ScriptedModel(["new"]), "bca", False)) == ["two", "new", "one"]


def test_a_turn_begins_at_one_time_however_often_it_is_resumed(tmp_path: Path) -> None:
    times = iter([100.0, 200.0])
    for _ in range(2):
        with Record.open(tmp_path, clock=lambda: next(times)) as record:
            assert asyncio.run(record.turn(0).now()) == 100.0


def test_a_run_about_something_else_is_refused(tmp_path: Path) -> None:
    Record.open(tmp_path, about={"model": "a", "seed": 1}).close()
    with pytest.raises(Misuse, match=r"begun with another seed \(seed: then 1, now 2\)"):
        Record.open(tmp_path, about={"model": "a", "seed": 2})
    Record.open(tmp_path, about={"model": "a", "seed": 1}).close()


@pytest.mark.parametrize("said", ["", "[]", "{}", "\x00"])
def test_a_damaged_description_is_an_error(tmp_path: Path, said: str) -> None:
    (tmp_path / "run.json").write_text(said)
    with pytest.raises(RunError, match="begin a new run"):
        Record.open(tmp_path)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ('{"value": 1}', "at byte 0, is damaged: it has no key; begin a new run"),
        ('{"key": "0/now", "walue": 1}', r"what .* keeps as '0/now' does not fit: value: .*; .* begin a"),
        (
            '{"key": "0/now", "value": "soon"}',
            r"what .* keeps as '0/now' does not fit: value: .*soon.*; .* begin",
        ),
        (
            '{"key": "0/now", "value": 1, "usage": {"cals": 1}}',
            r"what .* keeps as '0/now' does not fit: cals: .*begin",
        ),
    ],
)
def test_a_line_that_says_something_else_than_it_should_is_an_error(tmp_path: Path, line: str, said: str) -> None:
    (tmp_path / "journal.jsonl").write_text(f"{line}\n")
    with pytest.raises(RunError, match=said), Record.open(tmp_path) as record:
        asyncio.run(record.turn(0).now())


def test_a_step_of_another_version_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "steps.jsonl"
    path.write_text('{"attempt": "a", "ended": "by itself"}\n{"attempt": "a", "mesage": {}}\n')
    with pytest.raises(RunError, match=r"steps\.jsonl, line 2, does not fit: mesage: "):
        unfinished(path)


def test_a_run_keeps_its_id(tmp_path: Path) -> None:
    with Record.open(tmp_path) as first:
        pass
    with Record.open(tmp_path, id="other") as second:
        assert second.id == first.id


HOLDING = (
    "import sys; from agentevo.record import Record; r = Record.open(sys.argv[1]); print('held', flush=True); input()"
)


def test_two_processes_never_run_one_run(tmp_path: Path) -> None:
    command = [sys.executable, "-c", HOLDING, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        with pytest.raises(RunError, match="under way already, in this process or another"):
            Record.open(tmp_path)
        other.communicate("\n")
    Record.open(tmp_path).close()


def test_steps_can_be_read_of_an_attempt_that_never_ended(tmp_path: Path) -> None:
    task = TASKS[0]
    with Record.open(tmp_path) as record:
        record.note(Started(attempt="a", task=task))
        record.note(Added(attempt="a", message={"role": "user", "content": "hi"}))
        record.note(Started(attempt="b", task=task))
        record.note(Ended(attempt=Attempt(id="b", task=task)))
    path = tmp_path / "steps.jsonl"
    with path.open("a") as file:
        file.write('{"attempt": "a", "mess')
    (left,) = unfinished(path)
    assert (left.id, left.messages, left.stopped) == ("a", ({"role": "user", "content": "hi"},), "did not end")


def test_without_a_folder_everything_works_and_nothing_is_kept() -> None:
    done: list[str] = []
    record = Record.open()
    for _ in range(2):
        asyncio.run(record.each("act", TASKS[:1], worker(done)))  # type: ignore[arg-type]
    record.note(Started(attempt="a", task=TASKS[0]))
    record.sync()
    record.close()
    assert (done, record.folder) == (["t0", "t0"], None)


def test_misuse_is_refused_at_once(tmp_path: Path) -> None:
    with pytest.raises(Misuse, match="concurrency is 0"):
        Record.open(concurrency=0)
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match="cannot use the run folder"):
        Record.open(tmp_path / "file")
