"""Every environment that comes with the package keeps the contract, with 32 episodes at once; slow engines in soak."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from agentevo.environments import acheck_environment, check_environment, load, names
from agentevo.environments.clauses import CLAUSES
from agentevo.environments.load import ENVIRONMENTS
from agentevo.errors import Misuse
from agentevo.protocols import Environment

QUICK = (
    "house", "house:level=2", "house:level=3", "shop:tasks=20", "world", "world:level=2", "world:level=3",
    "duo", "duo:level=2,seat=mate", "duo:level=3,seat=both",
)  # fmt: skip
SLOW = [*sorted({*ENVIRONMENTS} - {suite.partition(":")[0] for suite in QUICK}), "library:mode=workspace"]
EPISODES = 32


@pytest.mark.parametrize("suite", QUICK)
def test_it_keeps_the_contract(suite: str) -> None:
    environment, _ = load(suite)
    held = check_environment(environment, again=lambda: load(suite)[0], tasks=1, episodes=EPISODES, patience_s=60)
    assert held == tuple(clause.__name__ for clause in CLAUSES)


def test_so_do_answers_from_a_file(tmp_path: Path) -> None:
    rows = [{"question": f"What is {n} and {n}?", "answer": str(2 * n)} for n in range(20)]
    file = tmp_path / "sums.jsonl"
    file.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    suite = f'answers:source="{file}"'
    held = check_environment(load(suite)[0], again=lambda: load(suite)[0], episodes=EPISODES)
    assert held == tuple(clause.__name__ for clause in CLAUSES)


@pytest.mark.soak
@pytest.mark.parametrize("suite", SLOW)
def test_what_takes_long_keeps_it_too(suite: str) -> None:
    if suite.partition(":")[0] not in names():
        pytest.skip("it has nothing without a file of tasks")
    try:
        environment, split = load(suite)
        environment.tasks(split)
    except Misuse as error:  # a package is not installed, or something is to be fetched
        pytest.skip(str(error))
    held = asyncio.run(checked(environment, load(suite)[0]))
    assert {"deterministic", "order", "closes", "cancelled", "together", "verify", "null"} <= set(held)


async def checked(environment: Environment, other: Environment) -> tuple[str, ...]:
    """Check an environment beside another of the same name, and end what engines both have."""
    try:
        return await acheck_environment(
            environment, again=lambda: other, tasks=1, episodes=EPISODES, limit_s=900, patience_s=60
        )
    finally:
        for one in (environment, other):
            if hasattr(one, "aclose"):
                await one.aclose()
