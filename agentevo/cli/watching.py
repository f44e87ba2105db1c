"""Watching work that takes long: attempts as they end, and a model that fails every time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, TypeVar

from agentevo.errors import ModelError

if TYPE_CHECKING:
    from agentevo.cli.output import Report
    from agentevo.events import Event, Listener

T = TypeVar("T")

SURE = 3
"""After so many failures, and no answer, a model is not asked again."""


async def watched(
    work: Coroutine[object, object, T], on_attempt: Callable[[], None] | None = None, *, has_answered: bool = False
) -> T:
    """Return what work comes to; raise ModelError as soon as its model has failed a few times and never answered."""
    from agentevo.events import listening

    watch = _Watch(on_attempt, has_answered)
    with listening(watch.note, pieces=False):
        running = asyncio.create_task(work)
    watch.give_up = running.cancel
    try:
        return await running
    except asyncio.CancelledError:
        if watch.failures < SURE:
            raise
        raise ModelError(
            f"the model failed in each of its first {watch.failures} answers, the last time with: {watch.last}; mend"
            " that and begin a new run, since this one keeps the failures"
        ) from None


def training_shown(report: Report) -> Listener:
    """Return what shows how far the trainings of a turn are."""

    def note(event: Event) -> None:
        if event.type == "trained":
            report(f"training {event.adapter}", event.step, event.steps)

    return note


class _Watch:
    """Listens to attempts until the model has answered, or failed too often."""

    def __init__(self, on_attempt: Callable[[], None] | None, has_answered: bool) -> None:
        self._on_attempt, self._has_answered = on_attempt, has_answered
        self.failures, self.last = 0, ""
        self.give_up: Callable[[], object] = bool

    def note(self, event: Event) -> None:
        if event.type != "ended":
            return
        if self._on_attempt is not None:
            self._on_attempt()
        attempt = event.attempt
        if attempt.has_failed:
            self.failures, self.last = self.failures + 1, attempt.stopped.partition(": ")[2]
        elif attempt.usage.calls:
            self._has_answered = True
        if self.failures == SURE and not self._has_answered:
            self.give_up()
