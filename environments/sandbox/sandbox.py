"""The sandbox: programs and solutions run behind walls, and what is reported is what their supervisors saw.

Covered: files, network, other processes, the kernel's riskier interfaces, memory, processor time, processes, disk and
output of a program, and the verdict on a solution, which never comes from the process that the solution runs in.
Not covered: a defect of the kernel, and side channels of the hardware. Against people rather than models that cheat,
put the whole of it inside a virtual machine.
"""

from __future__ import annotations

import os
import warnings
import weakref
from collections.abc import Callable, Sequence
from typing import Literal, Self

from agentevo.blocking import blocking
from agentevo.environments.sandbox.box.candidate import SOLUTION
from agentevo.environments.sandbox.box.program import MAIN
from agentevo.environments.sandbox.box.wire import Message
from agentevo.environments.sandbox.given import Files, as_code, as_files, as_stdin
from agentevo.environments.sandbox.limits import Limits
from agentevo.environments.sandbox.pair import Case
from agentevo.environments.sandbox.places import Elsewhere, Here, Place
from agentevo.environments.sandbox.pool import Pool
from agentevo.environments.sandbox.probes import Probe, failed, probe
from agentevo.environments.sandbox.remote import Remote
from agentevo.environments.sandbox.remote_probes import probe_remote
from agentevo.environments.sandbox.reports import as_result, compared
from agentevo.environments.sandbox.results import RunResult, SandboxBroken, SandboxError, SandboxUnavailable, Verdict
from agentevo.environments.sandbox.session import Session
from agentevo.environments.sandbox.styles import Tests, as_cases, as_entry, as_tests, modules
from agentevo.environments.sandbox.turns import Turns
from agentevo.errors import Misuse, UnknownName

Tier = Literal["namespaces", "landlock", "unsafe-local"]
TIERS: tuple[Tier, ...] = ("namespaces", "landlock", "unsafe-local")
CHOSEN: tuple[Tier, ...] = ("namespaces", "landlock")
"""What is tried, in this order, where no tier is named."""
SPARES = 5
"""So many warm workers are kept at most, one more than run at once; each costs a few megabytes."""
BUSY_SHARE = 0.1
"""A timeout counts as the machine's when the run waited for a processor for this share of its time."""


class Sandbox:
    """Runs hostile programs, many at once, in the best tier that passes its self-test on this machine.

    `tier` names one instead; `"unsafe-local"` has no walls, warns, and is never chosen by itself. `workers` is how
    many run at once, and the others wait in the order they came. `readable` grants further paths to read. `remote`
    has a service of yours run everything, in containers or virtual machines (see Remote). Raises SandboxUnavailable
    where no tier, or not the one named, works here. Safe from several threads and event loops.
    """

    def __init__(
        self,
        *,
        tier: Tier | None = None,
        workers: int | None = None,
        limits: Limits | None = None,
        readable: Sequence[str | os.PathLike[str]] = (),
        remote: Remote | None = None,
    ) -> None:
        tier = as_tier(tier)
        if remote is not None and (tier or readable):
            raise Misuse("tier and readable are of sandboxes on this machine; leave them out where remote is given")
        count = workers if workers is not None else os.cpu_count() or 1
        if count < 1:
            raise Misuse(f"workers is {workers!r}; expected at least 1")
        self.limits = limits or Limits()
        self._turns = Turns(count)
        paths = [os.fspath(path) for path in readable]
        if remote is not None:
            self.probes, self._place = _tried(Elsewhere(remote))
        else:
            self.probes, self._place = _opened(tier, lambda one: Pool(one, self.limits, min(count + 1, SPARES), paths))
        self._finalizer = weakref.finalize(self, self._place.close)

    @property
    def tier(self) -> str:
        """The tier in use; `probes` is what its self-test tried."""
        return self._place.tier

    async def arun(
        self,
        code: str | bytes,
        *,
        files: Files | None = None,
        stdin: str | bytes | None = None,
        limits: Limits | None = None,
        timeout_s: float | None = None,
    ) -> RunResult:
        """Run a program to its end or a limit. Raises Misuse for bad input, SandboxBroken where the sandbox fails."""
        within = (limits or self.limits).within(timeout_s)
        job: Message = {
            "mode": "run", "code": as_code(code), "stdin": as_stdin(stdin), "limits": within.as_dict(),
            "files": as_files(files, within.disk_mb, MAIN),
        }  # fmt: skip
        async with self._turns.taken():
            result = await self._twice(job, within)
        if result.kind == "timeout" and result.waited_s > BUSY_SHARE * within.wall_s:
            async with self._turns.taken(alone=True):
                again = await self._twice(job, within)
            return again.but(first=result, retries=(*again.retries, "timeout on a busy machine"))
        return result

    async def ajudge(
        self,
        candidate: str | bytes,
        tests: Tests,
        entry_point: str = "",
        *,
        support: str | None = None,
        files: Files | None = None,
        limits: Limits | None = None,
        timeout_s: float | None = None,
    ) -> Verdict:
        """Judge a solution by tests it never sees.

        `tests` is source (`def check(candidate)`, assert statements, unittest cases or pytest-style functions; the
        name `entry_point`, and what they import from `solution` or from `files`, is the solution's), or pairs of
        standard input and expected output. `support` is trusted code for names that the tests use and do not define.
        The limits count for the tests and for the solution, each on its own, and for all checks together. Raises as
        `arun` does.
        """
        within = (limits or self.limits).within(timeout_s)
        code, written = as_code(candidate, "candidate"), as_files(files, within.disk_mb, f"{SOLUTION}.py")
        if not isinstance(tests, str | bytes):
            return await self._judge_by_output(code, as_cases(tests), files, within)
        source, style = as_tests(tests)
        trusted = as_code(support, "support") if support else ""
        case = Case(code, written, source, style, as_entry(entry_point, style), trusted, modules([*written]))
        async with self._turns.taken():
            try:
                return await self._place.judge(case, within)
            except SandboxBroken as error:
                verdict = await self._place.judge(case, within)
                return verdict.but(result=verdict.result.but(retries=(str(error),)))

    judge = blocking(ajudge)

    async def asession(self, *, limits: Limits | None = None) -> Session:
        """Open a session: one worker with the same walls, for many steps; close it, or use it in a `with`."""
        return await Session(self._place, self._turns, limits or self.limits).astart()

    session = blocking(asession)

    async def _judge_by_output(
        self, code: str, cases: list[tuple[str, str]], files: Files | None, limits: Limits
    ) -> Verdict:
        """Run the program once for each input; the comparison is made here, not behind the walls."""
        checks = []
        for number, (stdin, expected) in enumerate(cases, 1):
            result = await self.arun(code, files=files, stdin=stdin, limits=limits)
            checks.append(compared(f"case {number}", result, expected))
        return Verdict(passed=all(check.passed for check in checks), checks=tuple(checks), weak="", result=result)

    async def _twice(self, job: Message, limits: Limits) -> RunResult:
        """Run once, and once more where not the program but the sandbox failed."""
        try:
            return await self._once(job, limits)
        except SandboxBroken as error:
            result = await self._once(job, limits)
            return result.but(retries=(str(error),))

    async def _once(self, job: Message, limits: Limits) -> RunResult:
        async with self._place.line(limits) as line:
            return as_result(await line.ask(job, limits))

    run = blocking(arun)

    def close(self) -> None:
        """End the zygote and everything that still runs; closing twice is fine."""
        self._finalizer()

    async def aclose(self) -> None:
        """As `close`."""
        self._finalizer()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()


def as_tier(name: str | None) -> Tier | None:
    """Return a tier by its name; raise UnknownName for any other."""
    if name is None:
        return None
    for tier in TIERS:
        if name == tier:
            return tier
    raise UnknownName("tier", name, TIERS)


def _tried(place: Elsewhere) -> tuple[tuple[Probe, ...], Place]:
    """Return a service that passes the self-test as far as it can be made from here."""
    try:
        tried = probe_remote(place)
    except SandboxError as error:
        raise SandboxUnavailable({place.tier: str(error)}) from error
    if why := failed(tried):
        raise SandboxUnavailable({place.tier: why})
    return tuple(tried), place


def _opened(tier: Tier | None, make: Callable[[str], Pool]) -> tuple[tuple[Probe, ...], Place]:
    """Return the first pool whose tier passes its self-test, and what was tried."""
    reasons: dict[str, str] = {}
    for one in (tier,) if tier else CHOSEN:
        pool = make(one)
        try:
            if one == "unsafe-local":
                warnings.warn("unsafe-local runs programs without walls, as you", RuntimeWarning, stacklevel=3)
                pool.start()
                return (), Here(pool)
            tried = probe(pool.start())
            reasons[one] = failed(tried)
        except SandboxError as error:
            reasons[one] = str(error)
        if not reasons[one]:
            return tuple(tried), Here(pool)
        pool.close()
    raise SandboxUnavailable(reasons)
