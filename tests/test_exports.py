"""What `from agentevo import ...` offers: sorted, importable, and the same for people, type checkers and `dir`."""

from __future__ import annotations

import ast
import importlib
from pathlib import Path

import pytest

import agentevo

# Packages that list their public names; modules inside them list none.
LISTING = ["agentevo", "agentevo.models"]


def promised_to_type_checkers(package: str) -> dict[str, str]:
    """Return the names under TYPE_CHECKING of a package, with the module each is imported from."""
    source = Path(importlib.import_module(package).__file__ or "").read_text("utf-8")
    blocks = [node for node in ast.parse(source).body if isinstance(node, ast.If)]
    statements = [s for block in blocks for s in block.body if isinstance(s, ast.ImportFrom)]
    return {alias.asname or alias.name: s.module or "" for s in statements for alias in s.names}


@pytest.mark.parametrize("package", LISTING)
def test_public_names_are_sorted_and_importable(package: str) -> None:
    module = importlib.import_module(package)
    assert list(module.__all__) == sorted(set(module.__all__))
    assert [name for name in module.__all__ if not hasattr(module, name)] == []


@pytest.mark.parametrize("package", LISTING)
def test_dir_shows_the_public_names(package: str) -> None:
    module = importlib.import_module(package)
    assert set(module.__all__) <= set(dir(module))


def test_type_checkers_see_what_is_loaded() -> None:
    loaded = {name: home for home, names in agentevo._HOMES.items() for name in names}
    assert promised_to_type_checkers("agentevo") == loaded
    assert agentevo.__all__ == sorted(loaded)


def test_a_public_name_is_the_one_from_its_home() -> None:
    for name, home in promised_to_type_checkers("agentevo").items():
        assert getattr(agentevo, name) is getattr(importlib.import_module(home), name)


@pytest.mark.parametrize("package", LISTING)
def test_a_name_that_is_not_there_is_an_attribute_error(package: str) -> None:
    with pytest.raises(AttributeError, match="no attribute 'surprise'"):
        importlib.import_module(package).surprise  # noqa: B018
