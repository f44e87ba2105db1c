from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentevo.errors import Misuse, ModelError, ModelTimeout, ModelUnavailable
from agentevo.models import Retry
from agentevo.models.retry import Transient, seconds_until
from agentevo.types import Reply


class World:
    """A clock that only sleeping and attempts move."""

    def __init__(self, dice: float = 1.0) -> None:
        self.now, self.waits, self.dice = 0.0, list[float](), dice

    async def sleep(self, seconds: float) -> None:
        self.waits.append(seconds)
        self.now += seconds

    def retry(self, **options: object) -> Retry:
        return Retry(clock=lambda: self.now, sleep=self.sleep, random=lambda: self.dice, **options)  # type: ignore[arg-type]


def failing(world: World, *failures: Exception, takes: float = 0.0) -> Callable[[float], Awaitable[str]]:
    coming = iter(failures)

    async def attempt(limit_s: float) -> str:
        world.now += min(takes, limit_s)
        for failure in coming:
            raise failure
        return f"reply within {limit_s:g} s"

    return attempt


def busy(retry_after_s: float | None = None) -> Transient:
    return Transient(ModelUnavailable("busy"), retry_after_s)


def test_waits_double_up_to_the_longest() -> None:
    world = World()
    attempt = failing(world, *[busy()] * 6)
    asyncio.run(world.retry(first_wait_s=1, longest_wait_s=8).call(attempt, deadline=1000))
    assert world.waits == [1, 2, 4, 8, 8, 8]


@given(st.floats(0, 1), st.integers(1, 12))
def test_a_wait_is_shortened_by_at_most_half(dice: float, failures: int) -> None:
    world, longest = World(dice), World(1.0)
    for each in (world, longest):
        asyncio.run(each.retry(attempts=20).call(failing(each, *[busy()] * failures), deadline=10_000))
    assert all(b / 2 <= a <= b for a, b in zip(world.waits, longest.waits, strict=True))


@given(st.lists(st.one_of(st.none(), st.floats(0, 50)), max_size=30), st.floats(1, 60), st.floats(0, 5))
def test_no_call_outlives_its_budget(asked: list[float | None], budget: float, takes: float) -> None:
    world = World()
    attempt = failing(world, *map(busy, asked), takes=takes)
    with contextlib.suppress(ModelUnavailable):
        asyncio.run(world.retry(attempts=100).call(attempt, deadline=budget))
    assert world.now <= budget


def test_the_server_is_obeyed() -> None:
    world = World()
    asyncio.run(world.retry().call(failing(world, busy(17.0), busy(0.0)), deadline=100))
    assert world.waits == [17, 0]


def test_a_wait_beyond_the_deadline_is_not_begun() -> None:
    world = World()
    with pytest.raises(ModelUnavailable, match=r"the server asks to wait 61 s, and 60 s .* are left"):
        asyncio.run(world.retry().call(failing(world, busy(61.0)), deadline=60))
    assert world.waits == []


def test_attempts_are_limited() -> None:
    world = World()
    with pytest.raises(ModelUnavailable, match="busy; gave up after 3 attempts: no attempts are left"):
        asyncio.run(world.retry(attempts=3).call(failing(world, *[busy()] * 9), deadline=100))
    assert len(world.waits) == 2


def test_the_only_attempt_is_named_in_the_singular() -> None:
    world = World()
    with pytest.raises(ModelUnavailable, match="after 1 attempt: "):
        asyncio.run(world.retry(attempts=1).call(failing(world, busy()), deadline=100))


def test_an_attempt_gets_what_is_left_or_its_own_limit() -> None:
    world = World()
    attempt = failing(world, busy(), takes=3)
    assert asyncio.run(world.retry(first_wait_s=1).call(attempt, deadline=10)) == "reply within 6 s"
    world = World()
    attempt = failing(world, busy(), takes=3)
    assert asyncio.run(world.retry(first_wait_s=1, attempt_s=4).call(attempt, deadline=10)) == "reply within 4 s"


def test_a_timeout_of_the_whole_budget_is_a_timeout() -> None:
    world = World()
    slow = Transient(ModelTimeout("no answer"))
    with pytest.raises(ModelTimeout, match="the time budget ran out"):
        asyncio.run(world.retry().call(failing(world, slow, takes=60), deadline=50))


def test_what_cannot_pass_is_raised_at_once_with_its_cause() -> None:
    world = World()
    with pytest.raises(ModelError, match=r"^no$"):
        asyncio.run(world.retry().call(failing(world, ModelError("no")), deadline=100))
    with pytest.raises(ModelError, match=r"^no$"):
        asyncio.run(world.retry().call(failing(world, busy(), ModelError("no")), deadline=100))
    assert len(world.waits) == 1


def test_the_cause_survives_giving_up() -> None:
    world, cause = World(), OSError("wire cut")
    failure = busy()
    failure.__cause__ = cause
    with pytest.raises(ModelUnavailable) as caught:
        asyncio.run(world.retry(attempts=1).call(failing(world, failure), deadline=100))
    assert caught.value.__cause__ is cause


def test_cancelling_during_a_wait_ends_the_call() -> None:
    async def run() -> int:
        world, waiting = World(), asyncio.Event()

        async def sleep(seconds: float) -> None:
            waiting.set()
            await asyncio.Event().wait()

        tries = 0

        async def attempt(limit_s: float) -> str:
            nonlocal tries
            tries += 1
            raise busy()

        patient = Retry(clock=lambda: world.now, sleep=sleep)
        task = asyncio.create_task(patient.call(attempt, deadline=100))
        await waiting.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        return tries

    assert asyncio.run(run()) == 1


def test_zero_attempts_are_refused() -> None:
    with pytest.raises(Misuse, match="attempts"):
        Retry(attempts=0)


def test_retry_after_may_be_seconds_or_a_date() -> None:
    now = datetime.now(UTC)
    later = seconds_until(format_datetime(now + timedelta(seconds=90), usegmt=True))
    assert seconds_until("7") == 7
    assert seconds_until("-3") == 0
    assert later is not None
    assert 80 < later <= 90
    assert seconds_until(format_datetime(now - timedelta(days=1))) == 0
    assert seconds_until("Wed, 21 Oct 2015 07:28:00") == 0
    assert seconds_until("soon") is None
    assert seconds_until(None) is None


@pytest.mark.parametrize(
    "said",
    [
        "Wed, 21 Oct 99999999999 07:28:00 GMT",
        "Wed, 21 Oct 2015 99:28:00 GMT",
        "Fri, 31 Dec 9999 23:59:59 -2400",
        "nan",
        "inf",
        "1e999",
        "",
    ],
)
def test_a_retry_after_that_cannot_be_read_says_nothing(said: str) -> None:
    assert seconds_until(said) is None


def test_no_attempt_is_begun_without_time_so_the_real_error_stays() -> None:
    world, limits = World(), list[float]()
    partial = Reply(texts=("half",))

    async def oversleep(seconds: float) -> None:
        world.now += 100

    async def attempt(limit_s: float) -> str:
        limits.append(limit_s)
        raise Transient(ModelUnavailable("busy", partial))

    sleepy = Retry(clock=lambda: world.now, sleep=oversleep)
    with pytest.raises(ModelUnavailable, match="busy; gave up after 1 attempt: the time budget ran out") as caught:
        asyncio.run(sleepy.call(attempt, deadline=50))
    assert (limits, caught.value.reply) == ([50], partial)


def test_without_any_time_nothing_is_asked() -> None:
    with pytest.raises(ModelTimeout, match="before the model could be asked"):
        asyncio.run(World().retry().call(failing(World(), AssertionError("it was asked")), deadline=0))
