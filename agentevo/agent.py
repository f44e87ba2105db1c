"""Agent: a model with a memory and a way to learn. run answers, feedback teaches, evolve practises."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING
from weakref import WeakValueDictionary

from agentevo.blocking import blocking, iterating
from agentevo.cycle import evolve
from agentevo.described import describe
from agentevo.errors import BudgetExceeded, Misuse, RunError
from agentevo.events import Ended, Event, Listener, listening
from agentevo.feedback import learned
from agentevo.given import listed
from agentevo.models.usage import Budget, spending, timed
from agentevo.protocols import Environment, Model, Recipe, State
from agentevo.record import Record
from agentevo.runs import about, beginning, folder_of
from agentevo.said import Asked, as_feedback, as_task
from agentevo.steps import Seen, Steps
from agentevo.types import Attempt, Report, Transaction
from agentevo.weights.adapters import adapted

if TYPE_CHECKING:
    from agentevo.environments.tool.episode import Policy
    from agentevo.environments.tool.servers import Server
    from agentevo.environments.tool.tools import Given
    from agentevo.memory import Memory


PASSES = 8
"""In so many passes the event loop closes the generator of a run that was left early, where nobody holds it."""


class Agent:
    """A model with a memory and a way to learn. Several runs may be under way at once; running changes no memory.
    An offline model answers with the adapter that its memory holds as promoted, if there is one.

    model is any litellm model string or a Model; memory a Memory, or the folder of one; recipe a name or a Recipe.
    refine_rounds: so many times the model criticises and corrects an answer before it is given. budget holds for each
    run by itself. tools (Python functions) and mcp (addresses or command lines of servers) may be called where there
    is no environment: destructive says who allows what cannot be taken back ("deny", "allow", or a callable that is
    asked), and a call may take call_timeout_s seconds and bring call_output_chars characters. runs is a folder in which
    each step of each run is kept as it is taken.
    """

    def __init__(
        self,
        model: str | Model,
        *,
        memory: Memory | str | Path | None = None,
        recipe: str | Recipe = "evo",
        environment: Environment | None = None,
        tools: Sequence[Given] = (),
        mcp: Sequence[str | Server] = (),
        destructive: Policy = "deny",
        call_timeout_s: float = 30.0,
        call_output_chars: int = 10_000,
        refine_rounds: int = 0,
        budget: Budget | None = None,
        runs: str | Path | None = None,
        seed: int = 0,
        clock: Callable[[], float] = time.time,
    ) -> None:
        from agentevo.models import as_model
        from agentevo.recipes import as_recipe

        self.model, self.memory, self.recipe = as_model(model), _memory(memory), as_recipe(recipe)
        calls = destructive, call_timeout_s, call_output_chars
        self.environment, self.budget, self._clock = _where(environment, tools, mcp, calls), _limit(budget), clock
        self.seed = _seed(seed)
        self._runs, self._owns_memory = None if runs is None else Path(runs), self.memory is not memory
        self._steps = Steps(None if runs is None else Path(runs) / f"steps-{secrets.token_hex(4)}.jsonl")
        self._judging: WeakValueDictionary[tuple[int, str], asyncio.Lock] = WeakValueDictionary()
        if _count("refine_rounds", refine_rounds, least=0):
            self.recipe = _refining(self.recipe, refine_rounds)

    def state(self, environment: Environment | None = None) -> State:
        """Return this agent's moment: what every strategy is given."""
        from agentevo.environments.anything import Anything

        return State(
            model=self.model, memory=self.memory, environment=_place(environment) or self.environment or Anything(),
            recipe=self.recipe, now=self._clock(), seed=self.seed,
        )  # fmt: skip

    def close(self) -> None:
        """Let go of the file that steps are written to, and of a memory that was given as a folder."""
        self._steps.close()
        if self._owns_memory:
            self.memory.close()

    # --- answering

    async def arun(
        self, asked: Asked, *, environment: Environment | None = None, budget: Budget | None = None
    ) -> Attempt:
        """Answer, and return how: the attempt's answer, messages, and the items of memory that it used.

        Of several attempts the first is returned, with what all of them cost.

        A limit that is reached, or a model that fails, ends the attempt early; `attempt.stopped` says why.
        """
        task, seen = as_task(asked), Seen()
        with spending("run", _limit(budget) or self.budget) as meter, listening(self._noting(seen), pieces=False):
            try:
                async with timed(meter):
                    state = await adapted(self.state(environment))
                    attempts = listed("act", await self.recipe.act(state, task), Attempt)
            except BudgetExceeded as error:
                if error.meter is not meter:
                    raise  # a budget of the caller's own, around this run
                return seen.attempt(task, f"limit: {error}", meter.usage)
        if not attempts:
            raise Misuse(f"the recipe {self.recipe.name or describe(self.recipe)!r} made no attempt at {task.id!r}")
        return attempts[0].model_copy(update={"usage": meter.usage})

    async def astream(
        self, asked: Asked, *, environment: Environment | None = None, budget: Budget | None = None
    ) -> AsyncGenerator[Event, None]:
        """Answer, and yield what happens as it does; the last event is Ended and holds the attempt."""
        events: asyncio.Queue[Event | None] = asyncio.Queue()
        with listening(events.put_nowait):
            running = asyncio.create_task(self.arun(asked, environment=environment, budget=budget))
        running.add_done_callback(lambda _: events.put_nowait(None))
        try:
            while (event := await events.get()) is not None:
                if not isinstance(event, Ended):
                    yield event
            yield Ended(attempt=await running)
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)

    # --- learning

    async def afeedback(
        self,
        attempt: Attempt,
        *,
        score: float | None = None,
        text: str = "",
        correction: str | None = None,
        environment: Environment | None = None,
    ) -> Transaction:
        """Say how good an attempt was, or what would have been right, and have the agent learn from it at once."""
        if not isinstance(attempt, Attempt):
            raise Misuse(f"feedback is given on the Attempt that run returned, not on {attempt!r:.80}")
        told = attempt.told(as_feedback(score, text, correction))
        async with self._alone(attempt):
            state = await adapted(self.state(environment))
            return await learned(state, self.memory, told, Record.open(clock=self._clock))

    async def aevolve(
        self,
        environment: Environment | None = None,
        *,
        cycles: int = 1,
        budget: Budget | None = None,
        run: str | None = None,
    ) -> AsyncGenerator[Report, None]:
        """Practise: turn the cycle and yield a report a turn. A run with a name goes on where it was stopped."""
        state, turns = self.state(environment), _count("cycles", cycles, least=1)
        is_kept = run is not None or self._runs is not None
        folder = folder_of(run, "evolve", self._runs) if is_kept else None
        async with beginning(folder, self.model) if folder else nullcontext():
            with await self._record(folder, state) as record:
                async with aclosing(evolve(state, record, turns, _limit(budget))) as reports:
                    async for report in reports:
                        yield report

    run, feedback = blocking(arun), blocking(afeedback)
    stream, evolve = iterating(astream), iterating(aevolve)

    async def _record(self, folder: Path | None, state: State) -> Record:
        for _ in range(PASSES):
            try:
                return Record.open(folder, about=about(state), clock=self._clock)
            except RunError:
                await asyncio.sleep(0)
        return Record.open(folder, about=about(state), clock=self._clock)

    def _alone(self, attempt: Attempt) -> asyncio.Lock:
        """Return what feedback on one attempt holds: of two at once the later must see what the earlier taught."""
        return self._judging.setdefault((id(asyncio.get_running_loop()), attempt.id), asyncio.Lock())

    def _noting(self, seen: Seen) -> Listener:
        def note(event: Event) -> None:
            seen.note(event)
            self._steps.note(event)

        return note


def _memory(memory: Memory | str | Path | None) -> Memory:
    from agentevo.memory import Memory

    return memory if isinstance(memory, Memory) else Memory.open(":memory:" if memory is None else memory)


def _where(
    environment: Environment | None,
    tools: Sequence[Given],
    mcp: Sequence[str | Server],
    calls: tuple[Policy, float, int],
) -> Environment | None:
    if not tools and not mcp:
        if calls != ("deny", 30.0, 10_000):
            raise Misuse(
                "destructive, call_timeout_s or call_output_chars is given, and there are no tools= and mcp= to which"
                " it could apply; an environment has its own, as Tools(..., destructive=, timeout_s=, output_chars=)"
            )
        return _place(environment)
    if environment is not None:
        raise Misuse("an agent acts in an environment or with tools of its own; give environment=, or tools= and mcp=")
    from agentevo.environments.tool import Tools

    destructive, timeout_s, output_chars = calls
    return Tools(*tools, mcp=mcp, destructive=destructive, timeout_s=timeout_s, output_chars=output_chars)


def _place(environment: object) -> Environment | None:
    if environment is None or (isinstance(environment, Environment) and not isinstance(environment, type)):
        return environment
    raise Misuse(
        f"environment is {environment!r:.80}; expected an Environment, such as House(), or load('house/test')[0]"
        " from agentevo.environments"
    )


def _limit(budget: object) -> Budget | None:
    if budget is None or isinstance(budget, Budget):
        return budget
    raise Misuse(f"budget is {budget!r:.80}; expected a Budget, such as Budget(max_calls=10)")


def _count(name: str, value: object, *, least: int) -> int:
    if isinstance(value, int) and value >= least:
        return value
    raise Misuse(f"{name} is {value!r:.80}; expected a whole number, {least} or more")


def _seed(value: object) -> int:
    if isinstance(value, int):
        return value
    raise Misuse(f"seed is {value!r:.80}; expected a whole number")


def _refining(recipe: Recipe, rounds: int) -> Recipe:
    from agentevo.phases.combine import Refined
    from agentevo.phases.judge import Critique

    return replace(recipe, act=Refined(recipe.act, by=Critique(), rounds=rounds))
