"""Whether a gate's decision stands: not where answers that never came would turn it."""

from __future__ import annotations

from statistics import fmean

from agentevo.errors import Misuse
from agentevo.given import single
from agentevo.protocols import Gate
from agentevo.types import Decision, Report


def decided(gate: Gate, before: Report, after: Report) -> Decision:
    """Ask the gate; where the model failed on some tasks, what it says must be the same without these.

    Counted as wrong answers they can turn a decision: an outage before looks like a gain, one after like a harm. Left
    out alone they would hide a memory that makes the model fail, by a prompt too long for it, say.
    """
    counted = single("gate", gate(before, after), Decision)
    missing = _unanswered(before) | _unanswered(after)
    if not missing:
        return counted
    tasks = {x.task.id for report in (before, after) for x in report.experiences}
    said = f"the model failed on {len(missing)} of {len(tasks)} held-out tasks"
    if not tasks - missing:
        return Decision(
            accepted=False, reason=f"not decided: {said}, and the others cannot be compared: there are none"
        )
    try:
        without = single("gate", gate(_without(before, missing), _without(after, missing)), Decision)
    except Misuse as error:
        return Decision(accepted=False, reason=f"not decided: {said}, and the others cannot be compared: {error}")
    if without.accepted == counted.accepted:
        return counted.but(reason=f"{counted.reason}; {said}, and without these it is decided alike")
    told = f"{said}, and these decide: as wrong answers, {counted.reason}; left out, {without.reason}"
    return Decision(accepted=False, reason=f"not decided: {told}")


def _unanswered(report: Report) -> set[str]:
    """Return the tasks on which the model failed before it had given an answer."""
    return {x.task.id for x in report.experiences if any(a.has_failed and not a.answer for a in x.attempts)}


def _without(report: Report, tasks: set[str]) -> Report:
    """Return a report as if these tasks had not been asked; a gate may look at its scores, or at its experiences."""
    left = tuple(x for x in report.experiences if x.task.id not in tasks)
    scores = dict.fromkeys(report.scores, fmean(x.score for x in left)) if left else {}
    return report.but(experiences=left, scores=scores)
