from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import agentevo.models
from agentevo.errors import ConfigError, Misuse, UnknownName
from agentevo.models import Cached, LiteLLMModel, ScriptedModel, as_model
from agentevo.protocols import Model


@pytest.fixture(autouse=True)
def empty_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("AGENTEVO_HOME", str(tmp_path))
    return tmp_path


def test_a_model_passes_through() -> None:
    model = ScriptedModel([])
    assert as_model(model) is model


def test_a_name_becomes_a_model_of_that_name() -> None:
    for name in ("openai/gpt-4o", "local/smollm2-135m", "local/smollm2-135m+mine"):
        model: Model = as_model(name)
        assert isinstance(model, LiteLLMModel)
        assert model.name == name


def test_an_unknown_offline_model_is_refused_at_once() -> None:
    with pytest.raises(UnknownName, match="smollm2-135m") as caught:
        as_model("local/smollm3")
    assert caught.value.known == ("smollm2-135m",)  # and no embedder


@pytest.mark.parametrize("nonsense", [None, 3, ScriptedModel])
def test_what_is_no_model_is_refused(nonsense: Any) -> None:
    with pytest.raises(Misuse, match="expected a model name"):
        as_model(nonsense)


def test_an_empty_name_is_refused() -> None:
    with pytest.raises(Misuse, match="needs a name"):
        as_model("")


def test_settings_are_applied(empty_home: Path) -> None:
    (empty_home / "config.toml").write_text("cache = true\n")
    assert isinstance(as_model("openai/gpt-4o"), Cached)
    (empty_home / "config.toml").write_text("cache = 'perhaps'\n")
    with pytest.raises(ConfigError, match="cache"):
        as_model("openai/gpt-4o")


def test_a_public_name_that_is_not_there_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'Modle'"):
        agentevo.models.Modle  # noqa: B018


def test_public_names_are_sorted_and_listed() -> None:
    assert agentevo.models.__all__ == sorted(agentevo.models.__all__)
    assert set(agentevo.models.__all__) <= set(dir(agentevo.models))


def test_fakes_load_nothing_heavy() -> None:
    code = (
        "import sys, agentevo.models as m; m.ScriptedModel, m.FunctionModel, m.LiteLLMModel, m.Cached, m.Cassette;"
        "print([x for x in ('litellm', 'torch', 'transformers', 'chromadb', 'numpy') if x in sys.modules])"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ended.stdout == "[]\n"


def test_scripted_models_need_no_home() -> None:
    assert asyncio.run(as_model(ScriptedModel(["x"])).complete([{"role": "user", "content": "x"}])).text == "x"
