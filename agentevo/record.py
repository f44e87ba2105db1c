"""The run folder: what finished, what the models said, and each step as it was taken, so that a run can go on.

    RUN/
        run.json          what the run is: its id, recipe, model, environment, seed
        journal.jsonl     what finished, one line each: attempts, judgements, changes to memory, reports
        replies.jsonl     what the models said, by request and place
        steps.jsonl       each message of each attempt as it came: readable also when the attempt never ended
        lock              held by the process that is running it

A run that was killed goes on where it was: what finished is read, what had begun is begun again, and what a model said
in it is not asked, or paid for, twice. A Record without a folder is a run in this process alone.
"""

from __future__ import annotations

import asyncio
import json
import secrets
import time
from collections import Counter
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar

from pydantic import TypeAdapter, ValidationError

from agentevo.errors import Misuse, RunError
from agentevo.events import Event, listening
from agentevo.journal import Journal, Place, placed, unfit
from agentevo.models.cassette import Cassette
from agentevo.models.usage import Meter, charging, settle, spending, timed
from agentevo.position import at
from agentevo.protocols import Model
from agentevo.runs import held
from agentevo.steps import Steps
from agentevo.together import together
from agentevo.types import Experience, Json, Task, Usage

T = TypeVar("T")
V = TypeVar("V")
X = TypeVar("X", Task, Experience)

NOTHING = Usage()
CONCURRENCY = 64
"""So many attempts, or judgements, are under way at once."""


@dataclass(frozen=True)
class Record:
    """A run, or a part of one: a turn, say. What is done under a name is done once."""

    id: str
    concurrency: int = CONCURRENCY
    clock: Callable[[], float] = time.time
    _folder: _Folder | None = None
    _part: str = ""

    @classmethod
    def open(
        cls,
        folder: str | Path | None = None,
        *,
        about: Mapping[str, Json] | None = None,
        id: str | None = None,
        concurrency: int = CONCURRENCY,
        clock: Callable[[], float] = time.time,
    ) -> Record:
        """Begin a run in a folder, or go on with the one that is there; without a folder nothing is kept.

        `about` says what the run is. Raise Misuse where the folder holds a run that was about something else, and
        RunError where it cannot be used.
        """
        if concurrency < 1:
            raise Misuse(f"concurrency is {concurrency!r}; expected how many attempts run at once, 1 or more")
        if folder is None:
            return cls(id or secrets.token_hex(4), concurrency, clock)
        opened = _Folder(Path(folder), id or secrets.token_hex(4), dict(about or {}))
        return cls(opened.id, concurrency, clock, opened)

    def close(self) -> None:
        """Let go of the folder; a second call does nothing."""
        if self._folder is not None:
            self._folder.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self.close()

    @property
    def folder(self) -> Path | None:
        return self._folder.path if self._folder else None

    @property
    def key(self) -> str:
        """Name this part of this run: what is committed under it is committed once."""
        return f"{self.id}/{self._part}".rstrip("/")

    def turn(self, name: int | str) -> Record:
        """Return the part of the run that a turn, or a stretch of one, is kept under."""
        return replace(self, _part=f"{self._part}{name}/")

    def model(self, model: Model) -> Model:
        """Return the model with its replies kept: what was asked before, in the same place, is not asked again."""
        return Cassette(model, self._folder.path / "replies.jsonl", by_place=True) if self._folder else model

    def note(self, event: Event) -> None:
        """Keep a step of an attempt as it is taken; for `agentevo.events.listening`."""
        if self._folder is not None:
            self._folder.steps.note(event)

    async def following(self, work: AsyncGenerator[V, None], meter: Meter) -> AsyncGenerator[V, None]:
        """Yield what work yields, each step noted, charged and timed; whoever looks at it in between is not."""
        async with aclosing(work):
            while True:
                with charging(meter), listening(self.note, pieces=False):
                    try:
                        async with timed(meter):
                            value = await anext(work)
                    except StopAsyncIteration:
                        return
                yield value

    # --- doing things once

    def read(self, name: str, kind: type[T]) -> T | None:
        """Return what was done under a name, its cost counted; None where it was not done yet.

        Raise RunError where it is not what it should be.
        """
        done = self._folder.read(self._part + name) if self._folder else None
        if done is None:
            return None
        try:
            value, paid = TypeAdapter(kind).validate_python(done[0]), Usage.model_validate(done[1])
        except ValidationError as error:
            raise unfit(f"what {self.folder} keeps as {self._part + name!r}", error) from error
        settle(paid)
        return value

    async def once(self, name: str, kind: type[T], work: Callable[[], Awaitable[T]]) -> T:
        """Do a piece of work and keep what came of it; where it was done before, return that."""
        found = self.read(name, kind)
        if found is not None:
            return found
        with at(f"{self.id}/{self._part}{name}"), spending() as meter:
            value = await work()
        self.keep(name, kind, value, meter.usage)
        return value

    async def now(self) -> float:
        """Return the time that this part of the run began, the same one after a crash."""

        async def read_clock() -> float:
            return self.clock()

        return await self.once("now", float, read_clock)

    async def each(self, slot: str, given: Sequence[X], work: Callable[[X], Awaitable[Experience]]) -> list[Experience]:
        """Do a piece of work for each task or experience, many at once, in order; each is kept when it ends."""
        gate = asyncio.Semaphore(self.concurrency)

        async def one(name: str, item: X) -> Experience:
            found = self.read(name, Experience)
            if found is not None:
                return found
            async with gate:
                return await self.once(name, Experience, lambda: work(item))

        return await together(one(name, item) for name, item in zip(_names(slot, given), given, strict=True))

    def keep(self, name: str, kind: type[T], value: T, usage: Usage = NOTHING) -> None:
        """Keep what came of a piece of work."""
        if self._folder is not None:
            said = TypeAdapter(kind).dump_python(value, mode="json", exclude_defaults=True)
            self._folder.keep(self._part + name, said, usage)

    def sync(self) -> None:
        """Make what was kept so far survive a crash of the machine too."""
        if self._folder is not None:
            self._folder.journal.sync()


def _names(slot: str, given: Sequence[Task] | Sequence[Experience]) -> list[str]:
    """Return one name each; a task that comes twice has two."""
    ids = [item.id if isinstance(item, Task) else item.task.id for item in given]
    seen: Counter[str] = Counter()
    names = []
    for name in ids:
        seen[name] += 1
        names.append(f"{slot}/{name}" + (f"~{seen[name]}" if seen[name] > 1 else ""))
    return names


# --- the folder


class _Folder:
    """The files of a run; one process at a time holds them."""

    def __init__(self, path: Path, id: str, about: dict[str, Json]) -> None:
        self.path = path
        self._lock = held(path)
        try:
            self.id = self._begun(id, about)
            self.steps = Steps(path / "steps.jsonl")
            self.journal = Journal(path / "journal.jsonl")
            # What was done is left on the disk until it is asked for: it may be more than memory should hold.
            self._done = dict(self._kept())
        except BaseException:
            self.close()
            raise

    def _begun(self, id: str, about: dict[str, Json]) -> str:
        """Return the id of the run that is here, or begin one; raise Misuse where it was about something else."""
        path = self.path / "run.json"
        about = json.loads(json.dumps(about))
        if not path.exists():
            part = path.with_suffix(".part")
            try:
                part.write_text(json.dumps({"id": id, **about}, indent=1, ensure_ascii=False), "utf-8")
                part.replace(path)
            except OSError as error:
                raise RunError(f"cannot write {path}: {error}; make room, then begin again") from error
            return id
        try:
            there = json.loads(path.read_text("utf-8"))
            known = str(there.pop("id"))
        except (OSError, ValueError, AttributeError, KeyError, TypeError) as error:
            raise RunError(f"{path} says not what run this is: {error}; begin a new run") from error
        differing = sorted(name for name in {*there, *about} if there.get(name) != about.get(name))
        if differing:
            name = differing[0]
            raise Misuse(
                f"the run in {self.path} was begun with another {', '.join(differing)} ({name}: then"
                f" {there.get(name)!r:.80}, now {about.get(name)!r:.80}); go on as it began, or name another run"
            )
        return known

    def _kept(self) -> Iterator[tuple[str, Place]]:
        """Yield what is in the journal, and where."""
        for place, line in placed(self.journal.path):
            if "key" not in line:
                raise RunError(
                    f"{self.journal.path}, at byte {place.start}, is damaged: it has no key; begin a new run"
                )
            yield str(line["key"]), place

    def read(self, key: str) -> tuple[object, object] | None:
        """Return what was done under a key, and what was paid for it."""
        place = self._done.get(key)
        if place is None:
            return None
        line = self.journal.read(place)
        return line.get("value"), line.get("usage", {})

    def keep(self, key: str, value: object, usage: Usage) -> None:
        paid = usage.model_dump(exclude_defaults=True)
        line = {"key": key, "value": value, **({"usage": paid} if paid else {})}
        self._done[key] = self.journal.append(json.dumps(line, ensure_ascii=False))

    def close(self) -> None:
        for part in (getattr(self, "journal", None), getattr(self, "steps", None)):
            if part is not None:
                part.close()
        self._lock.release()
