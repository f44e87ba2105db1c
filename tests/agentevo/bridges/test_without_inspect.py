"""The bridge where inspect-ai is not installed: it can be imported, and says what is missing when it is used."""

from __future__ import annotations

import asyncio
import importlib.util

import pytest

from agentevo import Agent, Memory, ScriptedModel
from agentevo.bridges.inspect import InspectModel, remembering
from agentevo.errors import MissingExtra

pytestmark = pytest.mark.skipif(importlib.util.find_spec("inspect_ai") is not None, reason="inspect-ai is installed")


def test_what_is_missing_is_named_when_it_is_used() -> None:
    with (
        Memory.open(":memory:", embedder="hash") as memory,
        pytest.raises(MissingExtra, match=r"the solver for inspect tasks needs .* pip install 'agentevo\[inspect\]'"),
    ):
        remembering(Agent(ScriptedModel([]), memory=memory))
    with pytest.raises(MissingExtra, match=r"inspect's models needs .* pip install 'agentevo\[inspect\]'"):
        asyncio.run(InspectModel().complete([{"role": "user", "content": "Hello"}]))
    assert (InspectModel().name, InspectModel("openai/gpt-5").name) == ("inspect/active", "inspect/openai/gpt-5")
