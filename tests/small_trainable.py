"""A small model in a home of its own, made trainable once and copied for each test."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from agentevo.weights.train import Trained


@pytest.fixture(scope="session")
def _trainable(tmp_path_factory: pytest.TempPathFactory) -> Path:
    import torch
    from small_llama import install_llama

    from agentevo.weights.load import base

    torch.set_num_threads(1)  # so small a model only gets slower by more
    home = tmp_path_factory.mktemp("trainable")
    install_llama(home)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AGENTEVO_HOME", str(home))
        base("local/small")
    return home


@pytest.fixture
def small(_trainable: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The name of a model that trains in a second; the home it is in is the test's own."""
    home = shutil.copytree(_trainable, tmp_path / "home")
    monkeypatch.setenv("AGENTEVO_HOME", str(home))
    monkeypatch.setenv("AGENTEVO_THREADS", "1")
    yield "local/small"
    shutil.rmtree(home)


@pytest.fixture(scope="session")
def whole(_trainable: Path, tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """An adapter of the small model, whose training nothing disturbed, its base beside it; to be read only."""
    from small_training import trained

    from agentevo.weights.load import base

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AGENTEVO_HOME", str(_trainable))
        folder = tmp_path_factory.mktemp("whole")
        shutil.copytree(base("local/small").folder, folder / "base")
        return trained(folder / "adapter")
