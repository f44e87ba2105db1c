"""What policies may learn from: of experiences the attempts that an export would take, too."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Container, Sequence

from agentevo.memory.draft import Draft
from agentevo.memory.memory import Memory
from agentevo.protocols import Memory as Reads
from agentevo.types import Attempt, Experience
from agentevo.weights.export_records import Standing
from agentevo.weights.export_rules import Rules
from agentevo.weights.rows import Left


async def learnable(memory: Reads, experiences: Sequence[Experience]) -> tuple[list[Experience], Counter[str]]:
    """Return experiences without what an export leaves out by now: purged, forgotten, held back, or not trusted.

    What is left out is counted by the reason. A memory that is none of ours tells of purges alone.
    """
    attempts = {attempt.id: attempt for experience in experiences for attempt in experience.attempts}
    if isinstance(memory, Memory | Draft):
        why = await asyncio.to_thread(_why_not, memory, list(attempts.values()))
    else:
        why = {name: "purged" for name in attempts if await memory.awas_purged(name)}
    return [_without(experience, why) for experience in experiences], Counter(why.values())


def _without(experience: Experience, names: Container[str]) -> Experience:
    """Return an experience without some attempts, and without preferences among them."""
    kept = [attempt for attempt in experience.attempts if attempt.id not in names]
    return experience.but(attempts=kept, pairs=[p for p in experience.pairs if not any(name in names for name in p)])


def _why_not(memory: Memory | Draft, attempts: Sequence[Attempt]) -> dict[str, str]:
    """Say of attempts that must not be learned from why that is."""
    standing, why = Standing(Rules(), memory.get, memory), dict[str, str]()
    for attempt in attempts:
        try:
            standing.must_be_good(attempt)
        except Left as left:
            why[attempt.id] = str(left)
    return why
