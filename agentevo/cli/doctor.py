"""`agentevo doctor`: what works on this machine, and what to do about the rest."""

from __future__ import annotations

import asyncio
import importlib.metadata
import importlib.util
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NamedTuple

import typer

from agentevo.cli.output import one_line, show, show_json, size
from agentevo.errors import AgentEvoError, WeightsError

if TYPE_CHECKING:
    from packaging.requirements import Requirement

    from agentevo.settings import Settings

FREE_WANTED = 1_000_000_000
OLDEST_PYTHON = (3, 11)


class Finding(NamedTuple):
    """One line of the report; `todo` says what helps where it is not ok."""

    name: str
    state: str
    detail: str
    todo: str = ""


def doctor(
    as_json: Annotated[bool, typer.Option("--json", help="Print an array of objects.")] = False,
    offline: Annotated[bool, typer.Option("--offline", help="Call nothing that is reached over a network.")] = False,
) -> None:
    """Check what works here: Python, packages, settings, disk, model, embedder, sandbox, extras."""
    findings = []
    for finding in examine(offline):
        findings.append(finding)
        if not as_json:
            show(_line(finding))
    if as_json:
        show_json([dict(finding._asdict()) for finding in findings])
    if any(finding.state == "fail" for finding in findings):
        raise typer.Exit(1)


def _line(finding: Finding) -> str:
    todo = f"; {finding.todo}" if finding.todo else ""
    return f"{finding.state:<5} {finding.name}: {finding.detail}{todo}"


def examine(offline: bool = False) -> Iterator[Finding]:
    """Yield what is found, quick checks first; the state is `ok`, `skip`, `warn` (not needed) or `fail`."""
    yield _python()
    yield _checked("java", _java)
    yield from _packages()
    yield from _home()
    settings, finding = _settings()
    yield finding
    if settings is None:
        yield from (Finding(name, "skip", "not checked without settings") for name in ("model", "embedder"))
    else:
        yield _checked("model", partial(_model, settings.model, offline))
        yield _checked("embedder", partial(_embedder, settings.embedder, offline))
    yield from _sandbox()
    yield from _extras()


def _python() -> Finding:
    version = ".".join(map(str, sys.version_info[:3]))
    if sys.version_info[:2] < OLDEST_PYTHON:
        return Finding("python", "fail", version, "install Python 3.11 or newer")
    return Finding("python", "ok", f"{version} in {sys.prefix}")


def _java() -> Finding:
    from agentevo.environments.text.java import MissingJava, find_java

    try:
        return Finding("java", "ok", find_java("a text world"))
    except MissingJava:
        todo = "apt install default-jre-headless, brew install openjdk, or set JAVA_HOME"
        return Finding("java", "skip", "not found; the environments scienceworld and textworld_express need it", todo)


def _packages() -> Iterator[Finding]:
    """Import what agentevo depends on; one line for all that work, one for each that does not."""
    working = []
    for requirement in _requirements(""):
        try:
            _load(requirement.name)
            version = importlib.metadata.version(requirement.name)
        except Exception as error:  # noqa: BLE001 - a broken package can raise anything while it is imported
            detail = f"cannot be imported: {type(error).__name__}: {one_line(error)}"
            yield Finding(requirement.name, "fail", detail, f"pip install --force-reinstall '{requirement}'")
            continue
        if requirement.specifier.contains(version, prereleases=True):
            working.append(f"{requirement.name} {version}")
        else:
            yield Finding(requirement.name, "fail", f"version {version}", f"pip install '{requirement}'")
    yield Finding("packages", "ok", ", ".join(working) or "none")


def _load(package: str) -> None:
    if package == "litellm":
        from agentevo.models.runtime import load_litellm

        load_litellm()  # imported in any other way it talks, and asks the network for prices
    else:
        importlib.import_module(_module_name(package))


def _is_there(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except ValueError:  # it is loaded, and does not say from where
        return True


def _requirements(extra: str) -> list[Requirement]:
    """Return what the base package (extra "") or one of its extras asks for on this platform."""
    from packaging.requirements import Requirement

    asked = [Requirement(text) for text in importlib.metadata.requires("agentevo") or ()]
    wanted = [one for one in asked if one.marker is None or one.marker.evaluate({"extra": extra})]
    if not extra:
        return wanted
    base = {one.name for one in _requirements("")}
    return [one for one in wanted if one.name not in base]


def _module_name(package: str) -> str:
    return package.replace("-", "_")


def _home() -> Iterator[Finding]:
    from agentevo.settings import home

    folder = home()
    existing = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    try:
        if not existing.is_dir():
            raise NotADirectoryError(f"{existing} is not a folder")
        with tempfile.NamedTemporaryFile(dir=existing):
            pass
        free = shutil.disk_usage(existing).free
    except OSError as error:
        yield Finding(
            "home", "fail", f"{folder} cannot be written: {one_line(error)}", "set AGENTEVO_HOME to a folder of yours"
        )
        return
    yield Finding("home", "ok", f"{folder} can be written")
    if free < FREE_WANTED:
        yield Finding("disk", "warn", f"{size(free)} free", "weights and memories may not fit; make room")
    else:
        yield Finding("disk", "ok", f"{size(free)} free")


def _settings() -> tuple[Settings | None, Finding]:
    """Return the user's settings, or None where they cannot be read: nothing that needs them works then."""
    from agentevo.settings import Settings, home, settings

    path = home() / "config.toml"
    try:
        chosen = settings()
    except AgentEvoError as error:
        return None, Finding("settings", "fail", one_line(error))
    changed = ", ".join(f"{k}={v}" for k, v in chosen if v != Settings.model_fields[k].default)
    return chosen, Finding("settings", "ok", changed or f"the defaults; {path} would change them")


def _checked(name: str, check: Callable[[], Finding]) -> Finding:
    try:
        return check()
    except AgentEvoError as error:
        return Finding(name, "fail", one_line(error))
    except Exception as error:  # noqa: BLE001 - the report goes on whatever a part does
        return Finding(
            name, "fail", f"{type(error).__name__}: {one_line(error)}", "AGENTEVO_DEBUG=1 agentevo run Hi shows where"
        )


def _model(name: str, offline: bool) -> Finding:
    from agentevo.models import as_model

    local = name.startswith("local/")
    if local:
        _verify(name.removeprefix("local/").partition("+")[0])
    elif offline:
        return Finding("model", "skip", f"{name} is reached over a network")
    since = time.monotonic()
    asyncio.run(as_model(name).complete([{"role": "user", "content": "Say hello."}], max_tokens=8))
    return Finding("model", "ok", f"{name} answered in {time.monotonic() - since:.1f} s, loading included")


def _embedder(name: str, offline: bool) -> Finding:
    from agentevo.models import as_embedder
    from agentevo.models.catalogue import CATALOGUE

    if name in CATALOGUE:
        _verify(name)
    elif offline and "/" in name and not Path(name).exists():
        return Finding("embedder", "skip", f"{name} is reached over a network")
    since = time.monotonic()
    rows = asyncio.run(as_embedder(name).embed(["hello"]))
    return Finding("embedder", "ok", f"{name}, {rows.shape[1]} dimensions, in {time.monotonic() - since:.1f} s")


def _verify(name: str) -> None:
    """Raise WeightsError where weights are not here or not what was installed: a check fetches nothing."""
    from agentevo.models.catalogue import CATALOGUE
    from agentevo.models.installed import find, installed, verify

    if name in CATALOGUE and name not in {one.name for one in installed()}:
        raise WeightsError(f"{name} is not installed; agentevo models pull {name}")
    verify(find(name))


def _sandbox() -> Iterator[Finding]:
    """Put up each tier of the sandbox and try to get out of it; one that holds is enough."""
    from agentevo.environments.sandbox import Sandbox, SandboxUnavailable
    from agentevo.environments.sandbox.sandbox import CHOSEN

    reasons: dict[str, str] = {}
    for tier in CHOSEN:
        try:
            with Sandbox(tier=tier, workers=1) as sandbox:
                held = ", ".join(one.name for one in sandbox.probes)
            yield Finding(f"sandbox {tier}", "ok", f"refused: {held}")
        except SandboxUnavailable as error:
            reasons[tier] = error.reasons[tier]
            yield Finding(f"sandbox {tier}", "skip", one_line(Exception(reasons[tier])))
        except Exception as error:  # noqa: BLE001 - the report goes on whatever a part does
            reasons[tier] = f"{type(error).__name__}: {one_line(error)}"
            yield Finding(f"sandbox {tier}", "fail", reasons[tier])
    if len(reasons) == len(CHOSEN):
        todo = "run on Linux where user namespaces or Landlock are allowed"
        yield Finding("sandbox", "warn", "no tier works here, so programs of models are not run", todo)
    else:
        chosen = next(tier for tier in CHOSEN if tier not in reasons)
        yield Finding("sandbox", "ok", f"tier {chosen} is used")


def _extras() -> Iterator[Finding]:
    for extra in importlib.metadata.metadata("agentevo").get_all("Provides-Extra") or ():
        missing = [one.name for one in _requirements(extra) if not _is_there(_module_name(one.name))]
        if missing:
            yield Finding(f"extra {extra}", "skip", f"without {', '.join(missing)}", f"pip install 'agentevo[{extra}]'")
        else:
            yield Finding(f"extra {extra}", "ok", "installed")
