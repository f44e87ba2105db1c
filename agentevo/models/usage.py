"""What model calls cost, counted where they happen, and the budgets that end a run."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, fields

from agentevo.errors import BudgetExceeded, Misuse
from agentevo.types import Usage

Clock = Callable[[], float]


@dataclass(frozen=True, slots=True)
class Budget:
    """Limits on what may be spent; None sets no limit. `max_seconds` is wall time since the meter opened."""

    max_calls: int | None = None
    max_tokens: int | None = None
    max_cost_usd: float | None = None
    max_seconds: float | None = None

    def __post_init__(self) -> None:
        for field in fields(self):
            limit = getattr(self, field.name)
            if limit is not None and not limit >= 0:
                raise Misuse(f"{field.name} must be 0 or more, or None for no limit; got {limit!r}")


class Meter:
    """Counts the model calls made while it is open.

    A call counts once its request is sent, whether it succeeds or not; retries of a request are the same call. Calls
    under way when a limit is reached are finished and counted, so tokens and cost may end above their limit; the
    number of calls never does.
    """

    def __init__(self, label: str = "", budget: Budget | None = None, clock: Clock = time.monotonic) -> None:
        self.label = label
        self.budget = budget or Budget()
        self._clock = clock
        self._opened_at = clock()
        self._by_label: dict[str, Usage] = {}
        self._usage = Usage()

    @property
    def usage(self) -> Usage:
        return self._usage

    @property
    def by_label(self) -> dict[str, Usage]:
        """What was spent a label; each call counts under the innermost label it was made in ("" if there is none)."""
        with _lock:
            return dict(self._by_label)

    @property
    def elapsed_s(self) -> float:
        return self._clock() - self._opened_at

    def check(self, calls: int = 1) -> None:
        """Raise BudgetExceeded if so many more calls may not be made; a limit of 0 is reached at once."""
        for limit, spent in self._limits():
            allowed = getattr(self.budget, limit)
            if allowed is not None and spent + (calls - 1) * (limit == "max_calls") >= allowed:
                raise BudgetExceeded(self._exceeded(limit, spent, allowed), self)

    def _limits(self) -> Iterator[tuple[str, float]]:
        yield "max_calls", self._usage.calls
        yield "max_tokens", self._usage.tokens
        yield "max_cost_usd", self._usage.cost_usd
        yield "max_seconds", self.elapsed_s

    def _exceeded(self, limit: str, spent: float, allowed: float) -> str:
        where = f" of {self.label!r}" if self.label else ""
        return f"the budget{where} is used up: {limit}={allowed:g}, spent {spent:.6g}; raise {limit} to go on"

    def _add(self, label: str, usage: Usage) -> None:
        self._usage = self._usage + usage
        self._by_label[label] = self._by_label.get(label, _NOTHING) + usage


_NOTHING = Usage()
_lock = threading.Lock()  # calls of several threads may be charged to one meter
_open: ContextVar[tuple[Meter, ...]] = ContextVar("agentevo_meters", default=())
_timers: ContextVar[tuple[asyncio.Timeout, ...]] = ContextVar("agentevo_timers", default=())


@contextmanager
def spending(label: str = "", budget: Budget | None = None, clock: Clock = time.monotonic) -> Iterator[Meter]:
    """Charge all model calls made inside, also by tasks started inside, to a meter and to those around it."""
    with charging(Meter(label, budget, clock)) as meter:
        yield meter


@contextmanager
def charging(meter: Meter) -> Iterator[Meter]:
    """Charge all model calls made inside to a meter that may have been open before."""
    token = _open.set((*_open.get(), meter))
    try:
        yield meter
    finally:
        _open.reset(token)


def reserve(calls: int = 1) -> None:
    """Count calls that are about to be made; raise BudgetExceeded, counting nothing, if any open meter forbids it.

    Models call it before each request, and `charge` with what the reply cost after it.
    """
    meters = _open.get()
    if not meters:
        return
    with _lock:
        for meter in meters:
            meter.check(calls)
        _add(meters, Usage.model_construct(calls=calls))


def charge(usage: Usage) -> None:
    """Add tokens, cost and seconds of a call to the open meters; the call itself was counted by `reserve`."""
    if meters := _open.get():
        with _lock:
            _add(meters, usage.model_copy(update={"calls": 0}))


def settle(usage: Usage) -> None:
    """Count what was paid for before this process began, calls too; it was spent, so no limit can refuse it."""
    if meters := _open.get():
        with _lock:
            _add(meters, usage)


def tightest() -> tuple[float, Meter] | None:
    """Return the open meter whose time runs out first, and the seconds it has left; None if none has a limit."""
    timed = [(m.budget.max_seconds - m.elapsed_s, m) for m in _open.get() if m.budget.max_seconds is not None]
    return min(timed, key=lambda pair: pair[0], default=None)


def out_of_time(meter: Meter) -> BudgetExceeded:
    """Return the error for a call that was cut off because this meter's time is up."""
    allowed = meter.budget.max_seconds or 0.0
    return BudgetExceeded(meter._exceeded("max_seconds", max(meter.elapsed_s, allowed), allowed), meter)


@asynccontextmanager
async def timed(meter: Meter) -> AsyncIterator[None]:
    """Cancel what is under way inside, whatever it waits for, when the meter's time is up; raise BudgetExceeded then.

    Closing what is open comes after that, and may take its own time.
    """
    allowed = meter.budget.max_seconds
    if allowed is None:
        yield
        return
    timer = asyncio.timeout(max(0.0, allowed - meter.elapsed_s))
    token = _timers.set((*_timers.get(), timer))
    try:
        async with timer:
            yield
    except TimeoutError as error:
        if not timer.expired():
            raise
        raise out_of_time(meter) from error
    finally:
        _timers.reset(token)


@contextmanager
def uncut() -> Iterator[None]:
    """Let what is inside come to its end though time is up: it is short, and half of it would be of no use."""
    held = [(timer, timer.when()) for timer in _timers.get() if not timer.expired()]
    for timer, _ in held:
        timer.reschedule(None)
    try:
        yield
    finally:
        for timer, when in held:
            timer.reschedule(when)


def _add(meters: tuple[Meter, ...], usage: Usage) -> None:
    label = next((m.label for m in reversed(meters) if m.label), "")
    for meter in meters:
        meter._add(label, usage)
