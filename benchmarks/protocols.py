"""Protocols: in which order tasks are met, and when what was learned counts.

stream   tasks come one by one, each new; the answer is scored, then learned from. The curve is the result.
epochs   one split is practised so many times over; another one, that nothing is learned from, is scored after each.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import replace

from agentevo.cycle import commit, learn, practise
from agentevo.evaluate import evaluate
from agentevo.models.usage import spending
from agentevo.protocols import State
from agentevo.record import Record
from agentevo.scoring import scored, sealed
from agentevo.types import Experience, Task


async def stream(state: State, tasks: Sequence[Task], record: Record) -> AsyncIterator[Experience]:
    """Yield each task as it was answered and scored, having learned from it; what was done before a crash is read."""
    for n, task in enumerate(tasks):
        part = record.turn(n)
        found = part.read("row", Experience)
        if found is None:
            with spending() as meter:
                (practised,) = await study(state, [task], part, counts=True)
                found = await scored(state, practised)
            part.keep("row", Experience, found, meter.usage)
        yield found


async def epochs(
    state: State, train: Sequence[Task], test: Sequence[Task], record: Record, times: int, batch: int = 10
) -> AsyncIterator[tuple[int, list[Experience]]]:
    """Yield the test tasks as they were answered before the first epoch (0) and after each."""
    for epoch in range(times + 1):
        part = record.turn(f"epoch-{epoch}")
        if epoch:
            for start in range(0, len(train), batch):
                await study(state, train[start : start + batch], part.turn(start))
        report = await evaluate(state, part, "test", test)
        yield epoch, list(report.experiences)


async def study(state: State, tasks: Sequence[Task], record: Record, *, counts: bool = False) -> list[Experience]:
    """Practise, learn, and keep what was learned at once: no held-out tasks, no gate. Return what was attempted.

    Where these attempts are also what counts, nothing tells them the answer while they are made.
    """
    state = replace(state, now=await record.now())
    practised = await practise(sealed(state) if counts else state, tasks, record)
    draft, learnt = await learn(state, practised, record)
    if draft.ops:
        await commit(state, draft, learnt, record, "studied")
    return practised
