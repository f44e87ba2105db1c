"""What the tests of the sandbox share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from agentevo.environments.sandbox import Sandbox, SandboxUnavailable
from agentevo.environments.sandbox.sandbox import CHOSEN, Tier


@pytest.fixture(scope="module", params=CHOSEN)
def sandbox(request: pytest.FixtureRequest) -> Iterator[Sandbox]:
    """A sandbox of each tier that this machine can start, in turn."""
    tier: Tier = request.param
    try:
        opened = Sandbox(tier=tier, workers=4)
    except SandboxUnavailable as error:
        pytest.skip(error.reasons[tier])
    with opened:
        yield opened


@pytest.fixture(scope="module")
def best() -> Iterator[Sandbox]:
    """A sandbox of the best tier, for what does not depend on walls."""
    with Sandbox(workers=4) as opened:
        yield opened
