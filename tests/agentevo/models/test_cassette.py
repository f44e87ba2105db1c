from __future__ import annotations

import asyncio
import json
import multiprocessing
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from agentevo.errors import BadReply, BudgetExceeded, CassetteError, Misuse, ModelTimeout
from agentevo.models import Budget, Cassette, FunctionModel, ScriptedModel, spending
from agentevo.types import Message, Reply, Tool, ToolCall, Usage


def asks(text: str) -> list[Message]:
    return [{"role": "system", "content": "Be brief."}, {"role": "user", "content": text}]


def play(cassette: Cassette, *texts: str, **options: Any) -> list[str]:
    return [asyncio.run(cassette.complete(asks(text), **options)).text for text in texts]


@pytest.fixture
def tape(tmp_path: Path) -> Path:
    """A recording of three exchanges, two of them of one request."""
    path = tmp_path / "tapes" / "tape.jsonl"
    play(Cassette(ScriptedModel(["one", "two", "one again"]), path, "record"), "a", "b", "a")
    return path


def test_a_recording_is_replayed_without_a_model(tape: Path) -> None:
    assert play(Cassette(None, tape, "replay"), "b", "a", "a") == ["two", "one", "one again"]


def test_tokens_are_counted_by_the_model_that_is_recorded(tape: Path) -> None:
    class Counting(ScriptedModel):
        def count_tokens(self, text: str) -> int:
            return len(text)

    count = Cassette(Counting([]), tape).count_tokens
    assert count is not None
    assert count("abc") == 3
    assert Cassette(None, tape, "replay").count_tokens is None


def test_a_replayed_reply_is_the_recorded_one_in_all_parts(tmp_path: Path) -> None:
    call = ToolCall(id="1", name="f", arguments={"x": None})
    reply = Reply(
        texts=("é\n\u2028", ""), tool_calls=(call,), finish="tool_calls", model="m", usage=Usage(calls=1, cost_usd=0.5)
    )
    message: Message = {"role": "assistant", "content": None, "tool_calls": [{"id": "0", "extra": None}]}
    options: dict[str, Any] = {"tools": [Tool(name="f")], "n": 2, "stop": ["\n\n"], "temperature": 0.1}
    for model, mode in ((ScriptedModel([reply]), "record"), (None, "replay")):
        cassette = Cassette(model, tmp_path / "t", mode)  # type: ignore[arg-type]
        assert asyncio.run(cassette.complete([message], **options)) == reply


def test_half_a_surrogate_pair_is_recorded_and_given_as_the_character_that_stands_for_it(tmp_path: Path) -> None:
    path, call = tmp_path / "t", ToolCall(id="1", name="look", arguments={"at": "\ude00"})
    said = Reply(texts=("\ud83d half", "whole \U0001f600"), tool_calls=(call,))
    told = asyncio.run(Cassette(ScriptedModel([said]), path).complete(asks("a"), n=2))
    assert told.texts == ("\ufffd half", "whole \U0001f600")
    assert told.tool_calls == (call.but(arguments={"at": "\ufffd"}),)
    assert asyncio.run(Cassette(None, path, "replay").complete(asks("a"), n=2)) == told


def test_half_a_surrogate_pair_in_an_error_and_its_reply_is_recorded_so_too(tmp_path: Path) -> None:
    failure = BadReply("not JSON: caf\u00e9 \ud800", Reply(texts=("caf\u00e9 \ud800",)))
    said = []
    for model, mode in ((ScriptedModel([failure]), "auto"), (None, "replay")):
        with pytest.raises(BadReply) as caught:
            play(Cassette(model, tmp_path / "tape.jsonl", mode), "a")  # type: ignore[arg-type]
        assert caught.value.reply is not None
        said.append(caught.value.reply.text)
    assert said == ["caf\u00e9 \ufffd", "caf\u00e9 \ufffd"]
    assert str(caught.value) == "not JSON: caf\u00e9 \ufffd"


def test_requests_differ_by_their_options(tape: Path) -> None:
    with pytest.raises(CassetteError, match=r"the nearest, line 1, differs in seed: .*asked \.\.\.'7'"):
        play(Cassette(None, tape, "replay"), "a", seed=7)


def test_a_missing_request_names_the_nearest_and_where_it_differs(tmp_path: Path) -> None:
    path = tmp_path / "t"
    play(Cassette(ScriptedModel(["1", "2"]), path), "weather", "refund of order 7")
    with pytest.raises(CassetteError, match=r"line 2, differs in messages: .*order 7.*order 8"):
        play(Cassette(None, path, "replay"), "refund of order 8")


def test_each_recording_is_replayed_once(tape: Path) -> None:
    with pytest.raises(CassetteError, match="holds this request 2 times, and it was asked once more"):
        play(Cassette(None, tape, "replay"), "a", "a", "a")
    with pytest.raises(CassetteError, match="holds this request once"):
        play(Cassette(None, tape, "replay"), "b", "b")


def test_auto_replays_what_is_there_and_records_the_rest(tape: Path) -> None:
    scripted = ScriptedModel(["new", "third"])
    assert play(Cassette(scripted, tape), "a", "c", "a", "a") == ["one", "new", "one again", "third"]
    assert len(scripted.requests) == 2
    assert play(Cassette(None, tape, "replay"), "a", "a", "a", "c") == ["one", "one again", "third", "new"]


def test_record_always_asks_and_appends(tape: Path) -> None:
    assert play(Cassette(ScriptedModel(["fresh"]), tape, "record"), "b") == ["fresh"]
    assert play(Cassette(None, tape, "replay"), "b", "b") == ["two", "fresh"]


def test_with_a_model_its_name_must_match(tape: Path) -> None:
    other = Cassette(ScriptedModel([], name="other"), tape, "replay")
    with pytest.raises(CassetteError, match="differs in model"):
        play(other, "a")
    assert play(Cassette(ScriptedModel([]), tape, "replay"), "a") == ["one"]
    assert (Cassette(None, tape, "replay").name, other.name) == ("scripted", "other")


def test_errors_are_recorded_and_raised_again(tmp_path: Path) -> None:
    path = tmp_path / "t"
    failure = BadReply("cut off", Reply(texts=("half",), usage=Usage(calls=1, prompt_tokens=3)))
    for model, mode in ((ScriptedModel([failure, ModelTimeout("slow")]), "auto"), (None, "replay")):
        cassette = Cassette(model, path, mode)  # type: ignore[arg-type]
        with pytest.raises(BadReply, match=r"^cut off$") as caught:
            play(cassette, "a")
        assert caught.value.reply == failure.reply
        with pytest.raises(ModelTimeout, match=r"^slow$"):
            play(cassette, "b")


class ContextFull(BadReply):
    pass


def test_a_kind_of_error_that_is_not_ours_is_replayed_as_the_nearest_that_is(tmp_path: Path) -> None:
    for model, mode in ((ScriptedModel([ContextFull("full")]), "auto"), (None, "replay")):
        with pytest.raises(BadReply, match=r"^full$") as caught:
            play(Cassette(model, tmp_path / "t", mode), "a")  # type: ignore[arg-type]
    assert caught.type is BadReply


def test_a_replayed_run_costs_what_the_recorded_one_did(tape: Path) -> None:
    with spending() as meter:
        replies = [asyncio.run(Cassette(None, tape, "replay").complete(asks("b")))]
    assert meter.usage == replies[0].usage
    assert meter.usage.calls == 1
    with pytest.raises(BudgetExceeded), spending(budget=Budget(max_calls=1)):
        play(Cassette(None, tape, "replay"), "a", "b")


def test_a_replayed_reply_is_handed_over(tape: Path) -> None:
    pieces: list[str] = []
    play(Cassette(None, tape, "replay"), "a", on_text=pieces.append)
    assert pieces == ["one"]


def test_a_line_is_on_disk_before_the_reply_is_returned(tmp_path: Path) -> None:
    path = tmp_path / "t"
    cassette = Cassette(FunctionModel(lambda messages: "x"), path)
    for count in (1, 2, 3):
        play(cassette, str(count))
        assert len(path.read_text().splitlines()) == count


@pytest.mark.parametrize("kept", [1, 30, -2])
def test_a_line_that_a_crash_cut_off_is_dropped_and_recording_goes_on(tape: Path, kept: int) -> None:
    whole = tape.read_bytes()
    last = whole.splitlines(keepends=True)[-1]
    tape.write_bytes(whole[: -len(last)] + last[:kept])
    with pytest.raises(CassetteError, match=r"line 3 .*it was cut off; mode='auto' drops it"):
        Cassette(None, tape, "replay")
    assert play(Cassette(ScriptedModel(["new"]), tape), "a", "a") == ["one", "new"]
    assert play(Cassette(None, tape, "replay"), "a", "b", "a") == ["one", "two", "new"]


def test_a_whole_last_line_without_its_line_break_is_kept(tape: Path) -> None:
    tape.write_bytes(tape.read_bytes().rstrip(b"\n"))
    assert play(Cassette(ScriptedModel(["new"]), tape), "a", "a", "c") == ["one", "one again", "new"]
    assert play(Cassette(None, tape, "replay"), "a", "a", "c", "b") == ["one", "one again", "new", "two"]


def test_looking_at_a_cut_recording_does_not_change_it(tape: Path) -> None:
    tape.write_bytes(tape.read_bytes()[:-5])
    before = tape.read_bytes()
    play(Cassette(ScriptedModel([]), tape), "a", "b")
    assert tape.read_bytes() == before


@pytest.mark.parametrize("mode", ["auto", "record", "replay"])
@pytest.mark.parametrize("line", ["{", "[]", '{"key": "x", "request": {}}', '{"key": 3}', "\udcff"])
def test_a_corrupt_line_is_named_by_its_number(tape: Path, mode: Any, line: str) -> None:
    first, *rest = tape.read_bytes().splitlines(keepends=True)
    tape.write_bytes(b"".join([first, line.encode("utf-8", "surrogateescape") + b"\n", *rest]))
    with pytest.raises(CassetteError, match="line 2 is no recorded exchange"):
        Cassette(ScriptedModel([]), tape, mode)


def test_what_cannot_be_opened_is_a_clear_error(tmp_path: Path) -> None:
    with pytest.raises(CassetteError, match="there is no recording"):
        Cassette(None, tmp_path / "none", "replay")
    with pytest.raises(CassetteError, match="cannot read the recording"):
        Cassette(ScriptedModel([]), tmp_path)
    (tmp_path / "empty").touch()
    with pytest.raises(CassetteError, match="no request at all"):
        play(Cassette(None, tmp_path / "empty", "replay"), "a")
    in_the_way = tmp_path / "empty" / "t"
    with pytest.raises(CassetteError, match="cannot"):
        play(Cassette(ScriptedModel(["x"]), in_the_way), "a")


FULL_DISK = """
import asyncio, resource, signal, sys
from agentevo.models import Cassette, ScriptedModel
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
cassette = Cassette(ScriptedModel(["short", "long " * 1000]), sys.argv[1])
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))  # writing fails after 1,000 bytes, as on a disk that fills up
ask = lambda text: asyncio.run(cassette.complete([{"role": "user", "content": text}]))
print(ask("a").text)
try:
    ask("b")
except Exception as error:
    print(type(error).__name__, len(error.reply.text))
"""


@pytest.mark.skipif(sys.platform == "win32", reason="needs resource limits")
def test_a_full_disk_is_an_error_that_keeps_the_reply_and_the_recording_whole(tmp_path: Path) -> None:
    command = [sys.executable, "-c", FULL_DISK, str(tmp_path / "t")]
    ended = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    assert ended.stdout == "short\nCassetteError 5000\n"
    replayed = asyncio.run(Cassette(None, tmp_path / "t", "replay").complete([{"role": "user", "content": "a"}]))
    assert replayed.text == "short"
    assert len((tmp_path / "t").read_bytes().splitlines()) == 1


def test_misuse_is_refused_at_construction(tmp_path: Path) -> None:
    with pytest.raises(Misuse, match="one of auto, record, replay"):
        Cassette(None, tmp_path / "t", "reply")  # type: ignore[arg-type]
    with pytest.raises(Misuse, match="needs a model"):
        Cassette(None, tmp_path / "t")


def test_a_cancelled_call_leaves_no_line(tmp_path: Path) -> None:
    path = tmp_path / "t"

    async def run() -> None:
        started = asyncio.Event()

        async def hang(messages: list[Message]) -> str:
            started.set()
            await asyncio.Event().wait()
            return ""

        task = asyncio.create_task(Cassette(FunctionModel(hang), path).complete(asks("a")))
        await started.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(run())
    assert not path.exists()


def _record(path: str, name: str) -> None:
    play(Cassette(FunctionModel(lambda messages: name), path, "record"), *map(str, range(50)))


def test_two_processes_may_record_to_one_file(tmp_path: Path) -> None:
    path = tmp_path / "t"
    spawn = multiprocessing.get_context("spawn")
    processes = [spawn.Process(target=_record, args=(str(path), name)) for name in "ab"]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
    texts = [json.loads(line)["reply"]["texts"][0] for line in path.read_text().splitlines()]
    assert sorted(texts) == ["a"] * 50 + ["b"] * 50
