"""How what is fetched gets its place under AGENTEVO_HOME: by one process at a time, and all of it or nothing."""

from __future__ import annotations

import contextlib
import logging
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeAlias

from filelock import FileLock, Timeout

from agentevo.models.installed import storing
from agentevo.settings import home

log = logging.getLogger(__name__)

Progress: TypeAlias = Callable[[str, int, int], None]
"""Called with a label, the bytes done, and the bytes there are, or 0 where that is not known."""


@contextlib.contextmanager
def alone(name: str, progress: Progress) -> Iterator[None]:
    """Keep other processes from installing the same for the length of a block."""
    with storing(f"install {name}"):
        (home() / "locks").mkdir(parents=True, exist_ok=True)
        lock = FileLock(home() / "locks" / f"{name}.lock")
        try:
            lock.acquire(timeout=0)
        except Timeout:
            log.info("waiting for another process that pulls %s", name)
            progress(f"waiting for another pull of {name}", 0, 0)
            lock.acquire()
    try:
        yield
    finally:
        lock.release()


def downloads(name: str) -> Path:
    """Return the folder for what is fetched of something, and gone on with by the next try."""
    with storing(f"download {name}"):
        folder = home() / "downloads" / name
        folder.mkdir(parents=True, exist_ok=True)
        return folder


@contextlib.contextmanager
def filled(final: Path) -> Iterator[Path]:
    """Give a folder to fill, beside its place; it takes its place when filled, and is gone if anything fails."""
    name = final.name
    folder = final.with_name(f".partial-{name}")  # one name: what a killed pull left is cleaned by the next
    with storing(f"install {name}"):
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        try:
            yield folder
            if final.exists():  # without a readable card, or it would have been found
                shutil.rmtree(final)
            folder.rename(final)
        finally:
            shutil.rmtree(folder, ignore_errors=True)
    shutil.rmtree(home() / "downloads" / name, ignore_errors=True)
