"""`agentevo sandbox`: run a program, or judge a solution, behind walls; or do so for others."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from agentevo.cli.output import one_line, show, show_json, tell
from agentevo.errors import Misuse

if TYPE_CHECKING:
    from agentevo.environments.sandbox import RunResult, Sandbox, Verdict

TIMED_OUT = 124
SANDBOX_FAILED = 125
SIGNALLED = 128
KILL = 9

app = typer.Typer(help="Run a program, or judge a solution, behind walls.")

TierOption = Annotated[
    str | None, typer.Option("--tier", help="namespaces, landlock, or unsafe-local, which has no walls.")
]
RemoteOption = Annotated[
    str | None, typer.Option("--remote", help="Have the service at HOST:PORT, or at the path of a socket, do it.")
]
TimeoutOption = Annotated[float | None, typer.Option("--timeout", help="Seconds; 30 unless given.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@app.command("run")
def run(
    file: Annotated[str, typer.Argument(help="A Python program, or - to read it from standard input.")],
    timeout: TimeoutOption = None,
    stdin: Annotated[str | None, typer.Option("--stdin", help="A file to be its standard input, or -.")] = None,
    tier: TierOption = None,
    remote: RemoteOption = None,
    as_json: JsonOption = False,
) -> None:
    """Run a program; exit as it did: 124 after a timeout, 128+n after signal n, 125 if the sandbox failed."""
    code, given = _bytes(file), _bytes(stdin) if stdin is not None else None
    with _opened(tier, remote) as sandbox:
        result = sandbox.run(code, stdin=given, timeout_s=timeout)
        used = sandbox.tier
    if as_json:
        show_json({**result.model_dump(mode="json"), "tier": used})
    else:
        _show_streams(result)
    raise typer.Exit(exit_status(result))


@app.command("judge")
def judge(
    candidate: Annotated[str, typer.Argument(help="The solution, a Python file, or -.")],
    tests: Annotated[str, typer.Argument(help="Its tests, a Python file, which the solution never sees.")],
    entry: Annotated[str, typer.Option("--entry", help="The name of the function or class that is judged.")] = "",
    support: Annotated[str | None, typer.Option("--support", help="A file of trusted code the tests need.")] = None,
    timeout: TimeoutOption = None,
    tier: TierOption = None,
    remote: RemoteOption = None,
    as_json: JsonOption = False,
) -> None:
    """Judge a solution by tests in a worker of their own; exit with 0 if it passed, with 1 if not."""
    code, checks = _bytes(candidate), _bytes(tests)
    trusted = _bytes(support).decode("utf-8", "replace") if support is not None else None
    with _opened(tier, remote) as sandbox:
        verdict = sandbox.judge(code, checks, entry, support=trusted, timeout_s=timeout)
        used = sandbox.tier
    if as_json:
        show_json({**verdict.model_dump(mode="json"), "tier": used})
    else:
        _show_verdict(verdict)
    raise typer.Exit(0 if verdict.passed else 1)


@app.command("serve")
def serve(
    address: Annotated[str, typer.Argument(help="HOST:PORT, with port 0 for a free one, or a path for a socket.")],
    tier: TierOption = None,
    workers: Annotated[int | None, typer.Option("--workers", help="So many programs run at once.")] = None,
) -> None:
    """Run programs for whoever connects, until interrupted: in a container or virtual machine, for `--remote`."""
    import asyncio

    from agentevo.environments.sandbox import serving
    from agentevo.environments.sandbox.remote import as_address

    as_address(address)
    with _opened(tier, workers=workers) as sandbox:
        try:
            asyncio.run(serving.serve(sandbox, address, lambda reached: show(f"serving {sandbox.tier} at {reached}")))
        except OSError as error:
            tell(f"error: cannot serve at {address}: {error}")
            raise typer.Exit(SANDBOX_FAILED) from error
        except KeyboardInterrupt:
            tell("ended")


def exit_status(result: RunResult) -> int:
    """Return what a shell would say of such an end."""
    if result.kind == "timeout":
        return TIMED_OUT
    if result.exit_status is None:
        return SIGNALLED + KILL
    return SIGNALLED - result.exit_status if result.exit_status < 0 else result.exit_status


@contextmanager
def _opened(tier: str | None, remote: str | None = None, workers: int | None = 1) -> Iterator[Sandbox]:
    """Open a sandbox; a failure of its own has an exit status of its own."""
    from agentevo.environments.sandbox import Endpoint, Sandbox, SandboxError
    from agentevo.environments.sandbox.sandbox import as_tier

    try:
        service = Endpoint(remote) if remote is not None else None
        with Sandbox(tier=as_tier(tier), workers=workers, remote=service) as sandbox:
            yield sandbox
    except SandboxError as error:
        tell(f"error: {one_line(error)}")
        raise typer.Exit(SANDBOX_FAILED) from error


def _bytes(path: str) -> bytes:
    if path == "-":
        return sys.stdin.buffer.read()
    try:
        return Path(path).read_bytes()
    except (FileNotFoundError, IsADirectoryError) as error:
        raise Misuse(f"cannot read {path}: {error.strerror}; give a file, or - for standard input") from error


def _show_streams(result: RunResult) -> None:
    """Pass on what the program wrote, to where it wrote it."""
    sys.stdout.write(result.stdout)
    sys.stdout.flush()
    sys.stderr.write(result.stderr)
    if result.kind not in ("ok", "error"):
        tell(f"{result.kind} after {result.seconds:.1f} s, {result.memory_mb:.0f} MB")


def _show_verdict(verdict: Verdict) -> None:
    for check in verdict.checks:
        show(f"{'ok  ' if check.passed else 'fail'}  {check.name}{': ' if check.message else ''}{check.message}")
    passed = sum(check.passed for check in verdict.checks)
    show(f"{'passed' if verdict.passed else 'failed'}: {passed} of {len(verdict.checks)} checks")
    if verdict.weak:
        tell(f"weak: {verdict.weak}")
