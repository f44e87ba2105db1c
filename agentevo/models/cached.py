"""A model that answers from disk what it was asked before."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import tempfile
import threading
from collections.abc import Callable, Coroutine, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path
from typing import Unpack

from pydantic import ValidationError

from agentevo.errors import BudgetExceeded
from agentevo.models.requests import Options, check_name, described, key_of, request_of, with_adapter
from agentevo.protocols import Model
from agentevo.settings import home
from agentevo.types import ChatMessage, Json, Reply, Usage

_log = logging.getLogger(__name__)


class Cached:
    """Wraps any model: an equal request (model, messages, options, schema) is made once and then read from disk.

    A reply from disk costs nothing, and its usage says so. Equal requests made at the same time, from whatever tasks
    and threads, share one call, unless they are streamed. Failures are not kept. To get different samples at a
    temperature, vary `seed`. Entries know a model by its name: after its weights changed, delete the folder.
    """

    def __init__(self, model: Model, folder: str | os.PathLike[str] | None = None) -> None:
        self._model = model
        self._folder = home() / "cache" if folder is None else Path(folder)
        self._under_way: dict[str, _Call] = {}
        self._lock = threading.Lock()

    @property
    def name(self) -> str:
        return self._model.name

    @property
    def identity(self) -> Json:
        return getattr(self._model, "identity", None)

    @property
    def count_tokens(self) -> Callable[[str], int] | None:
        """What counts the tokens of a text, where the model has it."""
        return getattr(self._model, "count_tokens", None)

    def adapted(self, adapter: str) -> Cached:
        """Return the model with an adapter, cached in the same folder; raise Misuse where it takes none."""
        return Cached(with_adapter(self._model, adapter), self._folder)

    async def check_name(self) -> None:
        """Raise UnknownName where the model goes by no provider's name."""
        await check_name(self._model)

    async def complete(self, messages: Sequence[ChatMessage], **options: Unpack[Options]) -> Reply:
        """Answer from disk, or ask the model and keep its reply; see `agentevo.protocols.Model`."""
        request = request_of(messages, options)
        asked = described(self._model, request)
        key = key_of(asked)
        while True:
            if (kept := self._read(key)) is not None:
                return request.hand_over(_free(kept))
            if request.on_text is not None:
                return await self._make(key, asked, messages, options)
            call, leads = self._join(key)
            if leads:
                call.start(self._make(key, asked, messages, options), lambda: self._under_way.pop(key, None))
            try:
                reply = await self._wait(call)
            except BudgetExceeded:
                if leads:
                    raise
                continue  # that was another's budget
            if reply is not None:
                return reply if leads else _free(reply)

    def _join(self, key: str) -> tuple[_Call, bool]:
        with self._lock:
            call, leads = self._under_way.get(key), False
            if call is None:
                call = self._under_way[key] = _Call()
                leads = True
            call.waiting += 1
            return call, leads

    async def _wait(self, call: _Call) -> Reply | None:
        """Wait for a call that others may wait for too; the last one to lose interest cancels it."""
        try:
            return await asyncio.shield(asyncio.wrap_future(call.outcome))
        finally:
            with self._lock:
                call.waiting -= 1
                abandoned = call.waiting == 0
            if abandoned:
                call.abandon()

    async def _make(self, key: str, asked: dict[str, Json], messages: Sequence[ChatMessage], options: Options) -> Reply:
        reply = await self._model.complete(messages, **options)
        self._write(key, asked, reply)
        return reply

    def _path(self, key: str) -> Path:
        return self._folder / key[:2] / f"{key}.json"

    def _read(self, key: str) -> Reply | None:
        path = self._path(key)
        try:
            return Reply.model_validate(json.loads(path.read_bytes())["reply"])
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError, ValidationError, RecursionError) as error:
            _log.warning("the cache entry %s cannot be read, so the model is asked again: %.200s", path, error)
            return None

    def _write(self, key: str, asked: dict[str, Json], reply: Reply) -> None:
        """Write the entry whole or not at all; a disk that refuses it costs the entry, not the reply."""
        path = self._path(key)
        entry = json.dumps({"request": asked, "reply": reply.model_dump(mode="json")})
        temporary: str | None = None
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.NamedTemporaryFile("w", dir=path.parent, suffix=".part", delete=False) as file:
                temporary = file.name
                file.write(entry)
            Path(temporary).replace(path)
        except OSError as error:
            _log.warning("a reply cannot be kept in %s: %s", path.parent, error)
            if temporary is not None:
                Path(temporary).unlink(missing_ok=True)


def _free(reply: Reply) -> Reply:
    return reply.model_copy(update={"usage": Usage()})


@dataclass(slots=True)
class _Call:
    """A call under way: its task lives in the event loop of whoever came first, its outcome is for all who wait."""

    waiting: int = 0
    outcome: Future[Reply | None] = field(default_factory=Future)
    _task: asyncio.Task[Reply] | None = None

    def start(self, work: Coroutine[None, None, Reply], on_end: Callable[[], object]) -> None:
        def settle(task: asyncio.Task[Reply]) -> None:
            on_end()
            self._settle(task)

        self._task = asyncio.create_task(work)
        # A callback, because a task that is cancelled before its first step runs no line of its own.
        self._task.add_done_callback(settle)

    def _settle(self, task: asyncio.Task[Reply]) -> None:
        if task.cancelled():
            self.outcome.set_result(None)  # torn down with its loop: one of those who still wait takes over
        elif (error := task.exception()) is not None:
            self.outcome.set_exception(error)
        else:
            self.outcome.set_result(task.result())

    def abandon(self) -> None:
        if self._task is not None and not self._task.done():
            with contextlib.suppress(RuntimeError):  # its loop is closed, and the task with it
                self._task.get_loop().call_soon_threadsafe(self._task.cancel)
