"""What makes a run the run it is: the folder that bears its name, who holds that, and what it was begun with."""

from __future__ import annotations

import hashlib
import json
import secrets
import shutil
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from agentevo.errors import Misuse, RunError
from agentevo.journal import lines
from agentevo.models.requests import check_name
from agentevo.settings import home

if TYPE_CHECKING:
    from filelock import FileLock

    from agentevo.protocols import Environment, Model, State
    from agentevo.types import Json


LONGEST_NAME = 200
"""Bytes: file systems take 255, and some need a few of them themselves."""
WORTH_KEEPING = ("replies.jsonl", "results.jsonl")
"""The files of a run that hold what was paid for, or what came of it."""


def folder_of(name: str | None = None, kind: str = "run", runs: Path | None = None) -> Path:
    """Return the folder of a run by its name; a run without one is called after its kind and the time.

    Runs are kept in `runs`, by default in AGENTEVO_HOME/runs. Raise Misuse for a name that is no folder's.
    """
    if name is None:
        name = f"{time.strftime(f'{kind}-%Y%m%d-%H%M%S')}-{secrets.token_hex(2)}"
    if not _is_folder_name(name):
        raise Misuse(
            f"a run is named like a folder, without separators, in {LONGEST_NAME} bytes at most; got {name!r:.80}"
        )
    return (home() / "runs" if runs is None else runs) / name


def _is_folder_name(name: object) -> bool:
    if not isinstance(name, str) or not name or name != Path(name).name or name == "..":
        return False
    data = name.encode("utf-8", "replace")
    return "\0" not in name and data.decode() == name and len(data) <= LONGEST_NAME


@asynccontextmanager
async def beginning(folder: Path, model: Model) -> AsyncIterator[None]:
    """Begin a run, or go on with it, inside; raise UnknownName before anything is made for a model of no provider.

    A folder that is made inside is taken away again where misuse ends the run before a model has answered or a turn
    was finished.
    """
    if _is_new(folder):
        await check_name(model)
    with _unless_misused(folder):  # looked at anew: another may have begun this very run meanwhile
        yield


def _is_new(folder: Path) -> bool:
    return not folder.exists()


@contextmanager
def _unless_misused(folder: Path) -> Iterator[None]:
    is_new = _is_new(folder)
    try:
        yield
    except Misuse:
        if is_new and not _is_worth_keeping(folder):
            shutil.rmtree(folder, ignore_errors=True)
        raise


def _is_worth_keeping(folder: Path) -> bool:
    """Say whether anything was paid for or finished: a turn may also be finished without a model."""
    if any(path.stat().st_size for name in WORTH_KEEPING for path in folder.rglob(name)):
        return True
    return any(
        str(line.get("key")).endswith("/report") for path in folder.rglob("journal.jsonl") for line in lines(path)
    )


def held(folder: Path) -> FileLock:
    """Hold a run's folder, making it where there is none, until the lock that is returned is released.

    Raise RunError where another process holds it, or it cannot be made.
    """
    from filelock import FileLock, Timeout

    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(folder / "lock", timeout=0)
        lock.acquire()
    except Timeout as error:
        raise RunError(
            f"the run in {folder} is under way already, in this process or another; wait for it, or name another"
            " (a loop over aevolve that was left early holds its run until that is closed, by contextlib.aclosing say)"
        ) from error
    except OSError as error:
        raise RunError(f"cannot use the run folder {folder}: {error}") from error
    return lock


def about(state: State, **sizes: Json) -> dict[str, Json]:
    """Return what a run was begun with and goes on with, whoever began it: the method, who, where, and which memory.

    The same from Python and from the command line. A memory is known by the id that its ledger was made with, so that
    it may be moved, but not made anew. `sizes` are what else the run's course depends on.
    """
    from agentevo.described import describe

    return {
        "recipe": describe(state.recipe),
        "model": state.model.name,
        "seed": state.seed,
        **known_by(state.environment),
        "memory": str(getattr(state.memory, "id", "")),
        "namespace": state.memory.namespace,
        **sizes,
    }


def known_by(environment: Environment) -> dict[str, Json]:
    """Return what an environment is known by: what agents are given of its card, and its repr: how it was made."""
    from agentevo.described import describe

    card = environment.card
    return {
        "environment": f"{card.name}@{card.version}",
        "options": describe(environment),
        "splits": dict(card.splits),
        "instruction": card.instruction,
    }


def identity(environment: Environment) -> str:
    """Return what an environment is known by as one word: name, version, and a digest of all of it."""
    known = known_by(environment)
    digest = hashlib.sha256(json.dumps(known, sort_keys=True).encode()).hexdigest()[:8]
    return f"{known['environment']}+{digest}"
