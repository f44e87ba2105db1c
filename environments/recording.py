"""A recording of what an environment did: one line of JSON for each thing that happened, in the order it happened."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Literal, TypeAlias

from pydantic import Field, TypeAdapter, ValidationError

from agentevo.errors import Misuse
from agentevo.protocols import FeedbackLevel
from agentevo.types import Attempt, Card, Feedback, Message, Outcome, Record, Task, Tool, why_invalid

FORMAT = 1


class Head(Record):
    """The first line: what was recorded."""

    type: Literal["recording"] = "recording"
    format: int = FORMAT
    card: Card
    splits: tuple[str, ...]
    golden: bool


class Listed(Record):
    """The tasks of a split were listed."""

    type: Literal["tasks"] = "tasks"
    split: str
    tasks: tuple[Task, ...]


class Found(Record):
    """A task was looked up by its id."""

    type: Literal["task"] = "task"
    task: Task


class Shown(Record):
    """The right actions were asked for."""

    type: Literal["gold"] = "gold"
    task: str
    actions: tuple[Message, ...]


class Opened(Record):
    """An episode began."""

    type: Literal["open"] = "open"
    episode: int
    task: str
    seed: int
    feedback: FeedbackLevel
    observation: str
    tools: tuple[Tool, ...]


class Stepped(Record):
    """A step was made, and led to an outcome, to a refusal, or to an error."""

    type: Literal["step"] = "step"
    episode: int
    action: Message
    outcome: Outcome | None = None
    refused: str = ""
    error: str = ""


class Closed(Record):
    """An episode was closed."""

    type: Literal["close"] = "close"
    episode: int


class Verified(Record):
    """An attempt was judged; it is named by a digest of what it said."""

    type: Literal["verify"] = "verify"
    task: str
    attempt: str
    feedback: Feedback


Line: TypeAlias = Head | Listed | Found | Shown | Opened | Stepped | Closed | Verified
_LINE: TypeAdapter[Line] = TypeAdapter(Annotated[Line, Field(discriminator="type")])


def written(line: Line) -> str:
    return line.model_dump_json() + "\n"


def read(path: Path) -> Iterator[Line]:
    """Yield the lines of a recording. The last one may be torn, where the recording process was killed.

    Raise Misuse for a file that is not there, is no recording, or is damaged before its last line.
    """
    try:
        lines = path.read_bytes().split(b"\n")
    except OSError as error:
        raise Misuse(f"the recording {path} cannot be read: {error.strerror}") from error
    begun: set[int] = set()
    for n, text in enumerate(lines[:-1], start=1):  # what follows the last line break is empty, or torn
        try:
            line = _LINE.validate_json(text)
        except ValidationError as error:
            raise Misuse(f"{path}, line {n} is no line of a recording: {why_invalid(error):.200}") from error
        if problem := _problem(n, line, begun):
            raise Misuse(f"{path}, line {n}: {problem}")
        yield line


def _problem(n: int, line: Line, begun: set[int]) -> str:
    """Say what a line cannot be where it stands; note the episodes that begin."""
    if (n == 1) != isinstance(line, Head):
        return f"a recording begins with its head, and has one; got {line.type!r}"
    if isinstance(line, Head) and line.format != FORMAT:
        return f"this recording has format {line.format}, this version reads {FORMAT}; record it again"
    if isinstance(line, Stepped | Closed) and line.episode not in begun:
        return f"it goes on with the episode {line.episode}, which never began"
    if isinstance(line, Opened):
        begun.add(line.episode)
    return ""


def mended(path: Path) -> list[Line]:
    """Take away what is torn at the end of a recording, and return its lines."""
    lines = list(read(path))
    os.truncate(path, path.read_bytes().rfind(b"\n") + 1)
    return lines


def digest(attempt: Attempt) -> str:
    """Name an attempt by what it said, so that the same attempt of another run has the same name."""
    said = json.dumps([attempt.answer, attempt.messages], sort_keys=True)
    return hashlib.sha256(said.encode("ascii")).hexdigest()[:32]


def canonical(action: Message) -> str:
    return json.dumps(action, sort_keys=True)
