"""When a failed model request is tried again, how long to wait before, and when to give up."""

from __future__ import annotations

import asyncio
import math
import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, NoReturn, TypeVar

from agentevo.errors import Misuse, ModelError, ModelTimeout

if TYPE_CHECKING:
    from tenacity import RetryCallState

T = TypeVar("T")


class Transient(Exception):
    """An attempt failed in a way that another may not; `error` is what to raise when no other is made."""

    def __init__(self, error: ModelError, retry_after_s: float | None = None) -> None:
        super().__init__(str(error))
        self.error, self.retry_after_s = error, retry_after_s


@dataclass(frozen=True, slots=True)
class Retry:
    """How often and how patiently; everything happens within the time budget of the call.

    The waits double from `first_wait_s` to `longest_wait_s`, each shortened by a random half so that many callers do
    not come back at once. A server that says when to come back (`Retry-After`) is obeyed; if that is later than the
    budget allows, the call fails at once. `attempt_s` limits each attempt; without it one attempt may use all time.
    """

    attempts: int = 8
    first_wait_s: float = 0.5
    longest_wait_s: float = 30.0
    attempt_s: float | None = None
    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    random: Callable[[], float] = random.random

    def __post_init__(self) -> None:
        if self.attempts < 1:
            raise Misuse(f"attempts counts the first one too, so it is 1 or more; got {self.attempts!r}")

    async def call(self, attempt: Callable[[float], Awaitable[T]], deadline: float) -> T:
        """Call `attempt(limit_s)`, while time is left, until it does not raise Transient; else raise the last error."""
        if (limit_s := self._limit(deadline)) <= 0:
            raise ModelTimeout("the time budget of the call ran out before the model could be asked")
        try:
            return await attempt(limit_s)
        except Transient as error:
            last = error  # the common case, success, never pays for tenacity's bookkeeping
        patience = _Patience(self, deadline)

        async def replay_first_then_try() -> T:
            nonlocal last
            if patience.made == 0:
                patience.made = 1
                raise last
            if (limit_s := self._limit(deadline)) <= 0:
                raise last  # the sleep took longer than asked: without time an attempt could only hide what went wrong
            patience.made += 1
            try:
                return await attempt(limit_s)
            except Transient as error:
                last = error
                raise

        return await self._persist(replay_first_then_try, patience)

    async def _persist(self, attempt: Callable[[], Awaitable[T]], patience: _Patience) -> T:
        from tenacity import AsyncRetrying, retry_if_exception_type

        retrying = AsyncRetrying(
            retry=retry_if_exception_type(Transient),
            wait=patience.wait,
            stop=patience.stop,
            sleep=self.sleep,
            retry_error_callback=patience.give_up,
        )
        return await retrying(attempt)

    def _limit(self, deadline: float) -> float:
        left = max(deadline - self.clock(), 0.0)
        return left if self.attempt_s is None else min(left, self.attempt_s)


@dataclass(slots=True)
class _Patience:
    """The decisions of one call, each from tenacity's record of it."""

    retry: Retry
    deadline: float
    made: int = 0
    why: str = ""

    def wait(self, state: RetryCallState) -> float:
        asked = _failure(state).retry_after_s
        if asked is not None:
            return asked
        longest: float = min(self.retry.first_wait_s * 2.0 ** (state.attempt_number - 1), self.retry.longest_wait_s)
        return longest * (0.5 + self.retry.random() / 2)

    def stop(self, state: RetryCallState) -> bool:
        left = max(self.deadline - self.retry.clock(), 0.0)
        if left <= 0:
            self.why = "the time budget ran out"
        elif state.attempt_number >= self.retry.attempts:
            self.why = "no attempts are left"
        elif state.upcoming_sleep >= left:
            who = "the server asks to wait" if _failure(state).retry_after_s is not None else "the next wait is"
            self.why = f"{who} {state.upcoming_sleep:.3g} s, and {left:.3g} s of the time budget are left"
        return bool(self.why)

    def give_up(self, state: RetryCallState) -> NoReturn:
        failure = _failure(state)
        error, tried = failure.error, f"{self.made} attempt{'s'[: self.made > 1]}"
        final = type(error)(f"{error}; gave up after {tried}: {self.why}", error.reply)
        raise final from failure.__cause__


def _failure(state: RetryCallState) -> Transient:
    failure = state.outcome.exception() if state.outcome else None
    assert isinstance(failure, Transient)  # nothing else is retried
    return failure


def seconds_until(retry_after: str | None) -> float | None:
    """Return what a Retry-After header asks for, seconds or an HTTP date, in seconds; None if it says nothing."""
    if retry_after is None:
        return None
    try:
        seconds = _seconds(retry_after)
    except (ValueError, OverflowError, TypeError):
        return None
    return max(seconds, 0.0) if math.isfinite(seconds) else None


def _seconds(retry_after: str) -> float:
    try:
        return float(retry_after)
    except ValueError:
        then = parsedate_to_datetime(retry_after)
    then = then if then.tzinfo else then.replace(tzinfo=UTC)
    return (then - datetime.now(UTC)).total_seconds()


def timed_out(model: str, limit_s: float) -> Transient:
    """Return the failure of an attempt that did not answer in time."""
    return Transient(ModelTimeout(f"model {model!r} did not answer within {limit_s:.3g} s"))
