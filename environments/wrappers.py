"""Environments around environments: limits on time and on output. What is inside verifies, and knows gold."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence

from agentevo.described import describe
from agentevo.errors import Misuse
from agentevo.protocols import Environment, Episode, FeedbackLevel, Golden
from agentevo.quote import cut
from agentevo.types import Attempt, Card, Feedback, Message, Outcome, Task, Tool

LEAST_CHARACTERS = 16


class Wrapped:
    """An environment that is another one in all that a wrapper does not change."""

    gold: Callable[[Task], Sequence[Message]]
    """Only there where the environment inside knows gold."""
    run_tests: Callable[..., Awaitable[Sequence[Feedback]]]
    """Only there where the environment inside runs tests on answers."""

    def __init__(self, environment: Environment) -> None:
        if isinstance(environment, type) or not isinstance(environment, Environment):
            raise Misuse(f"{environment!r:.80} is no environment; expected one such as House()")
        self._environment = environment
        if isinstance(environment, Golden):
            self.gold = environment.gold
        if (run_tests := getattr(environment, "run_tests", None)) is not None:
            self.run_tests = run_tests

    def __repr__(self) -> str:
        """Say what is inside, and how it is limited: what a run is known by."""
        inside = (describe(self._environment), *(f"{name}={value:g}" for name, value in self._limits().items()))
        return f"{type(self).__name__}({', '.join(inside)})"

    def _limits(self) -> Mapping[str, float]:
        return {}

    @property
    def card(self) -> Card:
        return self._environment.card

    def splits(self) -> Sequence[str]:
        return self._environment.splits()

    def tasks(self, split: str) -> Sequence[Task]:
        return self._environment.tasks(split)

    def task(self, id: str) -> Task:
        return self._environment.task(id)

    async def open(self, task: Task, seed: int = 0, feedback: FeedbackLevel = "weak") -> Episode:
        return await self._environment.open(task, seed, feedback)

    async def verify(self, task: Task, attempt: Attempt) -> Feedback:
        return await self._environment.verify(task, attempt)


class TimeLimit(Wrapped):
    """Truncates an episode after so many steps, or so many seconds from its opening on.

    A step that is still under way when the seconds are over is cancelled. The time of the model counts too.
    """

    def __init__(
        self,
        environment: Environment,
        *,
        steps: int | None = None,
        seconds: float | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(environment)
        if steps is None and seconds is None:
            raise Misuse("a time limit needs steps=, seconds=, or both")
        for name, value in (("steps", steps), ("seconds", seconds)):
            if value is not None and not value > 0:
                raise Misuse(f"{name} is {value!r}; expected a number above 0")
        self._steps, self._seconds, self._clock = steps, seconds, clock

    def _limits(self) -> Mapping[str, float]:
        limits = {"steps": self._steps, "seconds": self._seconds}
        return {name: limit for name, limit in limits.items() if limit is not None}

    async def open(self, task: Task, seed: int = 0, feedback: FeedbackLevel = "weak") -> Episode:
        episode = await self._environment.open(task, seed, feedback)
        return _Timed(episode, self._steps, self._seconds, self._clock)


class OutputLimit(Wrapped):
    """Shows the first `characters` of what an episode says, with a mark where something is missing."""

    def __init__(self, environment: Environment, characters: int) -> None:
        super().__init__(environment)
        if characters < LEAST_CHARACTERS:
            raise Misuse(f"characters is {characters!r}; expected {LEAST_CHARACTERS} or more")
        self._characters = characters

    def _limits(self) -> Mapping[str, float]:
        return {"characters": self._characters}

    async def open(self, task: Task, seed: int = 0, feedback: FeedbackLevel = "weak") -> Episode:
        return _Cut(await self._environment.open(task, seed, feedback), self._characters)


class WrappedEpisode:
    """An episode that is another one in all that a wrapper does not change."""

    def __init__(self, episode: Episode) -> None:
        self._episode = episode

    @property
    def observation(self) -> str:
        return self._episode.observation

    @property
    def tools(self) -> Sequence[Tool]:
        return self._episode.tools

    async def step(self, action: Message) -> Outcome:
        return await self._episode.step(action)

    async def close(self) -> None:
        await self._episode.close()


class _Timed(WrappedEpisode):
    """Counts steps and seconds."""

    def __init__(self, episode: Episode, steps: int | None, seconds: float | None, clock: Callable[[], float]) -> None:
        super().__init__(episode)
        self._left, self._seconds, self._clock = steps, seconds, clock
        self._until = None if seconds is None else clock() + seconds
        self._is_truncated = False

    async def step(self, action: Message) -> Outcome:
        if self._is_truncated:
            raise Misuse("this episode has reached its limit; open another one")
        outcome = await self._in_time(action)
        if self._left is not None and not outcome.terminated:
            self._left -= 1
            if self._left <= 0:
                outcome = outcome.model_copy(update={"truncated": True})
        self._is_truncated = outcome.truncated
        return outcome

    async def _in_time(self, action: Message) -> Outcome:
        left = None if self._until is None else self._until - self._clock()
        if left is None or left > 0:
            try:
                async with asyncio.timeout(left) as limit:
                    return await self._episode.step(action)
            except TimeoutError:
                if not limit.expired():  # of the environment's own making
                    raise
        return Outcome(observation=f"the time limit of {self._seconds:g} s was reached", truncated=True)


class _Cut(WrappedEpisode):
    """Cuts what is said."""

    def __init__(self, episode: Episode, characters: int) -> None:
        super().__init__(episode)
        self._characters = characters

    @property
    def observation(self) -> str:
        return cut(self._episode.observation, self._characters)

    async def step(self, action: Message) -> Outcome:
        outcome = await self._episode.step(action)
        return outcome.model_copy(update={"observation": cut(outcome.observation, self._characters)})
