"""Engines in worker processes: what they say, every way they end, and that nothing is left of them."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, TypeVar
from uuid import uuid4

import pytest

from agentevo.environments.engine import Engine, EngineError, EngineGone, EngineRaised
from agentevo.environments.leftovers import held
from agentevo.environments.walls import Walls
from agentevo.errors import Misuse
from agentevo.types import Json

T = TypeVar("T")
STRANGE = "strange_engine:Strange"
OPEN = Walls(walls=False)
HUNG = "did not answer 'hang' within 4 s, and was stopped"
DIED = "ended with status 3; its last words: adding 40\nout of cheese"
linux = pytest.mark.skipif(sys.platform != "linux", reason="there are walls on Linux alone")
WALLS = [pytest.param(Walls(), marks=linux, id="walled"), pytest.param(OPEN, id="open")]


def using(act: Callable[[Engine], Awaitable[T]], walls: Walls = OPEN, timeout_s: float = 60, **arguments: Json) -> T:
    async def through() -> T:
        engine = Engine(STRANGE, arguments=arguments, walls=walls, timeout_s=timeout_s)
        try:
            return await act(engine)
        finally:
            await engine.aclose()

    return asyncio.run(through())


def processes(mark: str) -> dict[int, str]:
    """Return the command lines of running processes with a mark in them, by their numbers."""
    found = {}
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = path.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:  # it ended meanwhile
            continue
        if mark in line:
            found[int(path.parent.name)] = line
    return found


def gone(mark: str) -> bool:
    """Say whether all processes with a mark end within some time."""
    until = time.monotonic() + 120
    while processes(mark) and time.monotonic() < until:
        time.sleep(0.05)
    return not processes(mark)


# --- what it says


@pytest.mark.parametrize("walls", WALLS)
def test_an_engine_keeps_what_it_is_told_and_answers_in_order(walls: Walls) -> None:
    async def act(engine: Engine) -> list[Any]:
        at_once = await asyncio.gather(*(engine.ask("add", by=by) for by in (1, 10, 100)))
        return [at_once, await engine.ask_many("add", [{"by": 1}, {"by": 2}]), engine.starts]

    assert using(act, walls, start=5) == [[6, 16, 116], [117, 119], 1]


@linux
def test_an_engine_sees_few_variables_a_folder_of_its_own_and_no_input() -> None:
    seen: Any = using(lambda engine: engine.ask("seen"), Walls(env={"KEY": "v"}))
    names = ["HOME", "JAVA_TOOL_OPTIONS", "KEY", "LANG", "PATH", "PYTHONDONTWRITEBYTECODE", "PYTHONHASHSEED"]
    assert seen[0] == [*names, "TMPDIR", "TZ"]
    assert seen[1:] == [True, seen[2], ""]
    assert not Path(seen[2]).exists(), "the folder is gone with the engine"


@pytest.mark.parametrize(
    ("how", "type", "says"),
    [
        ("raise", "ValueError", "ValueError: no [31mway[0m xxx"),
        ("exit", "SystemExit", "SystemExit: bye"),
        ("object", "TypeError", "what it returned cannot be sent as JSON: Object of type object"),
        ("nan", "ValueError", "what it returned cannot be sent as JSON: Out of range"),
        ("deep", "RecursionError", "what it returned cannot be sent as JSON: "),
    ],
)
def test_what_an_engine_raises_is_told_and_it_goes_on(how: str, type: str, says: str) -> None:
    async def act(engine: Engine) -> EngineRaised:
        with pytest.raises(EngineRaised) as caught:
            await engine.ask("fail", how=how)
        assert await engine.ask("add", by=1) == 1
        return caught.value

    error = using(act)
    assert error.type == type
    assert str(error).startswith(says)
    assert len(str(error)) <= 1_000


@pytest.mark.parametrize(("method", "says"), [("jump", "has no attribute 'jump'"), ("_deep", "'_deep' is not for oth")])
def test_methods_that_are_not_there_or_private_are_not_called(method: str, says: str) -> None:
    async def act(engine: Engine) -> None:
        with pytest.raises(EngineRaised, match=says):
            await engine.ask(method)

    using(act)


def test_of_many_calls_none_is_made_after_one_that_raises() -> None:
    async def act(engine: Engine) -> Json:
        with pytest.raises(EngineRaised, match="unsupported operand"):
            await engine.ask_many("add", [{"by": 1}, {"by": "x"}, {"by": 10}])
        return await engine.ask("add", by=0)

    assert using(act) == 1


def test_much_on_stderr_holds_nobody_up() -> None:
    assert using(lambda engine: engine.ask("chatter")) == "said"


# --- how it ends


@pytest.mark.parametrize(
    ("walls", "method", "given", "says"),
    [
        pytest.param(Walls(), "hang", {}, HUNG, marks=linux, id="hangs behind walls"),
        pytest.param(OPEN, "hang", {}, HUNG, id="hangs"),
        pytest.param(OPEN, "shout", {}, "within 4 s, and was stopped; its last words: lala", id="shouts"),
        pytest.param(Walls(), "die", {}, DIED, marks=linux, id="dies behind walls"),
        pytest.param(OPEN, "die", {}, DIED, id="dies"),
        pytest.param(OPEN, "lie", {"text": "hello"}, "does not answer in JSON", id="lies"),
        pytest.param(OPEN, "lie", {"text": '{"id": NaN}'}, "does not answer in JSON", id="says no number"),
        pytest.param(OPEN, "lie", {"text": "[" * 100_000}, "does not answer in JSON", id="nests"),
        pytest.param(OPEN, "lie", {"text": "[1]"}, "not answer in the form that was agreed on: [1]", id="no mapping"),
    ],
)
def test_a_worker_that_is_of_no_use_any_more_is_ended_and_the_next_ask_starts_another(
    walls: Walls, method: str, given: dict[str, Json], says: str
) -> None:
    async def act(engine: Engine) -> Any:
        await engine.ask("add", by=40)
        with pytest.raises(EngineGone, match="the engine strange_engine:Strange ") as caught:
            await engine.ask(method, **given)
        return str(caught.value), await engine.ask("add", by=1), engine.starts

    said, sum_after, starts = using(act, walls, timeout_s=4)
    assert says in said
    assert (sum_after, starts) == (1, 2), "what it held is lost"


@pytest.mark.soak
def test_an_answer_that_is_too_long_ends_it() -> None:
    async def act(engine: Engine) -> None:
        with pytest.raises(EngineGone, match="sent more than 64 MB at once, and was stopped"):
            await engine.ask("flood")

    using(act)


def test_a_worker_that_ended_while_nobody_asked_is_replaced() -> None:
    mark = uuid4().hex
    engine = Engine(STRANGE, arguments={"mark": mark}, walls=OPEN)
    before = asyncio.run(engine.ask("add", by=1)), engine.starts
    for number in processes(mark):
        os.kill(number, signal.SIGKILL)
        os.waitid(os.P_PID, number, os.WEXITED | os.WNOWAIT)  # its command line is gone before it is
    after = asyncio.run(engine.ask("add", by=1)), engine.starts
    asyncio.run(engine.aclose())
    assert (before, after) == ((1, 1), (1, 2))


def test_an_engine_that_cannot_be_made_is_told() -> None:
    async def act(engine: Engine) -> None:
        for _ in range(2):
            with pytest.raises(
                EngineGone, match="could not be made: ValueError: it cannot start below zero; caused by K"
            ):
                await engine.ask("add", by=1)

    using(act, start=-1)


@pytest.mark.parametrize(
    ("factory", "says"),
    [
        ("strange_engine:Missing", "could not be made: AttributeError"),
        ("strange_engine:NOT_CALLABLE", "could not be made: TypeError"),
        ("agentevo.environments.nothing:Engine", "could not be made: ModuleNotFoundError"),
    ],
)
def test_a_factory_that_makes_nothing_is_told(factory: str, says: str) -> None:
    async def act() -> None:
        engine = Engine(factory, walls=OPEN)
        with pytest.raises(EngineGone, match=says):
            await engine.ask("add")
        await engine.aclose()

    asyncio.run(act())


def test_an_engine_that_makes_no_sense_is_refused() -> None:
    with pytest.raises(Misuse, match=r"factory is 'strange_engine'; expected 'package\.module:callable'"):
        Engine("strange_engine")
    with pytest.raises(Misuse, match="timeout_s is 0; expected seconds above 0"):
        Engine(STRANGE, timeout_s=0)
    with pytest.raises(Misuse, match="there is no module 'no_such_module' to make an engine of"):
        asyncio.run(Engine("no_such_module:Engine").ask("add"))


# --- past the worker


@pytest.mark.parametrize("walls", WALLS)
def test_what_an_engine_hands_over_is_asked_past_it_and_closed_with_it(walls: Walls) -> None:
    many = b"x" * 1_000_000 + b"\n"

    async def act(engine: Engine) -> list[Any]:
        before = held()
        said = [await engine.ask_direct("one", [b"a\n", b"b\n"]), await engine.ask_direct("nobody", [b"a\n"])]
        whole = await engine.ask_direct("one", [many]) == [many.upper()[:-1]]
        found = [said, whole, await engine.ask("add", by=1)]
        await engine.aclose()
        return [*found, held() - before]

    assert using(act, walls) == [[[b"A", b"B"], None], True, 1, {}]


def test_a_socket_that_nobody_asked_for_is_not_taken() -> None:
    async def act(engine: Engine) -> Any:
        await engine.ask("add", by=1)
        before = held()
        return await engine.ask("line", name="one"), held() - before

    assert using(act) == ("handed", {})


def test_who_no_longer_waits_on_a_line_leaves_no_answer_for_others() -> None:
    async def act(engine: Engine) -> Any:
        await engine.ask_direct("one", [b"a\n"])
        asked = asyncio.create_task(engine.ask_direct("one", [b"wait\n"]))
        await asyncio.sleep(0.05)
        asked.cancel()
        return await engine.ask_direct("one", [b"b\n"]), engine.starts

    assert using(act) == ([b"B"], 1)


@pytest.mark.parametrize(("word", "says"), [(b"go\n", "ended"), (b"hang\n", "did not answer 'one' within 4 s")])
def test_a_line_that_is_of_no_use_any_more_ends_the_worker_behind_which_it_is(word: bytes, says: str) -> None:
    async def act(engine: Engine) -> Any:
        with pytest.raises(EngineGone, match=says):
            await engine.ask_direct("one", [word])
        return await engine.ask_direct("one", [b"b\n"]), engine.starts

    assert using(act, timeout_s=4) == ([b"B"], 2)


def test_closing_tells_who_waits_on_a_line() -> None:
    async def act(engine: Engine) -> None:
        await engine.ask_direct("one", [b"a\n"])
        waiting = asyncio.create_task(engine.ask_direct("one", [b"hang\n"]))
        await asyncio.sleep(0.1)
        await engine.aclose()
        with pytest.raises(EngineGone):
            await asyncio.wait_for(waiting, 30)

    using(act)


# --- cancelling, closing, and what is left


def test_who_no_longer_waits_leaves_the_answer_to_nobody() -> None:
    async def act(engine: Engine) -> list[Any]:
        await engine.ask("add", by=0)
        asked = asyncio.create_task(engine.ask_many("add", [{"by": 1}] * 20_000))
        await asyncio.sleep(0)
        asked.cancel()
        after = [await engine.ask("add", by=1), await engine.ask("add", by=1)]
        return [*after, engine.starts]

    first, second, starts = using(act)
    assert (first, second, starts) in ((20_001, 20_002, 1), (1, 2, 1), (1, 2, 2))  # after, before, midway


def test_an_engine_serves_several_event_loops_one_after_the_other_and_at_once() -> None:
    engine = Engine(STRANGE, walls=OPEN)
    sums: list[Any] = [asyncio.run(engine.ask("add", by=1)), asyncio.run(engine.ask("add", by=1))]

    def asking() -> None:
        async def often() -> None:
            sums.extend([await engine.ask("add", by=1) for _ in range(100)])

        asyncio.run(often())

    threads = [threading.Thread(target=asking) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    asyncio.run(engine.aclose())
    assert sorted(sums) == [*range(1, 403)]
    assert engine.starts == 1


def test_closing_is_final_and_tells_who_waits() -> None:
    async def act(engine: Engine) -> None:
        await engine.ask("add", by=1)
        waiting = asyncio.create_task(engine.ask("hang"))
        await asyncio.sleep(0.1)
        await engine.aclose()
        await engine.aclose()
        with pytest.raises(EngineError):
            await waiting
        with pytest.raises(Misuse, match="is closed; make another one"):
            await engine.ask("add", by=1)

    using(act)


@linux
def test_who_waits_hears_of_a_worker_that_had_ended_by_itself_when_the_engine_was_closed() -> None:
    mark = uuid4().hex

    async def act(engine: Engine) -> None:
        await engine.ask("add", by=1)
        waiting = asyncio.create_task(engine.ask("hang"))
        await asyncio.sleep(0.1)
        for pid in processes(mark):
            os.kill(pid, signal.SIGKILL)
        while processes(mark):
            time.sleep(0.01)  # noqa: ASYNC251 - the loop must not see the end before `aclose` does
        await engine.aclose()
        with pytest.raises(EngineGone):
            await asyncio.wait_for(waiting, 30)

    using(act, mark=mark)


@pytest.mark.parametrize("walls", WALLS)
def test_an_engine_that_nobody_closes_ends_with_its_last_user(walls: Walls) -> None:
    mark = uuid4().hex
    engine = Engine(STRANGE, arguments={"mark": mark}, walls=walls)
    asyncio.run(engine.ask("add", by=1))
    assert processes(mark)
    del engine
    gc.collect()
    assert gone(mark)


@linux
def test_what_an_engine_left_behind_ends_with_it() -> None:
    mark = uuid4().hex

    async def act(engine: Engine) -> None:
        await engine.ask("spawn", mark=mark)
        until = time.monotonic() + 120
        while not processes(mark) and time.monotonic() < until:  # noqa: ASYNC110 - it may be between two images
            await asyncio.sleep(0.05)
        assert processes(mark)

    using(act, Walls())
    assert gone(mark)


@pytest.mark.parametrize("walls", WALLS)
@pytest.mark.parametrize("method", ["add", "hang"])
def test_an_engine_ends_with_the_process_that_asks_it_also_in_the_middle_of_a_call(
    walls: Walls, method: str, tmp_path: Path
) -> None:
    mark = uuid4().hex
    code = f"""
import asyncio, sys
sys.path.append({str(Path(__file__).parent)!r})
from agentevo.environments.engine import Engine
from agentevo.environments.walls import Walls
async def act():
    engine = Engine({STRANGE!r}, arguments={{"mark": {mark!r}}}, walls=Walls(walls={walls.walls}))
    await engine.ask("add", by=1)
    print("ready", flush=True)
    await (engine.ask("hang") if {method == "hang"} else asyncio.sleep(600))
asyncio.run(act())
"""
    env = {**os.environ, "TMPDIR": str(tmp_path)}  # nobody is left to remove the engine's empty home
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, env=env) as owner:
        assert owner.stdout is not None
        assert owner.stdout.readline() == b"ready\n"
        owner.send_signal(signal.SIGKILL)
    assert gone(f'"mark": "{mark}"')
