"""The folder in which an adapter comes to be: one process at a time, from checkpoint to checkpoint."""

from __future__ import annotations

import contextlib
import errno
import logging
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

from agentevo.errors import Misuse, TrainingError, WeightsError

log = logging.getLogger(__name__)

WHOLE = "whole"
"""A file in a checkpoint that was written to its end."""
_LITTLE = 1 << 20
"""Bytes free on a disk that is as good as full."""


def beside(out: Path) -> Path:
    """Return the folder in which an adapter comes to be; raise Misuse for what is no name, such as . and /."""
    if not out.name:
        raise Misuse(f"{out} is no name for a new folder; give the adapter one, such as {out / 'adapter'}")
    return out.with_name(f".{out.name}.training")


@contextlib.contextmanager
def alone(out: Path) -> Iterator[Path]:
    """Yield the folder beside `out` in which it comes to be; raise WeightsError if another process is at it."""
    from filelock import FileLock, Timeout

    work = beside(out)
    work.mkdir(parents=True, exist_ok=True)
    lock = FileLock(work / "lock")
    try:
        lock.acquire(timeout=0)
    except Timeout as error:
        raise WeightsError(f"another process is training {out}; wait for it, or choose another folder") from error
    try:
        yield work
    except BaseException as error:
        if isinstance(error, TrainingError) or last(work) is None:  # going on would fail again, or is beginning anew
            shutil.rmtree(work, ignore_errors=True)
        raise
    finally:
        lock.release()


def begin(work: Path, key: str) -> None:
    """Keep the checkpoints of the training with this key that are whole, and remove all others."""
    file = work / "key"
    is_same = file.is_file() and file.read_text("ascii") == key
    for checkpoint in work.glob("checkpoint-*"):
        if not is_same or not (checkpoint / WHOLE).exists():
            shutil.rmtree(checkpoint)
    file.write_text(key, "ascii")
    if found := last(work):
        log.info("going on from %s", Path(found).name)


def last(work: Path) -> str | None:
    """Return the last checkpoint that was written to its end."""
    whole = [mark.parent for mark in work.glob(f"checkpoint-*/{WHOLE}")]
    return str(max(whole, key=_number)) if whole else None


def is_cut_short(work: Path) -> bool:
    """Say whether a checkpoint was begun and not written to its end."""
    return any(not (checkpoint / WHOLE).exists() for checkpoint in work.glob("checkpoint-*"))


def _number(checkpoint: Path) -> int:
    return int(checkpoint.name.rpartition("-")[2])


@contextlib.contextmanager
def stored(out: Path) -> Iterator[None]:
    """Turn what the disk says into a WeightsError that says what to do."""
    from safetensors import SafetensorError

    try:
        yield
    except (OSError, SafetensorError) as error:
        number = _number_of(error)
        has_no_room = number in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG) or (number is None and _is_full(out.parent))
        advice = (
            "the disk is full (or a limit is reached); make room and call again"
            if has_no_room
            else f"{getattr(error, 'strerror', None) or error}; choose a place that can be written to"
        )
        raise WeightsError(f"cannot write {out}: {advice}") from error


def _is_full(folder: Path) -> bool:
    return shutil.disk_usage(folder).free < _LITTLE if folder.is_dir() else False


def _number_of(error: Exception) -> int | None:
    """Return the number of an error of the system; safetensors has it in the text alone."""
    found = re.search(r"os error (\d+)", str(error))
    return int(found[1]) if found else getattr(error, "errno", None)
