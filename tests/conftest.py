"""What all tests share: the weights that `make setup` has pulled, and homes that use them without touching them."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from agentevo.environments.sandbox import Sandbox, SandboxUnavailable
from agentevo.models.catalogue import CATALOGUE
from agentevo.models.installed import CARD, find
from agentevo.models.pull import pull
from agentevo.settings import home

pytest_plugins = ["small_trainable"]


def pytest_configure() -> None:
    # A shell that starts the tests in the background has them ignore interrupts, and so would every program they start.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    # How long an example takes is the machine's affair, and it may be busy.
    settings.register_profile("here", deadline=None)
    settings.load_profile("here")


@pytest.fixture(scope="session")
def weights_home() -> Path:
    """The user's own home, with the offline model and the embedder in it, pulled now if they are missing."""
    for name in CATALOGUE:
        pull(name)
    return home()


@pytest.fixture
def empty_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home with nothing in it, which is the one in use."""
    folder = tmp_path / "home"
    monkeypatch.setenv("AGENTEVO_HOME", str(folder))
    return folder


@pytest.fixture
def own_model(weights_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Path]:
    """Give the folder of a model of its own in a home of its own: real weights, adapters to be added by the test."""
    real = find("smollm2-135m", "model").path
    folder = tmp_path / "home"
    monkeypatch.setenv("AGENTEVO_HOME", str(folder))

    def make(name: str) -> Path:
        model = folder / "models" / name
        model.mkdir(parents=True)
        (model / "model.gguf").symlink_to(real)
        shutil.copy(real.parent / CARD, model / CARD)
        return model

    return make


@pytest.fixture(scope="module", params=("namespaces", "landlock"))
def sandbox(request: pytest.FixtureRequest) -> Iterator[Sandbox]:
    """A sandbox of each tier that this machine can start, in turn."""
    try:
        opened = Sandbox(tier=request.param, workers=4)
    except SandboxUnavailable as error:
        pytest.skip(error.reasons[request.param])
    with opened:
        yield opened


@pytest.fixture(scope="module")
def best() -> Iterator[Sandbox]:
    """A sandbox of the best tier, for what does not depend on walls."""
    with Sandbox(workers=4) as opened:
        yield opened


@pytest.fixture
def proc() -> Iterator[int]:
    """An open /proc."""
    opened = os.open("/proc", os.O_RDONLY | os.O_DIRECTORY)
    yield opened
    os.close(opened)
