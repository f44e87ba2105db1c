"""What a report must say beside its scores: where these are not what they look like, or memory not what was meant."""

from __future__ import annotations

from collections.abc import Sequence

from agentevo.scoring import UNTESTED
from agentevo.types import Experience, Op, Report

NAMED = 3
PARTLY = "the model failed in "
"""What an alarm begins with that is no reason to stop: the other attempts came to an end."""


def alarms(experiences: Sequence[Experience]) -> tuple[str, ...]:
    """Say so where no attempt came to an end, or a model failed in some: no model looks like being wrong."""
    made = [attempt for x in experiences for attempt in x.attempts]
    if made and all(attempt.stopped for attempt in made):
        return (f"all {len(made)} attempts were stopped, the first by: {made[0].stopped}",)
    failed = [attempt.stopped for attempt in made if attempt.has_failed]
    if not failed:
        return ()
    return (f"{PARTLY}{len(failed)} of {len(made)} attempts, which score as they are; first: {failed[0]}",)


def untold(report: Report) -> str | None:
    """Say so where the model failed in every held-out task: such a report tells nothing about memory."""
    made = [attempt for x in report.experiences for attempt in x.attempts]
    if not made or not all(attempt.has_failed for attempt in made):
        return None
    return f"the model failed in all {len(made)} held-out attempts, the first time by: {made[0].stopped}"


def untested(ops: Sequence[Op]) -> tuple[str, ...]:
    """Say so where changes passed a retest because there was nobody to say how it went."""
    count = sum(op.reason.endswith(UNTESTED) for op in ops)
    return (f"{count} of {len(ops)} changes to memory were {UNTESTED}",) if count else ()


def skipped(ids: Sequence[str]) -> tuple[str, ...]:
    """Say so where items changed, or went, while a turn was learning, so that its own changes to them were left out."""
    names = list(dict.fromkeys(ids))
    if not names:
        return ()
    shown = ", ".join([*names[:NAMED], *(["..."] if len(names) > NAMED else [])])
    return (f"changes to {len(names)} items were skipped, as these were changed or purged meanwhile: {shown}",)
