"""Loop over a real provider's protocol: what is sent back is what it said, whole or in pieces."""

from __future__ import annotations

from typing import Any

import pytest
from openai_server import OpenAIServer, calls_tool, says, status
from worlds import World, looped, told

from agentevo.events import Event, Piece, listening
from agentevo.models import LiteLLMModel
from agentevo.phases.loop import Loop


def model(server: OpenAIServer) -> LiteLLMModel:
    return LiteLLMModel("openai/test", api_base=server.url, api_key="k", timeout_s=20)


@pytest.mark.parametrize("is_heard", [False, True])
def test_calls_and_results_go_to_and_fro_as_the_provider_expects_them(is_heard: bool) -> None:
    heard: list[Event] = []
    world = World(lambda name, given: f"You see {given['at']}.")
    with OpenAIServer() as server, listening(heard.append, pieces=is_heard):
        server.then(calls_tool("look", '{"at": "a desk"}', text="Let me see."), says("It is there."))
        attempt = looped(world, model(server))
        sent: list[Any] = [body["messages"] for body in server.bodies]
    assert (attempt.answer, attempt.stopped) == ("It is there.", "")
    assert sent[1] == list(attempt.messages[:3])
    assert told(attempt)[1:] == [
        ("assistant", "Let me see."), ("tool", "You see a desk."), ("assistant", "It is there."),
    ]  # fmt: skip
    assert "".join(event.text for event in heard if isinstance(event, Piece)) == (
        "Let me see.It is there." if is_heard else ""
    )


def test_arguments_that_are_no_json_are_told_to_the_model_and_it_goes_on() -> None:
    with OpenAIServer() as server:
        server.then(calls_tool("look", '{"at": '), says("Sorry."))
        attempt = looped(World(), model(server))
        sent: Any = server.bodies[1]["messages"]
    assert (attempt.answer, attempt.stopped) == ("Sorry.", "")
    assert str(sent[-1]["content"]).startswith("Error: model 'openai/test' wrote a tool call that cannot be read")
    assert sent[-2]["role"] == "assistant"


def test_a_provider_that_refuses_tools_is_told_of_them_in_words() -> None:
    world = World(lambda name, given: "A key.")
    with OpenAIServer() as server:
        server.then(status(400, message="tools are not supported"), says('{"name": "look", "arguments": {}}'))
        server.then(says("A key."))
        attempt = looped(world, model(server), Loop())
        bodies = server.bodies
    assert attempt.answer == "A key."
    assert ["tools" in body for body in bodies] == [True, False, False]
    assert "To use a tool" in bodies[1]["messages"][0]["content"]
