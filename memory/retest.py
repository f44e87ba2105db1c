"""Retested: a change to memory is let through only if the case that it came from then succeeds."""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Mapping, Sequence
from dataclasses import KW_ONLY, dataclass

from agentevo.awaitable import awaitable
from agentevo.errors import Misuse
from agentevo.memory.asking import sources
from agentevo.memory.vitals import ALL_KINDS
from agentevo.position import at, attempt_id
from agentevo.protocols import Judge, State, Update
from agentevo.scoring import UNTESTED, answered, sealed
from agentevo.together import together
from agentevo.types import Attempt, Experience, Item, Json, Op

LOG = logging.getLogger(__name__)

AT_ONCE = 32
"""So many cases are tried again at the same time."""
ENOUGH = 0.5
CUT = "[...]"


@dataclass(frozen=True, slots=True)
class _Trial:
    """How a case went when it was tried again; not testable where nobody knows what is right."""

    score: float | None = None
    is_testable: bool = True

    def why_not(self) -> str:
        """Say why this proves nothing; empty where it does, or where nothing could."""
        if not self.is_testable or (self.score is not None and self.score >= ENOUGH):
            return ""
        return "nobody gave it a score" if self.score is None else f"it scored {self.score:g}"


@dataclass(frozen=True)
class Retested:
    """Try each experience again with what a policy made of it in memory, and let through what then succeeds.

    The policy sees all experiences; the ops that rest on one of them are one group, tried in a draft of their own by
    `state.recipe.act`, sealed off from the answer, and judged by the environment or `by` a judge: a score of one half
    is enough. An op that rests on several cases must stand in all of them. What fails is dropped, and the log says
    why; it is not kept aside as quarantined, where its text would stand in the way of the same lesson proved by
    another case. Dropped too is what rests on none of the experiences, what brought no attempt, and what got no score.
    Inserts that recall will never show (notes of a failed insertion, texts that are held for a person) pass: there is
    nothing to try.

    Where the environment gives no score, having no truth, nothing can be tested: then all passes untried, and the
    reason of each op, and the report of a turn, say so.

    What a pass means: with this in memory, the agent's own recall and prompt led to a right answer once. It does not
    mean that the item holds for other tasks (the gate and credit say that), that it is why, where answers are drawn
    by lot, or that it is more than the answer written down. Against the last there is `without_answer`: then the
    answer known to be right (feedback's evidence["answer"], an attempt that scored 1) is cut out of what is tried, and
    what else this case's attempts left in memory is hidden. That is for lessons that say how; an answer of a word or
    two, a label say, may be the very thing to learn, and words like it are cut out of a lesson too.
    """

    policy: Update
    by: Judge | None = None
    _: KW_ONLY
    without_answer: bool = False

    def __post_init__(self) -> None:
        for slot, value in (("policy", self.policy), ("by", self.by)):
            if isinstance(value, type) or not (callable(value) or (slot == "by" and value is None)):
                raise Misuse(
                    f"Retested({slot}=...) takes a strategy, such as Insert() or Critique(), not {value!r:.80}"
                )
        object.__setattr__(self, "policy", awaitable(self.policy))
        object.__setattr__(self, "by", None if self.by is None else awaitable(self.by))

    async def __call__(self, state: State, experiences: Sequence[Experience]) -> list[Op]:
        ops = await self.policy(state, list(experiences))
        cases = [await _cases(state, op, ops, experiences) for op in ops]
        limit, place = asyncio.Semaphore(AT_ONCE), attempt_id()

        async def tried(n: int) -> _Trial:
            group = [op for op, case in zip(ops, cases, strict=True) if case is not None and n in case]
            # A place of its own names the attempts, whatever else is tried at the same time.
            async with limit:
                with at(f"{place}/retest.{n}"):
                    return await self._tried(state, experiences[n], group)

        wanted = sorted({n for case in cases for n in case or ()})
        trials = dict(zip(wanted, await together([tried(n) for n in wanted]), strict=True))
        judged = (_judged(op, case, trials, experiences) for op, case in zip(ops, cases, strict=True))
        return [op for op in judged if op is not None]

    async def _tried(self, state: State, experience: Experience, ops: Sequence[Op]) -> _Trial:
        """Try a case again with these ops; not where its environment has no score to give."""
        if self.by is None and not await _has_truth(state, experience):
            return _Trial(is_testable=False)
        draft, task = state.memory.draft(), experience.task
        if self.without_answer:
            answers = _right_answers(experience.attempts)
            ops = [*await _hiding(state, experience), *(_blanked(op, answers) for op in ops)]
        await draft.aapply(ops, reason="retest")
        then = state.on(draft)
        if self.by is None:
            again = await answered(then, task)
        else:
            attempts = await state.recipe.act(sealed(then), task)
            again = await self.by(then, Experience(task=task, attempts=tuple(attempts)))
        return _Trial(again.score if any(attempt.score is not None for attempt in again.attempts) else None)


async def _has_truth(state: State, experience: Experience) -> bool:
    """Say whether the environment scores attempts at this task: it has scored one, or does so when asked."""
    told = [f for attempt in experience.attempts for f in attempt.feedback]
    if not experience.attempts or any(f.source == "environment" and f.score is not None for f in told):
        return True
    return (await state.environment.verify(experience.task, experience.attempts[0])).score is not None


# --- which case an op came from


async def _cases(state: State, op: Op, ops: Sequence[Op], experiences: Sequence[Experience]) -> frozenset[int] | None:
    """Return which experiences an op rests on, by their numbers; None where there is nothing to try."""
    if op.verb == "insert" and op.item is not None and op.item.status != "live":
        return None
    item = op.item or next((o.item for o in ops if o.item and o.item.id == op.id), None)
    item = item or await state.memory.aget(op.id)
    marks = {*(item.derived_from if item else ()), *((op.key,) if op.key else ())}
    direct = _naming(marks, experiences)
    if direct:
        return direct
    # What was made of items, an insight say, rests on what these rest on.
    parents: Mapping[str, Item] = await sources(state, sorted(marks))
    return _naming({name for parent in parents.values() for name in parent.derived_from}, experiences)


def _naming(marks: set[str], experiences: Sequence[Experience]) -> frozenset[int]:
    return frozenset(n for n, x in enumerate(experiences) if any(a.id in marks for a in x.attempts))


def _judged(
    op: Op, case: frozenset[int] | None, trials: Mapping[int, _Trial], experiences: Sequence[Experience]
) -> Op | None:
    """Return the op with what its cases say of it; None, logged, where that is not enough."""
    if case is None:
        return op
    if not case:
        LOG.info("%s of %s dropped: it rests on none of the experiences, so there is no case to try", op.verb, op.id)
        return None
    for n in sorted(case):
        if why := trials[n].why_not():
            LOG.info("%s of %s dropped: task %s was tried with it, and %s", op.verb, op.id, experiences[n].task.id, why)
            return None
    is_proved = all(trials[n].is_testable for n in case)
    said = "tried again with it, its case succeeded" if is_proved else UNTESTED
    return op.model_copy(update={"reason": f"{op.reason}; {said}".removeprefix("; ")})


# --- trying without the answer


def _right_answers(attempts: Sequence[Attempt]) -> list[str]:
    """Return what is known to be right, the longest first."""
    told = [f.evidence.get("answer") for a in attempts for f in a.feedback]
    given = [a.answer for a in attempts if a.score == 1]
    return sorted({s.strip() for s in (*told, *given) if isinstance(s, str) and s.strip()}, key=len, reverse=True)


async def _hiding(state: State, experience: Experience) -> list[Op]:
    """Return ops that hide what else the attempts of this experience left in memory."""
    names = {attempt.id for attempt in experience.attempts}
    items = await state.memory.alist(where={"task": experience.task.id}, kind=ALL_KINDS)
    left = [item for item in items if names.intersection(item.derived_from)]
    return [Op(verb="forget", id=item.id, reason="retest") for item in left]


def _blanked(op: Op, answers: Sequence[str]) -> Op:
    """Return an op without the answers in its texts; recall still finds the item by the words it had."""
    if op.item is not None:
        said = {"text": _without(op.item.text, answers), "metadata": _without(op.item.metadata, answers)}
        key = op.item.key_text or op.item.text
        return op.model_copy(update={"item": op.item.model_copy(update={**said, "key_text": key})})
    return op.model_copy(update={"changes": _without(op.changes, answers)}) if op.changes else op


def _without(value: Json, answers: Sequence[str]) -> Json:
    match value:
        case str():
            for answer in answers:
                value = re.sub(rf"(?<!\w){re.escape(answer)}(?!\w)", CUT, value)
            return value
        case list():
            return [_without(inner, answers) for inner in value]
        case dict():
            return {name: _without(inner, answers) for name, inner in value.items()}
    return value
