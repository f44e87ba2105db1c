"""An episode of the environment, opened for a while and always closed."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from agentevo.protocols import Episode, FeedbackLevel, State
from agentevo.together import to_the_end
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
        await to_the_end(_close(episode, state.environment.card.name))


async def _close(episode: Episode, name: str) -> None:
    try:
        async with asyncio.timeout(CLOSE_TIMEOUT_S):
            await episode.close()
    except Exception:
        # What happened is known already: an episode that cannot be closed changes nothing about it.
        LOG.exception("an episode of %s was not closed", name)
