from __future__ import annotations

import asyncio
import json
import logging
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from pydantic import BaseModel

from agentevo.errors import BudgetExceeded, ModelTimeout
from agentevo.models import Budget, Cached, FunctionModel, LiteLLMModel, ScriptedModel, spending
from agentevo.types import Message, Reply, TokenLogprob, ToolCall, Usage

ASK: list[Message] = [{"role": "user", "content": "hello there"}]
OTHER: list[Message] = [{"role": "user", "content": "something else"}]


class Person(BaseModel):
    name: str


def entries(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def test_an_equal_request_is_asked_once_also_by_a_later_process(tmp_path: Path) -> None:
    scripted = ScriptedModel(["first", "second"])
    texts = [asyncio.run(Cached(scripted, tmp_path).complete(ASK, seed=1)).text for _ in range(3)]
    assert texts == ["first"] * 3
    assert len(scripted.requests) == len(entries(tmp_path)) == 1


def test_another_request_is_asked_anew(tmp_path: Path) -> None:
    cached = Cached(ScriptedModel(["a", "b", "c", '{"name": "d"}']), tmp_path)

    async def ask() -> list[str]:
        replies = [
            await cached.complete(ASK),
            await cached.complete(OTHER),
            await cached.complete(ASK, seed=1),
            await cached.complete(ASK, schema=Person),
        ]
        return [reply.text for reply in replies]

    assert asyncio.run(ask()) == asyncio.run(ask()) == ["a", "b", "c", '{"name": "d"}']


def test_a_reply_comes_back_whole_but_free_of_charge(tmp_path: Path) -> None:
    call = ToolCall(id="1", name="f", arguments={"x": [1, {"y": None}]})
    logprobs = (TokenLogprob(token="é", logprob=-1.5, top={"é": -1.5}),)
    whole = Reply(texts=("é\u2028",), tool_calls=(call,), finish="tool_calls", model="m", logprobs=logprobs)
    cached = Cached(ScriptedModel([whole]), tmp_path)
    with spending() as meter:
        first, again = asyncio.run(cached.complete(ASK)), asyncio.run(cached.complete(ASK))
    assert again == whole.but(usage=Usage())
    assert meter.usage == first.usage
    assert first.usage.calls == 1


def test_a_kept_reply_is_handed_over_too(tmp_path: Path) -> None:
    cached = Cached(ScriptedModel(["one two"]), tmp_path)
    for _ in range(2):
        pieces: list[str] = []
        asyncio.run(cached.complete(ASK, on_text=pieces.append))
        assert "".join(pieces) == "one two"


def test_failures_are_not_kept(tmp_path: Path) -> None:
    cached = Cached(ScriptedModel([ModelTimeout("slow"), "there"]), tmp_path)
    with pytest.raises(ModelTimeout):
        asyncio.run(cached.complete(ASK))
    assert entries(tmp_path) == []
    assert asyncio.run(cached.complete(ASK)).text == "there"


DAMAGE: list[Callable[[Path], object]] = [
    lambda entry: entry.write_text(""),
    lambda entry: entry.write_bytes(entry.read_bytes()[:-9]),
    lambda entry: entry.write_text("[]"),
    lambda entry: entry.write_text('{"reply": {"texts": 3}}'),
    lambda entry: entry.write_bytes(b"\xff\xfe"),
    lambda entry: entry.write_text("[" * 100_000),
]


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_entry_is_logged_and_made_anew(
    tmp_path: Path, damage: Callable[[Path], object], caplog: pytest.LogCaptureFixture
) -> None:
    cached = Cached(ScriptedModel(["first", "second", "third"]), tmp_path)
    asyncio.run(cached.complete(ASK))
    damage(entries(tmp_path)[0])
    assert [asyncio.run(cached.complete(ASK)).text for _ in range(2)] == ["second", "second"]
    assert "cannot be read" in caplog.text


def test_a_disk_that_takes_nothing_costs_the_entry_not_the_reply(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    in_the_way = tmp_path / "file"
    in_the_way.write_text("not a folder")
    with caplog.at_level(logging.WARNING):
        assert asyncio.run(Cached(ScriptedModel(["there"]), in_the_way).complete(ASK)).text == "there"
    assert "cannot be kept" in caplog.text


FULL_DISK = """
import asyncio, resource, signal, sys
from agentevo.models import Cached, ScriptedModel
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))  # writing fails after 100 bytes, as on a disk that fills up
print(asyncio.run(Cached(ScriptedModel(["there"]), sys.argv[1]).complete([{"role": "user", "content": "x"}])).text)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="needs resource limits")
def test_a_disk_that_fills_up_leaves_nothing_half_written(tmp_path: Path) -> None:
    ended = subprocess.run(
        [sys.executable, "-c", FULL_DISK, str(tmp_path)], capture_output=True, text=True, check=True, timeout=60
    )
    assert ended.stdout == "there\n"
    assert "cannot be kept" in ended.stderr
    assert entries(tmp_path) == []


class Slow:
    """A model that answers when it is told to, and counts its calls."""

    name = "slow"

    def __init__(self) -> None:
        self.calls, self.cancelled = 0, 0
        self.started, self.go, self.ended = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def answer(self, messages: list[Message]) -> str:
        self.calls += 1
        self.started.set()
        try:
            await self.go.wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        finally:
            self.ended.set()
        return "slowly"


def test_equal_requests_at_once_share_one_call_that_one_of_them_pays(tmp_path: Path) -> None:
    async def run() -> tuple[int, list[Reply]]:
        slow = Slow()
        slow.go.set()
        cached = Cached(FunctionModel(slow.answer), tmp_path)
        replies = await asyncio.gather(*(cached.complete(ASK) for _ in range(20)))
        return slow.calls, replies

    with spending() as meter:
        calls, replies = asyncio.run(run())
    assert calls == meter.usage.calls == sum(reply.usage.calls for reply in replies) == 1
    assert {reply.text for reply in replies} == {"slowly"}


def test_who_leaves_does_not_take_the_call_from_those_who_stay(tmp_path: Path) -> None:
    async def run() -> tuple[str, int, int]:
        slow = Slow()
        cached = Cached(FunctionModel(slow.answer), tmp_path)
        first = asyncio.create_task(cached.complete(ASK))
        await slow.started.wait()
        second = asyncio.create_task(cached.complete(ASK))
        await asyncio.sleep(0)
        first.cancel()
        with pytest.raises(asyncio.CancelledError):
            await first
        slow.go.set()
        return (await second).text, slow.calls, slow.cancelled

    assert asyncio.run(run()) == ("slowly", 1, 0)


def test_the_last_to_leave_cancels_the_call_and_nothing_is_kept(tmp_path: Path) -> None:
    async def run() -> int:
        slow = Slow()
        cached = Cached(FunctionModel(slow.answer), tmp_path)
        tasks = [asyncio.create_task(cached.complete(ASK)) for _ in range(3)]
        await slow.started.wait()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await slow.ended.wait()
        slow.go.set()
        assert (await cached.complete(ASK)).text == "slowly"
        return slow.calls

    assert asyncio.run(run()) == 2
    assert len(entries(tmp_path)) == 1


def test_event_loops_in_several_threads_share_one_call(tmp_path: Path) -> None:
    calls, both_wait, texts = [], threading.Barrier(4), []

    def answer(messages: list[Message]) -> str:
        calls.append(1)
        return "once"

    async def slowly(messages: list[Message]) -> str:
        await asyncio.sleep(0.3)
        return answer(messages)

    cached = Cached(FunctionModel(slowly), tmp_path)

    def ask() -> None:
        both_wait.wait()
        texts.append(asyncio.run(cached.complete(ASK)).text)

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(calls), texts) == (1, ["once"] * 4)


def test_when_the_loop_that_made_the_call_ends_another_takes_over(tmp_path: Path) -> None:
    started, calls = threading.Event(), []

    async def first_hangs(messages: list[Message]) -> str:
        calls.append(1)
        if len(calls) == 1:
            started.set()
            await asyncio.Event().wait()
        return "taken over"

    cached = Cached(FunctionModel(first_hangs), tmp_path)
    joined = threading.Event()

    async def leave_early() -> None:
        asking = asyncio.create_task(cached.complete(ASK))
        await asyncio.to_thread(joined.wait)
        asking.cancel()

    async def stay() -> str:
        asking = asyncio.create_task(cached.complete(ASK))
        await asyncio.sleep(0)  # it has joined the call by the time it first waits
        joined.set()
        return (await asking).text

    leaver = threading.Thread(target=lambda: asyncio.run(leave_early()))
    leaver.start()
    assert started.wait(60)
    text = asyncio.run(asyncio.wait_for(stay(), 20))
    leaver.join()
    assert (text, len(calls)) == ("taken over", 2)


def test_a_failure_is_shared_but_anothers_budget_is_not(tmp_path: Path) -> None:
    async def run() -> tuple[Reply | BaseException, Reply | BaseException]:
        slow = Slow()
        slow.go.set()
        cached = Cached(FunctionModel(slow.answer), tmp_path)

        async def poor() -> Reply:
            with spending(budget=Budget(max_calls=0)):
                return await cached.complete(ASK)

        return await asyncio.gather(poor(), cached.complete(ASK), return_exceptions=True)

    refused, reply = asyncio.run(run())
    assert isinstance(refused, BudgetExceeded)
    assert isinstance(reply, Reply)
    assert reply.text == "slowly"


def test_the_default_folder_is_in_the_home_and_entries_say_what_was_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AGENTEVO_HOME", str(tmp_path))
    cached = Cached(ScriptedModel(["x"]))
    asyncio.run(cached.complete(ASK))
    (entry,) = entries(tmp_path / "cache")
    assert json.loads(entry.read_text())["request"] == {"messages": ASK, "model": "scripted"}
    assert cached.name == "scripted"


def test_a_cache_around_a_cache_still_tells_endpoints_apart() -> None:
    assert Cached(LiteLLMModel("openai/x", api_base="http://a")).identity == {"api_base": "http://a"}


def test_tokens_are_counted_by_the_model_behind(tmp_path: Path) -> None:
    class Counting(ScriptedModel):
        def count_tokens(self, text: str) -> int:
            return len(text)

    count = Cached(Counting([]), tmp_path).count_tokens
    assert count is not None
    assert count("abc") == 3
    assert Cached(ScriptedModel([]), tmp_path).count_tokens is None
