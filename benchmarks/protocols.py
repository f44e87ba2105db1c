"""Protocols: in which order tasks are met, and when what was learned counts.

stream   tasks come one by one, each new; the answer is scored, then learned from. The curve is the result.
epochs   one split is practised so many times over; another one, that nothing is learned from, is scored after each.
trials   the same tasks are tried again and again; each counts as it was answered last. The curve is the result.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import NamedTuple

from agentevo.cycle import commit, learn, practise, propose
from agentevo.environments.wrappers import Wrapped
from agentevo.errors import UnknownName
from agentevo.evaluate import evaluate
from agentevo.models.usage import spending
from agentevo.protocols import Environment, State
from agentevo.record import Record
from agentevo.scoring import scored, sealed
from agentevo.types import Experience, Report, Task, Usage
from agentevo.types import Record as Line

BATCH = 10
"""So many tasks of an epoch are practised before they are learned from."""


class Met(Line):
    """A task as it was answered and scored, and what it cost to learn; answering is counted on the attempt."""

    experience: Experience
    learning: Usage = Usage()


class Studied(NamedTuple):
    """What came of practising: attempts as they were made and as they were judged, and what learning from them cost."""

    practised: list[Experience]
    learnt: list[Experience]
    learning: Usage


@dataclass(frozen=True)
class Round:
    """One pass over the tasks: which it was, how they were answered, and what was spent on learning before that."""

    number: int
    met: list[Met]


async def stream(state: State, tasks: Sequence[Task], record: Record) -> AsyncIterator[Met]:
    """Yield each task as it was answered and scored, having learned from it; what was done before a crash is read."""
    for n, task in enumerate(tasks):
        part = record.turn(n)
        found = part.read("row", Met)
        if found is None:
            with spending() as meter:
                studied = await study(state, [task], part, counts=True)
                answer = await scored(state, studied.practised[0])
            found = Met(experience=answer, learning=studied.learning)
            part.keep("row", Met, found, meter.usage)
        yield found


async def epochs(
    state: State, train: Sequence[Task], test: Sequence[Task], record: Record, times: int
) -> AsyncIterator[Round]:
    """Yield the test tasks as they were answered before the first epoch (0) and after each.

    Which of the tasks an epoch practises, a recipe with a strategy for that says. What an epoch cost stands on the
    first of the test tasks after it.
    """
    studying = replace(state, environment=Only(state.environment, train))
    for epoch in range(times + 1):
        part = record.turn(f"epoch-{epoch}")
        with spending() as meter:
            if epoch:
                studying = await _practised(studying, part)
        done = await evaluate(state, part, "test", test)
        yield Round(epoch, _met(done.experiences, meter.usage))


async def _practised(state: State, record: Record) -> State:
    """Practise an epoch's tasks batch by batch; return the moment after it."""
    tasks, learnt = await record.once("tasks", list[Task], partial(propose, state)), list[Experience]()
    for start in range(0, len(tasks), BATCH):
        studied = await study(state, tasks[start : start + BATCH], record.turn(start))
        learnt += studied.learnt
    return _after(state, learnt)


async def trials(state: State, tasks: Sequence[Task], record: Record, times: int) -> AsyncIterator[Round]:
    """Yield all tasks as they were answered last: after the first trial (0), and after so many further ones.

    Which are tried again, a recipe with a strategy for that says; without one all are. A task that is not tried in a
    round keeps its answer, at no further cost, and one that was never tried has none.
    """
    state = replace(state, environment=Only(state.environment, tasks))
    latest = {task.id: Experience(task=task) for task in tasks}
    for number in range(times + 1):
        part = record.turn(f"trial-{number}")
        chosen = await part.once("tasks", list[Task], partial(propose, state))
        studied = await study(state, chosen, part, counts=True)
        state = _after(state, studied.learnt)
        latest = {name: _free(experience) for name, experience in latest.items()}
        latest |= {x.task.id: await scored(state, x) for x in studied.practised}
        yield Round(number, _met([latest[task.id] for task in tasks], studied.learning))


def _met(experiences: Sequence[Experience], learning: Usage) -> list[Met]:
    """Return what was met in a round; what learning cost stands on the first of it."""
    return [Met(experience=x, learning=learning if n == 0 else Usage()) for n, x in enumerate(experiences)]


def _free(experience: Experience) -> Experience:
    """Return an experience whose cost was counted before."""
    return experience.but(attempts=tuple(a.model_copy(update={"usage": Usage()}) for a in experience.attempts))


def _after(state: State, learnt: Sequence[Experience]) -> State:
    """Return the moment after a turn in which so much was learned from."""
    return replace(state, history=(*state.history, Report(practised=tuple(learnt))))


async def study(state: State, tasks: Sequence[Task], record: Record, *, counts: bool = False) -> Studied:
    """Practise, learn, and keep what was learned at once: no held-out tasks, no gate.

    Where these attempts are also what counts, nothing tells them the answer while they are made.
    """
    state = replace(state, now=await record.now())
    practised = await practise(sealed(state) if counts else state, tasks, record)
    with spending() as meter:
        draft, learnt = await learn(state, practised, record)
    if draft.ops:
        await commit(state, draft, learnt, record, "studied")
    return Studied(practised, learnt, meter.usage)


class Only(Wrapped):
    """An environment of which there is nothing to practise on but these tasks, whatever split they are from."""

    def __init__(self, environment: Environment, tasks: Sequence[Task]) -> None:
        super().__init__(environment)
        self._tasks = tuple(tasks)

    def splits(self) -> Sequence[str]:
        return ("train",)

    def tasks(self, split: str) -> Sequence[Task]:
        if split != "train":
            raise UnknownName(f"split to practise on in a benchmark of {self.card.name}", split, ("train",))
        return self._tasks
