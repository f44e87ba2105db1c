"""Retested: a change to memory is let through only if the case that it came from then succeeds."""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Mapping, Sequence
from dataclasses import KW_ONLY, dataclass

from agentevo.errors import Misuse
from agentevo.memory.asking import sources
from agentevo.memory.vitals import ALL_KINDS
from agentevo.position import at, attempt_id
from agentevo.protocols import Judge, State, Update
from agentevo.together import together
from agentevo.types import Attempt, Experience, Item, Json, Op

LOG = logging.getLogger(__name__)

AT_ONCE = 32
"""So many cases are tried again at the same time."""
CUT = "[...]"


@dataclass(frozen=True)
class Retested:
    """Try each experience again with what a policy made of it in memory, and let through what then succeeds.

    The policy sees all experiences; the ops that rest on one of them are one group, tried in a draft of their own by
    `state.recipe.act`, and judged by the environment or `by` a judge: a score of one half is enough. An op that rests
    on several cases must stand in all of them. What fails is dropped, and the log says why; it is not kept aside as
    quarantined, where its text would stand in the way of the same lesson proved by another case. Dropped too is what
    rests on none of the experiences, and what nobody gave a score. Inserts that recall will never show (notes of a
    failed insertion, texts that are held for a person) pass: there is nothing to try.

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

    async def __call__(self, state: State, experiences: Sequence[Experience]) -> list[Op]:
        ops = await self.policy(state, list(experiences))
        cases = [await _cases(state, op, ops, experiences) for op in ops]
        limit, place = asyncio.Semaphore(AT_ONCE), attempt_id()

        async def tried(n: int) -> float | None:
            group = [op for op, case in zip(ops, cases, strict=True) if case is not None and n in case]
            # A place of its own names the attempts, whatever else is tried at the same time.
            async with limit:
                with at(f"{place}/retest.{n}"):
                    return await self._tried(state, experiences[n], group)

        wanted = sorted({n for case in cases for n in case or ()})
        scores = dict(zip(wanted, await together([tried(n) for n in wanted]), strict=True))
        judged = (_judged(op, case, scores, experiences) for op, case in zip(ops, cases, strict=True))
        return [op for op in judged if op is not None]

    async def _tried(self, state: State, experience: Experience, ops: Sequence[Op]) -> float | None:
        """Return the score of the case tried again with these ops; None where nobody gave one."""
        draft, task = state.memory.draft(), experience.task
        if self.without_answer:
            answers = _right_answers(experience.attempts)
            ops = [*await _hiding(state, experience), *(_blanked(op, answers) for op in ops)]
        await draft.aapply(ops, reason="retest")
        then = state.on(draft)
        again = Experience(task=task, attempts=tuple(await state.recipe.act(then, task)))
        if self.by is not None:
            again = await self.by(then, again)
        else:  # as in an evaluation, the first attempt counts
            told = [a.told(await state.environment.verify(task, a)) for a in again.attempts[:1]]
            again = again.but(attempts=tuple(told))
        return again.score if any(attempt.score is not None for attempt in again.attempts) else None


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
    op: Op, case: frozenset[int] | None, scores: Mapping[int, float | None], experiences: Sequence[Experience]
) -> Op | None:
    """Return the op with what its cases say of it; None, logged, where that is not enough."""
    if case is None:
        return op
    if not case:
        LOG.info("%s of %s dropped: it rests on none of the experiences, so there is no case to try", op.verb, op.id)
        return None
    for n in sorted(case):
        score = scores[n]
        if score is None or score < 0.5:
            why = "nobody gave it a score" if score is None else f"it scored {score:g}"
            LOG.info("%s of %s dropped: task %s was tried with it, and %s", op.verb, op.id, experiences[n].task.id, why)
            return None
    reason = f"{op.reason}; tried again with it, its case succeeded".removeprefix("; ")
    return op.model_copy(update={"reason": reason})


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
