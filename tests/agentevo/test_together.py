"""Several things at once: results in order; a failure stops the others, and says what it was caused by."""

from __future__ import annotations

import asyncio

import pytest

from agentevo.together import together


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
