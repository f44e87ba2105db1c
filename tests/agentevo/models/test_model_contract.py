"""What every Model promises, checked on each of ours."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from openai_server import OpenAIServer, says
from pydantic import BaseModel

from agentevo.errors import AgentEvoError, BudgetExceeded, Misuse, SchemaMismatch
from agentevo.models import (
    Budget,
    Cached,
    Cassette,
    FunctionModel,
    LiteLLMModel,
    ScriptedModel,
    allow_requests,
    spending,
)
from agentevo.protocols import Model
from agentevo.types import Message

ASK: list[Message] = [{"role": "user", "content": "hello"}]
Maker = Callable[..., Model]


class Person(BaseModel):
    name: str


@pytest.fixture(params=["litellm", "scripted", "function", "cached", "recorded"])
def answering(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Maker]:
    """Return what makes a model that always answers with the same text."""
    with allow_requests(), OpenAIServer() as server:

        def make(text: str) -> Model:
            server.default = says(text)
            makers: dict[str, Callable[[], Model]] = {
                "litellm": lambda: LiteLLMModel("openai/test", api_base=server.url, api_key="k", timeout_s=30),
                "scripted": lambda: ScriptedModel([text] * 9),
                "function": lambda: FunctionModel(lambda messages: text),
                "cached": lambda: Cached(ScriptedModel([text] * 9), tmp_path / "cache"),
                "recorded": lambda: Cassette(ScriptedModel([text] * 9), tmp_path / "tape"),
            }
            return makers[request.param]()

        yield make


def test_it_is_a_model_with_a_name(answering: Maker) -> None:
    model = answering("hi")
    assert isinstance(model, Model)
    assert model.name


def test_it_gives_as_many_samples_as_are_asked_for(answering: Maker) -> None:
    assert asyncio.run(answering("so be it").complete(ASK, n=3)).texts == ("so be it",) * 3


def test_its_pieces_make_up_the_text_of_its_reply(answering: Maker) -> None:
    pieces: list[str] = []
    reply = asyncio.run(answering("one two  three").complete(ASK, on_text=pieces.append))
    assert "".join(pieces) == reply.text == "one two  three"


def test_it_gives_json_that_fits_or_an_error_with_the_reply(answering: Maker) -> None:
    fits = asyncio.run(answering('Sure: {"name": "Ada"}').complete(ASK, schema=Person))
    assert fits.parsed(Person) == Person(name="Ada")
    with pytest.raises(SchemaMismatch) as caught:
        asyncio.run(answering("I would rather not").complete([*ASK, *ASK], schema=Person))
    assert caught.value.reply is not None
    assert caught.value.reply.text == "I would rather not"


def test_it_charges_the_meter_what_its_reply_says(answering: Maker) -> None:
    with spending() as meter:
        reply = asyncio.run(answering("hi").complete(ASK))
    assert meter.usage == reply.usage
    assert (reply.usage.calls, reply.usage.prompt_tokens, reply.usage.completion_tokens) == (1, 1, 1)


def test_it_stops_at_the_budget(answering: Maker) -> None:
    with pytest.raises(BudgetExceeded), spending(budget=Budget(max_calls=0)):
        asyncio.run(answering("hi").complete(ASK))


def test_it_serves_many_at_once(answering: Maker) -> None:
    async def crowd() -> list[str]:
        model = answering("hi")
        return [reply.text for reply in await asyncio.gather(*(model.complete(ASK, seed=i) for i in range(9)))]

    assert asyncio.run(crowd()) == ["hi"] * 9


def test_it_refuses_a_malformed_request(answering: Maker) -> None:
    model = answering("hi")
    for messages, n in (([], 1), (ASK, 0)):
        with pytest.raises(Misuse):
            asyncio.run(model.complete(messages, n=n))
    assert issubclass(Misuse, AgentEvoError)
