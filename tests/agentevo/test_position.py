"""Names by place: the same work in the same place gets the same names."""

from __future__ import annotations

import asyncio

from agentevo.position import at, attempt_id, here


def test_attempts_are_numbered_by_their_place() -> None:
    with at("3/act/seven"):
        assert (here(), attempt_id(), attempt_id()) == ("3/act/seven", "3/act/seven#0", "3/act/seven#1")


def test_the_same_place_names_alike_again() -> None:
    with at("a"):
        first = attempt_id()
    with at("a"):
        assert attempt_id() == first


def test_outside_a_run_no_two_attempts_share_a_name() -> None:
    assert here() == ""
    assert len({attempt_id() for _ in range(100)}) == 100


def test_tasks_under_way_at_once_keep_their_own_places() -> None:
    async def one(path: str) -> list[str]:
        with at(path):
            first = attempt_id()
            await asyncio.sleep(0)
            return [first, attempt_id()]

    async def both() -> tuple[list[str], list[str]]:
        return await asyncio.gather(one("a"), one("b"))

    assert list(asyncio.run(both())) == [["a#0", "a#1"], ["b#0", "b#1"]]


def test_a_place_inside_another_hides_it_only_inside() -> None:
    with at("a"):
        attempt_id()
        with at("b"):
            assert attempt_id() == "b#0"
        assert attempt_id() == "a#1"
