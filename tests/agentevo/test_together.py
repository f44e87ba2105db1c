"""Several things at once: results in order; a failure stops the others, and says what it was caused by."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine

import pytest

from agentevo.together import to_the_end, together


def test_results_come_in_the_order_of_the_works() -> None:
    async def late(turns: int) -> int:
        for _ in range(turns):
            await asyncio.sleep(0)
        return turns

    assert asyncio.run(together(late(n) for n in (3, 1, 2))) == [3, 1, 2]


def test_a_failure_stops_the_others_and_keeps_its_cause() -> None:
    stopped: list[str] = []

    async def waits() -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            stopped.append("waits")
            raise

    async def fails() -> None:
        await asyncio.sleep(0)
        raise ValueError("no") from OSError("disk")

    async def both() -> int:
        with pytest.raises(ValueError, match="no") as caught:
            await together([waits(), fails()])
        assert isinstance(caught.value.__cause__, OSError)
        return len(asyncio.all_tasks())

    assert (asyncio.run(both()), stopped) == (1, ["waits"])


@pytest.mark.parametrize("fails", [False, True])
def test_work_that_must_end_ends_before_the_cancellation_does(fails: bool) -> None:
    done: list[str] = []

    async def work() -> str:
        for _ in range(5):
            await asyncio.sleep(0)
        done.append("work")
        if fails:
            raise ValueError("no")
        return "result"

    async def cancelled(times: int, work: Coroutine[None, None, str]) -> str:
        task = asyncio.create_task(to_the_end(work))
        for _ in range(times):
            await asyncio.sleep(0)
            task.cancel()
        return await task

    with pytest.raises(asyncio.CancelledError):
        asyncio.run(cancelled(2, work()))
    assert done == ["work"]
    if fails:
        with pytest.raises(ValueError, match="no"):
            asyncio.run(cancelled(0, work()))
    else:
        assert asyncio.run(cancelled(0, work())) == "result"
