"""What starting up costs: the heavy packages are loaded when they are used, not before."""

from __future__ import annotations

import subprocess
import sys

import pytest

HEAVY = ("torch", "transformers", "chromadb", "litellm", "pydantic", "numpy")


def loaded_by(code: str) -> set[str]:
    """Return the top-level modules that a fresh interpreter has loaded after the code."""
    program = f"{code}\nimport sys\nprint(*{{name.split('.')[0] for name in sys.modules}})"
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    return set(run.stdout.splitlines()[-1].split())


def test_import_agentevo_loads_nothing_heavy() -> None:
    assert loaded_by("import agentevo").isdisjoint(HEAVY)


def test_listing_the_public_names_loads_nothing_heavy() -> None:
    assert loaded_by("import agentevo; dir(agentevo); agentevo.__all__; agentevo.__version__").isdisjoint(HEAVY)


@pytest.mark.parametrize(
    "module", ["agentevo.types", "agentevo.protocols", "agentevo.settings", "agentevo.models", "agentevo.cli.app"]
)
def test_modules_load_no_model_library(module: str) -> None:
    loaded = loaded_by(f"import {module}")
    assert loaded.isdisjoint({"torch", "transformers", "sentence_transformers", "chromadb", "litellm", "xllamacpp"})


@pytest.mark.parametrize("option", ["--version", "--help"])
def test_the_command_line_answers_without_model_libraries(option: str) -> None:
    loaded = loaded_by(f"import agentevo.cli.app\nassert agentevo.cli.app.status([{option!r}]) == 0")
    assert loaded.isdisjoint({"torch", "transformers", "sentence_transformers", "chromadb", "litellm", "xllamacpp"})


def test_the_check_sees_what_is_loaded() -> None:
    assert "numpy" in loaded_by("import numpy")
    assert "pydantic" in loaded_by("from agentevo import Task")
