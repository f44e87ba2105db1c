"""Zygotes, workers and agents that die: the next call works, and nothing outlives whoever started it."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator

import pytest
from processes import alive, below, eventually, named, parents, pool, processor_s, zygote

from agentevo.environments.sandbox import Limits, Sandbox, SandboxBroken, SandboxUnavailable
from agentevo.environments.sandbox.box.zygote import LEAVING
from agentevo.environments.sandbox.sandbox import Tier

WAITS = """
import ctypes, signal
signal.pthread_sigmask(signal.SIG_BLOCK, {{signal.SIGUSR1}})
ctypes.CDLL(None).prctl(15, b"{name}", 0, 0, 0)
signal.sigwait({{signal.SIGUSR1}})
print("done")
"""
"""The same, and waits to be told to go on."""
NAMED = "import ctypes\nctypes.CDLL(None).prctl(15, b'{name}', 0, 0, 0)\n"
"""Gives the program's process a name that can be found from outside."""


@pytest.fixture
def own(sandbox: Sandbox) -> Iterator[Sandbox]:
    """A sandbox for one test, of the tier whose turn it is."""
    tier: Tier = "namespaces" if sandbox.tier == "namespaces" else "landlock"
    with Sandbox(tier=tier, workers=2) as opened:
        yield opened


async def seen(name: str) -> int:
    """Wait until a process of that name runs, and return it."""
    assert await asyncio.to_thread(eventually, lambda: bool(named(name)))
    return named(name)[0]


def test_a_dead_zygote_is_started_again(own: Sandbox) -> None:
    first = zygote(own).process.pid
    started = {first, *below(first)}
    os.kill(first, signal.SIGKILL)
    assert eventually(lambda: not alive(started))
    assert own.run("print(1)").stdout == "1\n"
    assert zygote(own).process.pid != first


def test_workers_that_are_killed_while_they_are_kept_ready_are_passed_over(own: Sandbox) -> None:
    depth = 2 if own.tier == "namespaces" else 1  # there the first process of the zygote only waits for the second
    seen: list[set[int]] = []

    def is_settled() -> bool:
        seen.append({pid for pid, deep in below(zygote(own).process.pid).items() if deep == depth})
        return len(seen) > 10 and len(seen[-1]) == pool(own).spares and all(one == seen[-1] for one in seen[-10:])

    assert eventually(is_settled)
    for supervisor in seen[-1]:
        os.kill(supervisor, signal.SIGKILL)
    assert eventually(lambda: not alive(seen[-1]))
    result = own.run("print(2)")
    assert (result.stdout, result.retries) == ("2\n", ())


def test_a_killed_zygote_leaves_nothing_running(own: Sandbox) -> None:
    started = {zygote(own).process.pid, *below(zygote(own).process.pid)}
    os.kill(zygote(own).process.pid, signal.SIGKILL)
    assert eventually(lambda: not alive(started))


def test_a_run_whose_worker_is_killed_is_done_again_and_says_so(own: Sandbox) -> None:
    async def scenario() -> None:
        name = f"ae-w{os.getpid()}{own.tier[:4]}"
        running = asyncio.create_task(own.arun(WAITS.format(name=name)))
        program = await seen(name)
        os.kill(parents()[program], signal.SIGKILL)
        assert await asyncio.to_thread(eventually, lambda: bool({*named(name)} - {program}))
        (again,) = {*named(name)} - {program}
        os.kill(again, signal.SIGUSR1)
        result = await running
        assert (result.kind, result.stdout, len(result.retries)) == ("ok", "done\n", 1)
        assert eventually(lambda: program not in alive({program}))

    asyncio.run(scenario())


def test_a_run_that_is_cancelled_ends_at_once(own: Sandbox) -> None:
    async def scenario() -> None:
        name = f"ae-c{os.getpid()}{own.tier[:4]}"
        running = asyncio.create_task(own.arun(NAMED.format(name=name) + "import time; time.sleep(60)"))
        await seen(name)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        assert eventually(lambda: not named(name))
        assert (await own.arun("print(1)")).kind == "ok"

    asyncio.run(scenario())


AGENT = """
import sys, threading, time
from agentevo.environments.sandbox import Limits, Sandbox
sandbox = Sandbox(tier=sys.argv[1], workers=2, limits=Limits(wall_s=600))
for _ in range(2):
    code = "import os, time\\nfor _ in range(3):\\n    os.fork()\\ntime.sleep(600)"
    threading.Thread(target=sandbox.run, args=(code,), daemon=True).start()
print("started", flush=True)
time.sleep(600)
"""


def test_nothing_outlives_an_agent_that_is_killed(sandbox: Sandbox) -> None:
    agent = subprocess.Popen([sys.executable, "-c", AGENT, sandbox.tier], stdout=subprocess.PIPE, text=True)
    assert agent.stdout is not None
    with agent.stdout:
        assert agent.stdout.readline() == "started\n"
    assert eventually(lambda: len(below(agent.pid)) > 16)
    started = set(below(agent.pid))
    agent.kill()
    agent.wait()
    assert eventually(lambda: not alive(started))


MANY_FILES = "import os\nfor n in range(1500): open(f'{n}', 'w').close()\nprint(os.getppid())"
"""Says who its supervisor is, and leaves it something to do."""


def test_workers_that_take_long_to_leave_hold_up_new_ones() -> None:
    """Their supervisors are stopped, as a slow disk would stop them, between a report and the end of a folder."""
    stopped: list[int] = []

    async def runs(sandbox: Sandbox) -> None:
        for _ in range(LEAVING + 30):
            supervisor = int((await asyncio.wait_for(sandbox.arun(MANY_FILES), 4)).stdout)
            with contextlib.suppress(ProcessLookupError):  # it was faster
                os.kill(supervisor, signal.SIGSTOP)
                stopped.append(supervisor)

    with landlock() as sandbox:
        with contextlib.suppress(TimeoutError):
            asyncio.run(runs(sandbox))
        warm = pool(sandbox).spares
        assert len(stopped) <= LEAVING + warm + 2
        for supervisor in stopped:
            os.kill(supervisor, signal.SIGCONT)
        assert sandbox.run("print(1)").stdout == "1\n"


def landlock() -> Sandbox:
    try:
        return Sandbox(tier="landlock", workers=1)
    except SandboxUnavailable as error:
        pytest.skip(error.reasons["landlock"])


def test_closing_ends_everything_and_later_calls_say_so(own: Sandbox) -> None:
    started = {zygote(own).process.pid, *below(zygote(own).process.pid)}
    own.close()
    own.close()
    assert eventually(lambda: not alive(started))
    with pytest.raises(SandboxBroken, match="was closed"):
        own.run("print(1)")


def test_a_sandbox_that_is_forgotten_ends() -> None:
    started = zygote(forgotten := Sandbox(workers=1)).process.pid
    del forgotten
    gc.collect()
    assert eventually(lambda: not alive({started}))


FORKING = """
import os, sys
from agentevo.environments.sandbox import Sandbox
with Sandbox(workers=1) as sandbox:
    if os.fork() == 0:
        print(sandbox.run("print('child')").stdout, end="", flush=True)
        sandbox.close()
        os._exit(0)
    os.wait()
    print(sandbox.run("print('parent')").stdout, end="")
"""


def test_a_forked_agent_starts_a_zygote_of_its_own_and_leaves_its_parents_alone() -> None:
    done = subprocess.run([sys.executable, "-c", FORKING], capture_output=True, text=True, check=False)
    assert done.stdout == "child\nparent\n", done.stderr


def test_runs_take_their_turns_in_the_order_they_came() -> None:
    async def scenario() -> list[int]:
        order: list[int] = []

        async def one(number: int) -> None:
            await sandbox.arun("import time; time.sleep(0.02)" if number % 2 else "pass")
            order.append(number)

        await asyncio.gather(*(one(number) for number in range(8)))
        return order

    with Sandbox(workers=1) as sandbox:
        assert asyncio.run(scenario()) == [*range(8)]


def test_one_of_many_waiting_runs_can_be_cancelled() -> None:
    async def scenario() -> list[str]:
        running = [asyncio.create_task(sandbox.arun(f"import time; time.sleep(0.1); print({n})")) for n in range(5)]
        await asyncio.sleep(0.05)
        running[2].cancel()
        done = await asyncio.gather(*running, return_exceptions=True)
        return [one.stdout if not isinstance(one, BaseException) else "cancelled" for one in done]

    with Sandbox(workers=1) as sandbox:
        assert asyncio.run(scenario()) == ["0\n", "1\n", "cancelled", "3\n", "4\n"]


def test_many_runs_from_threads_and_loops_keep_their_own_results(sandbox: Sandbox) -> None:
    said: dict[int, str] = {}

    def from_thread(number: int) -> None:
        said[number] = sandbox.run(f"print({number})").stdout

    async def from_loop() -> list[str]:
        return [r.stdout for r in await asyncio.gather(*(sandbox.arun(f"print({n})") for n in range(100, 120)))]

    threads = [threading.Thread(target=from_thread, args=(number,)) for number in range(20)]
    for thread in threads:
        thread.start()
    assert asyncio.run(from_loop()) == [f"{number}\n" for number in range(100, 120)]
    for thread in threads:
        thread.join()
    assert said == {number: f"{number}\n" for number in range(20)}


def test_a_plain_run_works_inside_a_running_loop(best: Sandbox) -> None:
    async def scenario() -> str:
        return best.run("print(1)").stdout

    assert asyncio.run(scenario()) == "1\n"


def test_a_timeout_on_a_busy_machine_is_tried_again_alone(best: Sandbox) -> None:
    # The waiting is made: busy processes of the program's own, more than the one processor they keep to.
    code = "import os\nos.sched_setaffinity(0, {min(os.sched_getaffinity(0))})\n"
    code += "for _ in range(3): os.fork()\nwhile True: pass"
    result = best.run(code, limits=Limits(wall_s=3, cpu_s=60, stretch=1))
    assert result.first is not None
    assert (result.kind, result.first.kind) == ("timeout", "timeout")
    assert (result.retries, result.first.retries) == (("timeout on a busy machine",), ())


def test_a_machine_that_stood_still_takes_no_time_from_a_program(own: Sandbox) -> None:
    async def scenario() -> None:
        name = f"ae-s{os.getpid()}{own.tier[:4]}"
        limits = Limits(wall_s=5, stretch=10)
        running = asyncio.create_task(own.arun(WAITS.format(name=name), limits=limits))
        program = await seen(name)
        both = (parents()[program], program)  # the supervisor first, as it would be for the machine to go on
        for pid in both:
            os.kill(pid, signal.SIGSTOP)
        await asyncio.sleep(6)
        os.kill(program, signal.SIGUSR1)
        for pid in both:
            os.kill(pid, signal.SIGCONT)
        result = await running
        assert (result.kind, result.retries) == ("ok", ())
        assert result.waited_s > limits.wall_s

    asyncio.run(scenario())


def test_spares_are_made_again_also_where_each_run_has_an_event_loop_of_its_own(own: Sandbox) -> None:
    first = [*pool(own)._warm]
    for number in range(len(first)):
        assert asyncio.run(own.arun(f"print({number})")).stdout == f"{number}\n"
    assert eventually(lambda: len(pool(own)._warm) == len(first))
    assert not {*first} & {*pool(own)._warm}


def test_a_session_whose_program_has_ended_between_steps_takes_no_processor(own: Sandbox) -> None:
    with own.session() as session:
        session.run(NAMED.format(name="ends-between"))
        program = {*named("ends-between")}
        session.run("import os, threading\nthreading.Timer(0.2, os._exit, [0]).start()")
        assert eventually(lambda: not alive(program))
        before, begin = processor_s(zygote(own).process.pid), time.monotonic()
        time.sleep(1)
        assert processor_s(zygote(own).process.pid) - before < (time.monotonic() - begin) / 2
