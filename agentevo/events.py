"""What happens while agents work, told as it happens to whoever listens: streams, run folders, live displays."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Literal, TypeAlias

from agentevo.types import Attempt, Message, Op, Record, Report, Task


class Started(Record):
    """An attempt at a task began."""

    type: Literal["started"] = "started"
    attempt: str
    task: Task


class Piece(Record):
    """A piece of what the model is saying."""

    type: Literal["piece"] = "piece"
    attempt: str
    text: str


class Added(Record):
    """A message joined the trajectory of an attempt: of the prompt, of the model, or of the environment."""

    type: Literal["added"] = "added"
    attempt: str
    message: Message


class Ended(Record):
    """An attempt ended, by itself or not."""

    type: Literal["ended"] = "ended"
    attempt: Attempt


class Learned(Record):
    """A policy proposed changes to memory."""

    type: Literal["learned"] = "learned"
    policy: str
    ops: tuple[Op, ...]


class Trained(Record):
    """A training took steps; of a long one not each is told."""

    type: Literal["trained"] = "trained"
    adapter: str
    step: int
    steps: int
    loss: float


class Turned(Record):
    """A turn of the cycle ended with a report."""

    type: Literal["turned"] = "turned"
    round: int
    report: Report


Event: TypeAlias = Started | Piece | Added | Ended | Learned | Trained | Turned
Listener: TypeAlias = Callable[[Event], None]

_listeners: ContextVar[tuple[tuple[Listener, bool], ...]] = ContextVar("agentevo_listeners", default=())


@contextmanager
def listening(listener: Listener, *, pieces: bool = True) -> Iterator[None]:
    """Hand each event that happens inside, also in tasks started inside, to a listener; it is called at once.

    Who has no use for pieces says so: where nobody has, models are asked for whole replies, which costs less.
    """
    token = _listeners.set((*_listeners.get(), (listener, pieces)))
    try:
        yield
    finally:
        _listeners.reset(token)


def is_heard(*, pieces: bool = False) -> bool:
    """Say whether anybody listens here, or listens for pieces: events that nobody hears need not be made."""
    return any(wants or not pieces for _, wants in _listeners.get())


def tell(event: Event) -> None:
    """Tell those who listen here."""
    for listener, pieces in _listeners.get():
        if pieces or not isinstance(event, Piece):
            listener(event)
