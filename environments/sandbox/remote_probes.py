"""The self-test of a service elsewhere: what can be tried of its promises from this machine.

Covered: files and ports of this machine, a way into any network, processes left on this machine, what a run leaves
for the next, the limit of time, a forged verdict. Not covered: the service's own walls, which this machine cannot see:
what its machines hold beside the program, and whether its processes and memory are really limited.
"""

from __future__ import annotations

import asyncio
import secrets
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from agentevo.environments.sandbox.box import attempts
from agentevo.environments.sandbox.limits import Limits
from agentevo.environments.sandbox.pair import Case
from agentevo.environments.sandbox.probes import (
    LIMITS,
    Probe,
    canary,
    changed,
    listener,
    program,
    seen,
    survival,
    targets,
)
from agentevo.environments.sandbox.reports import as_result
from agentevo.environments.sandbox.results import RunResult, SandboxBroken

if TYPE_CHECKING:
    from agentevo.environments.sandbox.places import Elsewhere

BRIEF = Limits(wall_s=1, cpu_s=1, stretch=1)
TESTS = "def check(candidate):\n    assert candidate(2) == 4\n"
RIGHT = "def twice(n):\n    return n + n\n"
FORGED = (
    "class Any(int):\n    def __eq__(self, other): return True\n    __hash__ = None\ndef twice(n):\n    return Any()\n"
)
LEFT = "open('/tmp/{name}', 'w').close(); open('{name}', 'w').close()"
FOUND = """import contextlib, os
left = [one for one in ('/tmp/{name}', '{name}') if os.path.exists(one)]
print(bool(left))
for one in left:
    with contextlib.suppress(OSError):
        os.remove(one)
"""


def probe_remote(place: Elsewhere) -> list[Probe]:
    """Try a service, also from within an event loop. Raises SandboxBroken where it cannot even run the attempts."""
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(asyncio.run, _probes(place)).result()


async def _probes(place: Elsewhere) -> list[Probe]:
    name = f"ae-{secrets.token_hex(5)}"
    with canary() as folder, listener() as listening:
        said = await _run(place, program("attempt_from_afar", targets(folder, listening)))
        found = [*seen(said.stdout, attempts.FROM_AFAR), *changed(folder)]
    await _run(place, program("leave_daemon", {"name": name}))
    await _run(place, LEFT.format(name=name))
    kept = (await _run(place, FOUND.format(name=name))).stdout.strip()
    endless = await _run(place, "while True: pass", BRIEF)
    return [
        *found, survival(name),
        Probe("find what another run left", held=kept == "False", detail=f"a file of another run is there: {kept}"),
        Probe("run longer than its time", held=endless.kind == "timeout", detail=f"it ended with {endless.kind}"),
        *[await _verdict(place, solution, right) for solution, right in ((RIGHT, True), (FORGED, False))],
    ]  # fmt: skip


async def _run(place: Elsewhere, code: str, limits: Limits = LIMITS) -> RunResult:
    job: dict[str, object] = {"mode": "run", "code": code, "stdin": "", "files": {}, "limits": limits.as_dict()}
    async with place.line(limits) as line:
        result = as_result(await line.ask(job, limits))
    if limits is LIMITS and result.kind != "ok":
        raise SandboxBroken(f"the self-test did not run to its end: {(result.stderr or result.kind).strip()[-300:]}")
    return result


async def _verdict(place: Elsewhere, solution: str, right: bool) -> Probe:
    case = Case(solution, {}, TESTS, "check", "twice", "", ["solution"])
    passed = (await place.judge(case, LIMITS)).passed
    name = "judge what is right" if right else "forge a verdict"
    return Probe(name, held=passed is right, detail="it passed" if passed else "it did not pass")
