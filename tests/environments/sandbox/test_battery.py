"""A battery of hostile programs: none gets out of the sandbox, and no wrong solution passes."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from battery import ALL
from battery.arena import Arena
from battery.program import Program
from battery.users import can_be
from processes import below, eventually, mounts

from agentevo.environments.sandbox import Sandbox, SandboxUnavailable
from agentevo.environments.sandbox.sandbox import CHOSEN, Tier

NOBODY = 65534
SOAK = os.environ.get("AGENTEVO_SOAK") == "1"
ROUNDS = 3 if SOAK else 1


def available(tier: Tier) -> bool:
    """Say whether this machine can start a tier; the other tests say why not."""
    try:
        Sandbox(tier=tier, workers=1).close()
    except SandboxUnavailable:
        return False
    return True


Left = tuple[int, int]


def left(arena: Arena) -> Left:
    """Return what an agent has: processes below it, and descriptors."""
    return len(below(arena.pid)), len([*Path(f"/proc/{arena.pid}/fd").iterdir()])


def settled(arena: Arena) -> tuple[Left, Counter[str]]:
    """Return the same of an agent that has had as many runs at once as it can, and the mounts it sees."""
    with ThreadPoolExecutor(16) as pool:
        assert {outcome.stdout for outcome in pool.map(arena.run, ["print(1)"] * 32)} == {"1\n"}
    seen: list[Left] = []

    def still() -> bool:
        seen.append(left(arena))
        return len(seen) > 10 and len(set(seen[-10:])) == 1

    assert eventually(still)
    return seen[-1], mounts(arena.pid)


def assert_has(arena: Arena, before: tuple[Left, Counter[str]]) -> None:
    has, mounted = before
    assert eventually(lambda: left(arena) == has), f"{has} became {left(arena)}"
    assert not mounts(arena.pid) - mounted  # the machine's own may go meanwhile


@pytest.fixture(params=CHOSEN)
def arena(request: pytest.FixtureRequest) -> Iterator[Arena]:
    """An agent with a sandbox of each tier, in turn."""
    if not available(request.param):
        pytest.skip(f"the tier {request.param} does not work here")
    with Arena(request.param) as opened:
        yield opened


@pytest.fixture(params=CHOSEN)
def users_arena(request: pytest.FixtureRequest) -> Iterator[Arena]:
    """The same as an ordinary user."""
    if not can_be(NOBODY):
        pytest.skip("privileges cannot be dropped here")
    with Arena(request.param, NOBODY) as opened:
        yield opened


def test_the_battery_is_large_and_each_program_has_a_name() -> None:
    names = Counter((attack.area, attack.name) for attack in ALL)
    assert len(ALL) >= 400
    assert max(names.values()) == 1


def test_most_of_the_battery_succeeds_without_walls() -> None:
    unwalled = [attack for attack in ALL if not isinstance(attack, Program) or attack.bare]
    sample = unwalled if SOAK else unwalled[::9]
    with Arena("bare") as bare:
        achieved = bare.attack_all(sample, 4)
    assert len(achieved) > 0.6 * len(sample)
    assert len({name.partition(":")[0] for name in achieved}) >= 7


@pytest.mark.soak
@pytest.mark.timeout(1800)
def test_nothing_gets_out_and_nothing_is_forged(arena: Arena) -> None:
    for _ in range(ROUNDS):
        before = settled(arena)
        assert arena.attack_all(ALL, 8) == {}
        assert arena.run("print(1)").stdout == "1\n"
        assert_has(arena, before)


@pytest.mark.soak
@pytest.mark.timeout(1800)
def test_nothing_gets_out_of_an_ordinary_users_sandbox(users_arena: Arena) -> None:
    for _ in range(ROUNDS):
        assert users_arena.attack_all(ALL, 8) == {}


def test_a_part_of_the_battery_stays_inside(arena: Arena) -> None:
    part = ALL[CHOSEN.index(arena.tier) :: 3]
    before = settled(arena)
    assert arena.attack_all(part, 8) == {}
    assert arena.run("print(1)").stdout == "1\n"
    assert_has(arena, before)


@pytest.mark.timeout(300)
def test_a_part_of_the_battery_stays_inside_an_ordinary_users_sandbox(users_arena: Arena) -> None:
    assert users_arena.attack_all(ALL[2::12], 8) == {}
