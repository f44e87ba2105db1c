"""Models with adapters: the name says which, in place of the one before, through the cache and the recording too."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from wearing import Wearing, Weights

from agentevo.errors import Misuse
from agentevo.models import FunctionModel
from agentevo.models.cached import Cached
from agentevo.models.cassette import Cassette
from agentevo.models.litellm_model import LiteLLMModel
from agentevo.protocols import Adaptable, Model

ASKED = [{"role": "user", "content": "Where?"}]


def wearing() -> Wearing:
    return Wearing(Weights({"one": {"Where?": "here"}}), FunctionModel(lambda messages: "nowhere"))


def said(model: Model) -> str:
    return asyncio.run(model.complete(ASKED)).text


def test_an_offline_model_takes_one_adapter_in_place_of_another_and_stays_as_it_is() -> None:
    plain = LiteLLMModel("local/small", timeout_s=7)
    first = plain.adapted("one")
    assert (plain.name, first.name, first.adapted("two").name) == ("local/small", "local/small+one", "local/small+two")
    assert first.adapted("").name == "local/small"


def test_a_model_that_is_elsewhere_takes_none() -> None:
    with pytest.raises(Misuse, match="'openai/gpt' takes no adapter 'one'"):
        LiteLLMModel("openai/gpt").adapted("one")


def test_a_cache_tells_adapters_apart(tmp_path: Path) -> None:
    cached = Cached(wearing(), tmp_path)
    assert [said(cached), said(cached.adapted("one")), said(cached)] == ["nowhere", "here", "nowhere"]
    assert isinstance(cached, Adaptable)
    with pytest.raises(Misuse, match="'function' takes no adapter"):
        Cached(FunctionModel(lambda messages: ""), tmp_path).adapted("one")


def test_a_recording_is_shared_by_a_model_and_the_same_with_an_adapter(tmp_path: Path) -> None:
    file = tmp_path / "tape.jsonl"
    model = Cassette(wearing(), file)
    assert [said(model), said(model.adapted("one"))] == ["nowhere", "here"]
    file.write_bytes(file.read_bytes() + b'{"half')
    again = Cassette(wearing(), file)
    other = again.adapted("one")
    assert [said(other), said(other), said(again), said(again)] == ["here", "here", "nowhere", "nowhere"]
    assert len(file.read_text().splitlines()) == 4
    with pytest.raises(Misuse, match="takes no adapter"):
        Cassette(None, file, "replay").adapted("one")
