"""The self-test of a tier: real attempts to get out, made from inside; a tier that lets one through is not used."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import socket
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from agentevo.environments.sandbox.box import attempts, wire
from agentevo.environments.sandbox.limits import Limits
from agentevo.environments.sandbox.results import SandboxBroken
from agentevo.environments.sandbox.zygote import Zygote

LIMITS = Limits(wall_s=10, cpu_s=5, processes=16)
TIMEOUT_S = 30.0
SURVIVES = "outlive the run"
CANARY = b"nobody inside may read this"


@dataclass(frozen=True, slots=True)
class Probe:
    """One attempt to get out, and whether the walls held; `detail` says what happened."""

    name: str
    held: bool
    detail: str


def probe(zygote: Zygote) -> list[Probe]:
    """Try everything in two workers of a zygote. Raises SandboxBroken where they cannot even run the attempts."""
    name = f"ae-{secrets.token_hex(5)}"
    with canary() as folder, listener() as listening, ThreadPoolExecutor(2) as threads:
        given = {**targets(folder, listening), "victim": zygote.process.pid}
        trying = threads.submit(_run, zygote, program("attempt", given))
        leaving = threads.submit(_run, zygote, program("leave_daemon", {"name": name}))
        found = [*seen(trying.result()), *changed(folder)]
        leaving.result()
    return [*found, survival(name)]


def targets(folder: Path, listening: socket.socket) -> dict[str, object]:
    """Return what attempts are made on: two files of a folder, and a port."""
    port = listening.getsockname()[1]
    return {"canary": str(folder / "canary"), "created": str(folder / "created"), "port": port}


def changed(folder: Path) -> Iterator[Probe]:
    """Yield a failure where the folder is not as it was, whatever the attempts said of themselves."""
    if (folder / "canary").read_bytes() != CANARY or (folder / "created").exists():
        yield Probe("write a file outside", held=False, detail="a file outside was changed")


def survival(name: str) -> Probe:
    """Say whether a process of that name is left on this machine."""
    survivors = [*_named(name)]
    detail = f"process {survivors[0]} still runs" if survivors else "nothing still runs"
    return Probe(SURVIVES, held=not survivors, detail=detail)


def failed(probes: list[Probe]) -> str:
    """Return which walls did not hold, or nothing."""
    return "; ".join(f"{one.name}: {one.detail}" for one in probes if not one.held)


def program(function: str, given: dict[str, object]) -> str:
    source = Path(attempts.__file__).read_text("utf-8")
    return f"{source}\n{function}(**{given!r})\n"


def _run(zygote: Zygote, code: str) -> str:
    try:
        worker = zygote.ask(LIMITS).result(TIMEOUT_S)
    except TimeoutError:
        raise SandboxBroken(f"no worker for the self-test came within {TIMEOUT_S:.0f} s") from None
    with worker.channel as channel:
        channel.settimeout(TIMEOUT_S)
        try:
            ready = wire.receive(channel)
            if ready is None or "ready" not in ready:
                raise SandboxBroken(str((ready or {}).get("failed", "a worker ended before it began")))
            wire.send(channel, {"mode": "run", "code": code, "files": {}, "limits": LIMITS.as_dict()})
            report = wire.receive(channel)
        except (OSError, wire.Broken) as error:
            raise SandboxBroken(f"a worker went during the self-test ({error})") from error
    if report is None or report.get("kind") != "ok":
        said = (report or {}).get("failed") or (report or {}).get("stderr") or (report or {}).get("kind")
        raise SandboxBroken(f"the self-test did not run to its end: {str(said).strip()[-300:]}")
    return str(report["stdout"])


def seen(said: str, names: Sequence[str] = attempts.ATTEMPTS) -> Iterator[Probe]:
    """Read what the attempts reported. They are our own program; nothing hostile has run before them."""
    outcomes = json.loads(said)
    for name in names:
        got_through = outcomes.get(name, "it was not tried")
        yield Probe(name, held=got_through is False, detail="refused" if got_through is False else str(got_through))


@contextmanager
def canary() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="agentevo-canary-") as folder:
        path = Path(folder)
        path.chmod(0o777)
        (path / "canary").write_bytes(CANARY)
        (path / "canary").chmod(0o666)
        yield path


@contextmanager
def listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield listening


def _named(name: str) -> Iterator[int]:
    """Yield the processes of this machine that bear a name, which a process keeps in any world of its own."""
    for entry in os.listdir("/proc"):  # noqa: PTH208 - a tenth of the time of pathlib
        with contextlib.suppress(OSError):
            if entry.isdigit() and Path(f"/proc/{entry}/comm").read_bytes().strip() == name.encode():
                yield int(entry)
