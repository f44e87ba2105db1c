"""A run of evo to be killed: it reflects, forgets, and its gate turns a turn down.

    python evolving.py FOLDER [KILL_AT]     run, or go on; killed at the boundary of that number
    python evolving.py                      each line on stdin, FOLDER [KILL_AT [AFTER_S]], does so in a process forked
                                            off, which spares it the imports; killed too after so many seconds

Boundaries lie before and after each strategy, each model call, each line of the journal and the steps, each experience
that memory keeps, and each commit.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import sys
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ParamSpec, TypeVar, Unpack

from cycles import NOW, Sums
from pydantic import BaseModel

from agentevo.cycle import evolve
from agentevo.events import Event
from agentevo.memory import Draft, Memory
from agentevo.memory.extract import Lesson, Lessons
from agentevo.models import FunctionModel
from agentevo.models.requests import Options
from agentevo.protocols import Model, Recipe, State
from agentevo.recipes.in_context.evo import evo
from agentevo.record import Record
from agentevo.types import ChatMessage, Experience, Message, Reply, Task, Transaction, Usage

P = ParamSpec("P")
T = TypeVar("T")
Boundary = Callable[[str], None]
CYCLES = 3
HOW, USELESS, HARMFUL = "Carry the one.", "Be nice.", "Guess high."


class Trade(Sums):
    """Sums of which other ones are held out than are practised."""

    def tasks(self, split: str) -> Sequence[Task]:
        return [self.task(f"{n}+{n + 1}") for n in range(100, 106)]


async def six_a_turn(state: State) -> list[Task]:
    return [state.environment.task(f"{n}+{n + 1}") for n in range(6 * state.round, 6 * state.round + 6)]


def said(messages: Sequence[Message], schema: type[BaseModel] | None) -> str | Lessons:
    """Answer even sums; odd ones where the prompt says how, 11+12 by guessing alone, which spoils what is held out."""
    text = "\n".join(str(message["content"]) for message in messages)
    first = int(re.findall(r"What is (\d+)\+\d+\?", text)[-1 if schema is None else 0])
    if schema is not None:
        content = HARMFUL if first == 11 else {1: HOW, 3: USELESS}.get(first % 6)
        return Lessons(lessons=[Lesson(title="Sums", description="For sums.", content=content)] if content else [])
    knows = first % 2 == 0 or HOW in text
    if HARMFUL in text or first == 11:
        knows = first == 11 and HARMFUL in text
    return str(2 * first + knows)


# --- boundaries


@dataclass(frozen=True)
class Bounded(Record):
    """A record with a boundary around each thing that it writes."""

    boundary: Boundary = lambda kind: None

    def keep(self, name: str, kind: type[T], value: T, usage: Usage = Usage()) -> None:  # noqa: B008
        self.boundary("journal")
        super().keep(name, kind, value, usage)
        self.boundary("report" if name == "report" else "journal")

    def note(self, event: Event) -> None:
        self.boundary("step")
        super().note(event)
        self.boundary("step")

    def model(self, model: Model) -> Model:
        return Asked(super().model(model), self.boundary)


@dataclass(frozen=True)
class Asked:
    """A model with a boundary before each call, and one when its reply is kept."""

    inside: Model
    boundary: Boundary

    @property
    def name(self) -> str:
        return self.inside.name

    async def complete(self, messages: Sequence[ChatMessage], **options: Unpack[Options]) -> Reply:
        self.boundary("model")
        reply = await self.inside.complete(messages, **options)
        self.boundary("model")
        return reply


class Keeping(Memory):
    """A memory with a boundary around each thing that a turn writes to it."""

    boundary: Boundary = staticmethod(lambda kind: None)

    async def arecord(self, experience: Experience, *, run: str = "", id: str | None = None) -> str:
        self.boundary("experience")
        name = await super().arecord(experience, run=run, id=id)
        self.boundary("experience")
        return name

    def draft(self, name: str | None = None) -> Draft:
        return Drafted(self)


class Drafted(Draft):
    """A draft with a boundary around its commit."""

    async def acommit(self, *, key: str | None = None, reason: str = "") -> Transaction:
        boundary = self._below.boundary if isinstance(self._below, Keeping) else Keeping.boundary
        boundary("commit")
        done = await super().acommit(key=key, reason=reason)
        boundary("committed")
        return done


def recipe(boundary: Boundary) -> Recipe:
    def bounded(kind: str, strategy: Callable[P, Awaitable[T]]) -> Callable[P, Awaitable[T]]:
        async def between(*args: P.args, **kwargs: P.kwargs) -> T:
            boundary(kind)
            value = await strategy(*args, **kwargs)
            boundary(kind)
            return value

        return between

    plain = evo(feedback="weak", k=12, cap=6)
    return replace(
        plain,
        tasks=bounded("tasks", six_a_turn),
        act=bounded("act", plain.act),
        judge=[bounded("judge", judge) for judge in plain.judge],
        update=[bounded("update", update) for update in plain.update],
    )


# --- running


def run(folder: Path, kill_at: int = -1) -> None:
    """Run to the end, and write down which boundaries there were."""
    passed: list[str] = []

    def boundary(kind: str) -> None:
        if len(passed) == kill_at:
            os.kill(os.getpid(), signal.SIGKILL)
        passed.append(kind)

    def asked(messages: list[Message], schema: type[BaseModel] | None) -> str | Lessons:
        with (folder / "asked").open("a") as file:
            file.write(f"{messages}\n")
        return said(messages, schema)

    asyncio.run(_evolved(folder, FunctionModel(asked), boundary))
    (folder / "boundaries").write_text("\n".join(passed))


async def _evolved(folder: Path, model: Model, boundary: Boundary) -> None:
    with Keeping.open(folder / "memory", embedder="hash", clock=lambda: NOW) as memory:
        assert isinstance(memory, Keeping)
        memory.boundary = boundary
        with Bounded.open(folder / "run", id="run", clock=lambda: NOW) as opened:
            assert isinstance(opened, Bounded)
            record = replace(opened, boundary=boundary)
            state = State(model=model, memory=memory, environment=Trade(), recipe=recipe(boundary))
            async for _ in evolve(state, record, CYCLES):
                boundary("turn")


def forked(lines: Iterator[str]) -> None:
    """Run each line in a process forked off, and say how that ended: 0, or the signal, as -9."""
    for line in lines:
        folder, kill_at, after_s = [*line.split(), "-1", "0"][:3]
        child = os.fork()
        if child == 0:
            run(Path(folder), int(kill_at))
            os._exit(0)
        if float(after_s):
            time.sleep(float(after_s))
            os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)


# --- what is left


def left(folder: Path) -> dict[str, list[str]]:
    """Return what a run leaves: an export, the journal, and the calls that were paid; what is drawn by lot renamed."""
    with Memory.open(folder / "memory") as memory:
        assert memory.verify().ok
        lines = memory.export()
        exported = [] if isinstance(lines, int) else list(lines)
    journal = (folder / "run" / "journal.jsonl").read_text().splitlines()
    named = dict(_names(exported, journal))

    def renamed(lines: Sequence[str]) -> list[str]:
        # What is under way at once may end in any order.
        return sorted(re.sub(r"\b[0-9a-f]{16}\b", lambda found: named.get(found[0], found[0]), line) for line in lines)

    asked = (folder / "asked").read_text().splitlines()
    return {"export": renamed(exported), "journal": renamed(journal), "asked": sorted(asked)}


def _names(exported: Sequence[str], journal: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Yield a name that does not change from run to run for each item, by what it says, and each transaction."""
    for line in map(json.loads, exported):
        if line["type"] == "transaction":
            yield line["id"], f"transaction {line['key']}"
    for line in map(json.loads, journal):
        ops = line["value"] if "/update." in line["key"] else []
        yield from ((op["id"], json.dumps(op["item"]["text"])[1:-1]) for op in ops if "item" in op)


if __name__ == "__main__":
    if len(sys.argv) > 1:
        run(Path(sys.argv[1]), *map(int, sys.argv[2:]))
    else:
        forked(iter(sys.stdin.readline, ""))
