"""What a sandbox reports: runs and verdicts, as data; and what is raised where the sandbox itself fails."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from agentevo.errors import AgentEvoError
from agentevo.types import Record

Kind = Literal["ok", "error", "timeout", "memory", "output", "killed"]


class SandboxError(AgentEvoError):
    """A sandbox that does not work; a program that fails is no error but a result."""


class SandboxUnavailable(SandboxError):
    """No tier works on this machine; `reasons` says why, tier by tier."""

    def __init__(self, reasons: Mapping[str, str]) -> None:
        listed = "; ".join(f"{tier}: {why}" for tier, why in reasons.items())
        super().__init__(
            f"no sandbox works here, so nothing was run ({listed}). Run on Linux where user namespaces or Landlock "
            'are allowed; Sandbox(tier="unsafe-local") runs programs without any walls'
        )
        self.reasons = dict(reasons)


class SandboxBroken(SandboxError):
    """A worker or the zygote ended in the middle of a run, twice: the run has no result."""


class RunResult(Record):
    """How a program ended, as its supervisor saw it.

    `exit_status` is negative for a signal, as in `subprocess`, and None where a limit ended the program. `kind` is
    `output` where the program ended well but wrote more than is kept. `waited_s` is how long it was ready to run and
    had no processor. `retries` says why the run was done again: an error of the sandbox, or a timeout on a busy
    machine, whose own result is `first`.
    """

    kind: Kind
    stdout: str
    stderr: str
    exit_status: int | None
    seconds: float
    memory_mb: float
    waited_s: float = 0
    retries: tuple[str, ...] = ()
    first: RunResult | None = None

    @property
    def ok(self) -> bool:
        """Whether the program ended by itself with status 0."""
        return self.exit_status == 0 and self.kind in ("ok", "output")


class Check(Record):
    """One check of the tests; `message` says how it failed and may show the test: it is for visible tests only."""

    name: str
    passed: bool
    message: str = ""


class Verdict(Record):
    """Whether a solution passed its tests.

    `weak` says why the verdict could be wrong about a solution that cheats, or is empty. `result` is how the solution
    itself ran; what the tests wrote is not in it.
    """

    passed: bool
    checks: tuple[Check, ...]
    weak: str
    result: RunResult

    @property
    def share(self) -> float:
        """The share of checks that passed."""
        return sum(check.passed for check in self.checks) / len(self.checks) if self.checks else 0.0
