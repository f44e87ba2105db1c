from __future__ import annotations

import re
from pathlib import Path

from agentevo.models.catalogue import CATALOGUE
from agentevo.models.installed import find, size_of, verify
from agentevo.settings import Settings


def test_defaults_are_in_the_catalogue() -> None:
    assert CATALOGUE[Settings().model.removeprefix("local/")].kind == "model"
    assert CATALOGUE[Settings().embedder].kind == "embedder"


def test_every_entry_is_pinned_by_two_hashes_and_has_a_licence() -> None:
    for name, weights in CATALOGUE.items():
        assert name == weights.name
        assert re.fullmatch(r"[0-9a-f]{64}", weights.sha256)
        assert re.fullmatch(r"[0-9a-f]{64}", weights.wheel_sha256)
        assert weights.licence
        assert weights.description


def test_what_is_installed_is_what_the_catalogue_says(weights_home: Path) -> None:
    for weights in CATALOGUE.values():
        here = find(weights.name)
        verify(here)
        size = size_of(here.path) if here.path.is_dir() else here.path.stat().st_size
        assert here.sha256 == weights.sha256
        assert abs(size - weights.size_bytes) < 10_000
