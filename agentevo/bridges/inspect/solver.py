"""A solver that has an agent answer each sample with what it remembers, and learn from it before the next one."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator
from typing import TYPE_CHECKING
from weakref import WeakSet

from agentevo.bridges.inspect.messages import as_ours
from agentevo.bridges.inspect.sample import AsScore, Sample, shaped, show
from agentevo.cycle import commit, learn
from agentevo.described import describe
from agentevo.errors import MissingExtra, Misuse, ModelError
from agentevo.record import Record
from agentevo.said import as_task
from agentevo.types import Attempt, Experience, Json, Task

if TYPE_CHECKING:
    from inspect_ai.scorer import Score
    from inspect_ai.solver import Generate, Solver, TaskState

    from agentevo.agent import Agent

_LEARNING: WeakSet[object] = WeakSet()
"""The memories in which a sample is under way."""


def remembering(agent: Agent, *, learns: bool = True, as_score: AsScore | None = None) -> Solver:
    """Return a solver for any inspect task: the agent answers with its memory, its tools, and the task's tools.

    learns: after each sample the task's scorers are asked, and the agent learns from the score before the next sample.
    Samples then run in the order of the data set, epoch by epoch, and more than one at a time is refused:
    `eval(task, max_samples=1)`. as_score makes a score from 0 to 1 of what the first scorer says, by default inspect's
    `value_to_float()`; a sample that it gives None teaches nothing.

    The state's messages and output are those of the attempt; its metadata holds under "agentevo" the attempt's id,
    the items it used, what it cost, and what was learnt. A model that fails is an error of the sample.
    """
    try:
        from inspect_ai.scorer import value_to_float
        from inspect_ai.solver import solver
    except ModuleNotFoundError as error:
        raise MissingExtra("the solver for inspect tasks", "inspect") from error

    to_float = value_to_float()

    def scored(score: Score) -> float | None:
        if isinstance(score.value, dict | list):
            raise Misuse(
                f"a scorer gave {score.value!r:.80}, which is no single score: give as_score=, which makes one"
            )
        found: float = to_float(score.value)
        return None if math.isnan(found) else found  # inspect's word for what was not scored

    stream = _Stream(agent, (as_score or scored) if learns else None)

    def remembering_agent(model: str, recipe: str, learns: bool) -> Solver:
        async def solve(state: TaskState, generate: Generate) -> TaskState:
            return await stream.solved(state)

        return solve

    made: Solver = solver(name="agentevo")(remembering_agent)(
        model=agent.model.name, recipe=agent.recipe.name or describe(agent.recipe), learns=learns
    )
    return made


class _Stream:
    """The samples of one solver, one after the other where the agent learns."""

    def __init__(self, agent: Agent, as_score: AsScore | None) -> None:
        self._agent, self._as_score, self._count = agent, as_score, 0

    async def solved(self, state: TaskState) -> TaskState:
        with self._turn(f"{state.sample_id}"):
            sample = Sample(state, self._as_score, self._agent.environment)
            told: dict[str, Json] = {}

            async def answered(state: TaskState) -> TaskState:
                attempt = await self._attempt(state, sample)
                told.update(_told(attempt, self._count))
                if self._as_score is not None:
                    told.update(await self._learnt(attempt, sample))
                return show(state, attempt)

            state = await shaped(state, answered)
            self._count += 1
            state.metadata["agentevo"] = told
        return state

    @contextlib.contextmanager
    def _turn(self, name: str) -> Iterator[None]:
        """Hold the memory for a sample. Raise Misuse where another one is under way that it should learn from."""
        memory = self._agent.memory
        if self._as_score is None:
            yield
            return
        if memory in _LEARNING:
            raise Misuse(
                f"sample {name!r:.80} began before the one before it was over, and an agent that learns takes them one"
                " after the other: run eval(..., max_samples=1), or inspect eval --max-samples 1; or learns=False"
            )
        _LEARNING.add(memory)
        try:
            yield
        finally:
            _LEARNING.discard(memory)

    async def _attempt(self, state: TaskState, sample: Sample) -> Attempt:
        """Have the agent answer. Raise ModelError where its model failed: a sample must not count that as an answer."""
        attempt = await self._agent.arun(_task(state), environment=sample)
        sample.answered = True
        if attempt.has_failed:
            raise ModelError(f"no answer to sample {state.sample_id!r:.80}: {attempt.stopped}")
        return attempt

    async def _learnt(self, attempt: Attempt, sample: Sample) -> dict[str, Json]:
        """Have the agent learn from the sample's score, and say what it kept; nothing where there is none."""
        feedback = await sample.verify(attempt.task, attempt)
        if feedback.score is None:
            return {}
        state, record = self._agent.state(sample), Record.open()
        draft, experiences = await learn(
            state, [Experience(task=attempt.task, attempts=(attempt.told(feedback),))], record
        )
        kept = await commit(state, draft, experiences, record, f"sample {attempt.task.id}")
        return {"score": feedback.score, "learnt": [*kept.items]}


def _task(state: TaskState) -> Task:
    """Return a sample as a task: its last message is what is asked, those before it the conversation so far."""
    return as_task(as_ours(state.messages)).but(id=f"{state.sample_id}", provenance="inspect", epoch=state.epoch)


def _told(attempt: Attempt, place: int) -> dict[str, Json]:
    usage: dict[str, Json] = attempt.usage.model_dump()
    return {
        "attempt": attempt.id, "place": place, "used": [*attempt.used], "usage": usage, "stopped": attempt.stopped,
    }  # fmt: skip
