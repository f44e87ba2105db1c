"""Recordings: what a model was asked and what it answered, one line an exchange, to be played again."""

from __future__ import annotations

import contextlib
import copy
import difflib
import json
import os
import threading
from collections import defaultdict, deque
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import BinaryIO, Literal, Self, TypeAlias, Unpack, get_args

from pydantic import ValidationError

from agentevo import errors
from agentevo.errors import CassetteError, Misuse, ModelError
from agentevo.models import usage
from agentevo.models.replies import whole, whole_text
from agentevo.models.requests import Options, Request, described, key_of, request_of, with_adapter
from agentevo.position import here
from agentevo.protocols import Model
from agentevo.types import ChatMessage, Json, Record, Reply

Mode: TypeAlias = Literal["auto", "record", "replay"]


class Failure(Record):
    """An error that a model raised."""

    type: str
    message: str
    reply: Reply | None = None

    @classmethod
    def of(cls, error: ModelError) -> Self:
        """Keep the nearest kind that our tree of errors has: a provider may have its own below it."""
        kind = next(kind for kind in type(error).__mro__ if getattr(errors, kind.__name__, None) is kind)
        return cls(type=kind.__name__, message=whole_text(str(error)), reply=error.reply)

    def as_error(self) -> ModelError:
        kind = getattr(errors, self.type, ModelError)
        error: ModelError = kind(self.message, self.reply)
        return error


class Exchange(Record):
    """One line of a recording: a reply or, where the model failed, a failure."""

    key: str
    request: dict[str, Json]
    place: str = ""
    """Where in a run it was asked, for recordings that tell places apart."""
    reply: Reply | None = None
    failure: Failure | None = None


class Cassette:
    """Wraps a model with a recording of it.

    `replay` answers from the file alone (`model` may be None) and raises CassetteError for what is not in it;
    `record` always asks the model and appends; `auto` replays what is there and records the rest. Equal requests are
    replayed in the order in which they were recorded, each recording once; with `by_place` also only where in a run
    they were asked (`agentevo.position`), and failures without a reply are not recorded. What a recorded call cost is
    charged again, so that a replayed run meets its budgets where the first one did.
    """

    def __init__(
        self, model: Model | None, path: str | os.PathLike[str], mode: Mode = "auto", *, by_place: bool = False
    ) -> None:
        if mode not in get_args(Mode):
            raise Misuse(f"mode is one of {', '.join(get_args(Mode))}; got {mode!r}")
        if model is None and mode != "replay":
            raise Misuse(f"mode {mode!r} needs a model to ask; only 'replay' does without one")
        self._model, self._path, self._mode, self._by_place = model, Path(path), mode, by_place
        self._lock = threading.Lock()
        self._unplayed: defaultdict[str, deque[Exchange]] = defaultdict(deque)
        recorded, mend = _load(self._path, mode)
        self._mend = [mend] if mend is not None else []  # a list: what is done once is done for all that share it
        # Requests are looked at again only where one is missing and no model can be asked: else they would fill memory.
        self._recorded = recorded if mode == "replay" or model is None else []
        for exchange in recorded if mode != "record" else ():
            key, kept = self._key(exchange.request, exchange.place), {} if model is not None else exchange.request
            self._unplayed[key].append(exchange.model_copy(update={"request": kept}))

    @property
    def name(self) -> str:
        if self._model is not None:
            return self._model.name
        return str(self._recorded[0].request.get("model", "cassette")) if self._recorded else "cassette"

    @property
    def identity(self) -> Json:
        return getattr(self._model, "identity", None)

    @property
    def count_tokens(self) -> Callable[[str], int] | None:
        """What counts the tokens of a text, where the model has it."""
        return getattr(self._model, "count_tokens", None)

    def adapted(self, adapter: str) -> Cassette:
        """Return the model with an adapter, on this same recording; raise Misuse where it takes none."""
        changed = copy.copy(self)
        changed._model = with_adapter(self._model, adapter)
        return changed

    async def complete(self, messages: Sequence[ChatMessage], **options: Unpack[Options]) -> Reply:
        """Replay the recorded reply, or ask the model and record it; see `agentevo.protocols.Model`."""
        request = request_of(messages, options)
        asked = described(self._model, request)
        place = here() if self._by_place else ""
        key = self._key(asked, place)
        with self._lock:
            exchange = self._unplayed[key].popleft() if self._unplayed.get(key) else None
        if exchange is not None:
            return _play(exchange, request)
        if self._mode == "replay" or self._model is None:
            raise CassetteError(self._missing(key, asked))
        try:
            reply = whole(await self._model.complete(messages, **options))
        except ModelError as error:
            error.reply = whole(error.reply) if error.reply is not None else None
            # A run is gone on with because what stopped it was mended: no answer came, so it is asked for again.
            if error.reply is not None or not self._by_place:
                self._append(Exchange(key=key, request=asked, place=place, failure=Failure.of(error)))
            raise
        self._append(Exchange.model_construct(key=key, request=asked, place=place, reply=reply))
        return reply

    def _key(self, asked: dict[str, Json], place: str = "") -> str:
        """Without a model to compare with, a request is known by everything else."""
        known = asked if self._model is not None else _anonymous(asked)
        return key_of({**known, "place": place} if self._by_place else known)

    def _append(self, exchange: Exchange) -> None:
        """Write one line in one go, or none; drop first what a crash left of an unfinished one."""
        line = exchange.model_dump_json().encode() + b"\n"
        with self._lock:
            length: int | None = None
            try:
                with self._opened() as file:
                    for end, before in self._mend:
                        file.truncate(end)
                        line = before + line
                    self._mend.clear()
                    length = file.seek(0, os.SEEK_END)
                    file.write(line)
            except OSError as error:
                if length is not None:
                    with contextlib.suppress(OSError):
                        os.truncate(self._path, length)
                raise CassetteError(
                    f"cannot record to {self._path}: {error}; make room, then go on with it", exchange.reply
                ) from error

    def _opened(self) -> BinaryIO:
        try:
            return self._path.open("ab")
        except FileNotFoundError:  # for the first line: to look for the folder before each costs more than to write it
            self._path.parent.mkdir(parents=True, exist_ok=True)
            return self._path.open("ab")

    def _missing(self, key: str, asked: dict[str, Json]) -> str:
        played = sum(self._key(exchange.request, exchange.place) == key for exchange in self._recorded)
        if played:
            times = "once" if played == 1 else f"{played} times"
            return f"{self._path} holds this request {times}, and it was asked once more; record it again"
        if not self._recorded:
            return f"{self._path} holds no request at all; open it with mode='auto' to record"
        line, nearest = max(enumerate(self._recorded, 1), key=lambda pair: _likeness(pair[1].request, asked))
        old = nearest.request if self._model is not None else _anonymous(nearest.request)
        differing = sorted(n for n in {*asked, *old} if asked.get(n) != old.get(n))
        return (
            f"{self._path} does not hold this request; the nearest, line {line}, differs in {', '.join(differing)}: "
            f"{_first_difference(old.get(differing[0]), asked.get(differing[0]))}; open it with mode='auto' to record"
        )


def _play(exchange: Exchange, request: Request) -> Reply:
    reply = exchange.reply
    if exchange.failure is not None:
        reply = exchange.failure.reply
    usage.reserve(max(reply.usage.calls, 1) if reply is not None else 1)
    if reply is not None:
        usage.charge(reply.usage)
    if exchange.failure is not None:
        raise exchange.failure.as_error()
    assert exchange.reply is not None  # checked on loading
    return request.hand_over(exchange.reply)


def _load(path: Path, mode: Mode) -> tuple[list[Exchange], tuple[int, bytes] | None]:
    """Return the exchanges and, if the last line is unfinished, where to cut it off and what to write first."""
    try:
        content = path.read_bytes()
    except FileNotFoundError as error:
        if mode == "replay":
            raise CassetteError(f"there is no recording {path}; record it with mode='auto'") from error
        return [], None
    except OSError as error:
        raise CassetteError(f"cannot read the recording {path}: {error}") from error
    *lines, rest = content.split(b"\n")
    exchanges = [
        _read(line, f"{path}, line {number}", "delete it, or record again") for number, line in _numbered(lines)
    ]
    if not rest:
        return exchanges, None
    try:
        last = _read(rest, f"{path}, line {len(lines) + 1}", "it was cut off; mode='auto' drops it and goes on")
    except CassetteError:
        if mode == "replay":
            raise
        return exchanges, (len(content) - len(rest), b"")
    return [*exchanges, last], (len(content), b"\n")


def _numbered(lines: list[bytes]) -> Iterator[tuple[int, bytes]]:
    return ((number, line) for number, line in enumerate(lines, 1) if line.strip())


def _read(line: bytes, where: str, advice: str) -> Exchange:
    try:
        exchange = Exchange.model_validate_json(line)
        if (exchange.reply is None) == (exchange.failure is None):
            raise ValueError("neither or both of reply and failure are there")
    except ValueError as error:
        what = error.errors()[0]["msg"] if isinstance(error, ValidationError) else str(error)
        raise CassetteError(f"{where} is no recorded exchange: {what}; {advice}") from error
    return exchange


def _anonymous(asked: dict[str, Json]) -> dict[str, Json]:
    return {name: value for name, value in asked.items() if name not in ("model", "identity")}


def _likeness(recorded: dict[str, Json], asked: dict[str, Json]) -> tuple[float, int]:
    same = sum(recorded.get(name) == value for name, value in asked.items())
    matcher = difflib.SequenceMatcher(None, _end(recorded.get("messages")), _end(asked.get("messages")))
    return matcher.quick_ratio(), same


def _end(value: Json) -> str:
    """What changes stands last in a prompt, so its end tells more than its beginning."""
    return json.dumps(value, sort_keys=True)[-2000:]


def _first_difference(recorded: Json, asked: Json) -> str:
    old, new = json.dumps(recorded), json.dumps(asked)
    at = next((i for i, (a, b) in enumerate(zip(old, new, strict=False)) if a != b), min(len(old), len(new)))
    begin = max(at - 20, 0)
    return f"recorded ...{old[begin : at + 40]!r}, asked ...{new[begin : at + 40]!r}"
