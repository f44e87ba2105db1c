"""An episode of the environment, opened for a while and always closed."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from agentevo.protocols import Episode, FeedbackLevel, State
from agentevo.types import Task

LOG = logging.getLogger(__name__)

CLOSE_TIMEOUT_S = 30.0


@asynccontextmanager
async def opened(state: State, task: Task, feedback: FeedbackLevel = "weak") -> AsyncIterator[Episode]:
    """Open the task's episode for the length of a block; it is closed whatever happens, cancellation too."""
    seed = state.dice("episode", task.id).getrandbits(31)
    episode = await state.environment.open(task, seed, feedback)
    try:
        yield episode
    finally:
        await _shielded(asyncio.create_task(_close(episode, state.environment.card.name)))


async def _close(episode: Episode, name: str) -> None:
    try:
        async with asyncio.timeout(CLOSE_TIMEOUT_S):
            await episode.close()
    except Exception:
        # What happened is known already: an episode that cannot be closed changes nothing about it.
        LOG.exception("an episode of %s was not closed", name)


async def _shielded(closing: asyncio.Task[None]) -> None:
    """Wait until a task is done, whoever cancels meanwhile; then be cancelled."""
    cancelled: asyncio.CancelledError | None = None
    while not closing.done():
        try:
            await asyncio.shield(closing)
        except asyncio.CancelledError as error:
            cancelled = error
    if cancelled is not None:
        raise cancelled
