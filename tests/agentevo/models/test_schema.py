from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai_server import OpenAIServer, calls_tool, says
from pydantic import BaseModel, ValidationError

from agentevo.errors import BadReply, BudgetExceeded, SchemaMismatch
from agentevo.models import Budget, LiteLLMModel, allow_requests, spending
from agentevo.models.schema import fitted, response_format
from agentevo.types import Message, Tool


class Person(BaseModel):
    name: str
    age: int = 0


class Team(BaseModel):
    lead: Person
    members: list[Person] = []
    default: str | None = None


class Scores(BaseModel):
    by_name: dict[str, float]


ASK: list[Message] = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Who?"}]
ADA = '{"name": "Ada", "age": 36}'


@pytest.fixture
def server() -> Iterator[OpenAIServer]:
    with allow_requests(), OpenAIServer() as running:
        yield running


def model(server: OpenAIServer, name: str = "openai/test") -> LiteLLMModel:
    return LiteLLMModel(name, api_base=server.url, api_key="k", timeout_s=20)


@pytest.mark.parametrize(
    "text",
    [
        ADA,
        f"\n {ADA}\n",
        f"```json\n{ADA}\n```",
        f"Here you are:\n```\n{ADA}\n```\nAnything else?",
        f"The person is {ADA}. Good?",
        f"Not {{this}} nor [1, 2] nor {{'x': 1}}, but {ADA}",
        f'First {{"name": 3}}, then {ADA}',
    ],
)
def test_json_is_found_in_fences_and_prose(text: str) -> None:
    assert Person.model_validate_json(fitted(text, Person)) == Person(name="Ada", age=36)


@given(st.text(alphabet="ab {[]}:,\"'\n`", max_size=40), st.text(alphabet="ab }]\n", max_size=20))
def test_whatever_surrounds_it_a_fitting_object_is_found(before: str, after: str) -> None:
    # An open quote or bracket before it may swallow it: that is no JSON any more.
    found = fitted(before.replace('"', "").replace("[", "").replace("{", "") + ADA + after, Person)
    assert Person.model_validate_json(found).name == "Ada"


def test_the_error_is_about_the_json_not_about_the_prose_around_it() -> None:
    with pytest.raises(ValidationError, match="Field required"):
        fitted('Sure: {"nam": "Ada"}', Person)


def test_a_megabyte_of_brackets_is_given_up_quickly() -> None:
    begin = time.monotonic()
    with pytest.raises(ValidationError):
        fitted("[" * 1_000_000, Person)
    assert time.monotonic() - begin < 20


def test_a_provider_that_can_enforces_the_schema(server: OpenAIServer) -> None:
    server.then(says(ADA))
    reply = asyncio.run(model(server, "openai/gpt-4o").complete(ASK, schema=Person))
    assert reply.parsed(Person) == Person(name="Ada", age=36)
    assert server.bodies[0]["response_format"] == response_format(Person)
    assert server.bodies[0]["messages"] == ASK


def test_another_provider_is_told_the_schema_in_the_system_message(server: OpenAIServer) -> None:
    server.then(says(ADA), says(ADA))
    asyncio.run(model(server).complete(ASK, schema=Person))
    asyncio.run(model(server).complete(ASK[1:], schema=Person))
    for body, beginning in zip(server.bodies, ("Be brief.\n\nAnswer", "Answer"), strict=True):
        assert "response_format" not in body
        assert [message["role"] for message in body["messages"]] == ["system", "user"]
        assert body["messages"][0]["content"].startswith(beginning)
        assert json.dumps(Person.model_json_schema()) in body["messages"][0]["content"]


def test_a_reply_is_reduced_to_its_json(server: OpenAIServer) -> None:
    server.then(says(f"Of course! ```json\n{ADA}\n```"))
    assert asyncio.run(model(server).complete(ASK, schema=Person)).text == ADA


def test_one_repair_turn_sends_back_the_reply_and_what_is_wrong(server: OpenAIServer) -> None:
    server.then(says('{"name": "Ada", "age": "old"}'), says(ADA))
    reply = asyncio.run(model(server).complete(ASK, schema=Person))
    assert (reply.text, reply.usage.calls) == (ADA, 2)
    *_, answer, complaint = server.bodies[1]["messages"]
    assert answer == {"role": "assistant", "content": '{"name": "Ada", "age": "old"}'}
    assert "age: Input should be a valid integer" in complaint["content"]


def test_a_reply_that_still_does_not_fit_is_an_error_with_the_reply(server: OpenAIServer) -> None:
    server.then(says("no"), says('{"age": 1}'), says("never asked"))
    with pytest.raises(SchemaMismatch, match="does not fit Person: name: Field required") as caught:
        asyncio.run(model(server).complete(ASK, schema=Person))
    assert caught.value.reply is not None
    assert (caught.value.reply.text, caught.value.reply.usage.calls) == ('{"age": 1}', 2)
    assert len(server.bodies) == 2


def test_only_the_samples_that_do_not_fit_are_repaired(server: OpenAIServer) -> None:
    server.then(says(ADA, "no", '{"name": "Bob"}'), says('{"name": "Cy"}'))
    reply = asyncio.run(model(server).complete(ASK, schema=Person, n=3))
    assert [Person.model_validate_json(text).name for text in reply.texts] == ["Ada", "Cy", "Bob"]
    assert len(server.bodies) == 2


def test_the_repair_turn_is_a_call_of_the_budget(server: OpenAIServer) -> None:
    server.then(says("no"), says(ADA))
    with spending(budget=Budget(max_calls=1)) as meter, pytest.raises(BudgetExceeded):
        asyncio.run(model(server).complete(ASK, schema=Person))
    assert (meter.usage.calls, len(server.bodies)) == (1, 1)


def test_what_was_streamed_is_not_repaired_behind_the_callers_back(server: OpenAIServer) -> None:
    server.then(says("no good"), says(ADA))
    pieces: list[str] = []
    with pytest.raises(SchemaMismatch) as caught:
        asyncio.run(model(server).complete(ASK, schema=Person, on_text=pieces.append))
    assert caught.value.reply is not None
    assert "".join(pieces) == caught.value.reply.text == "no good"
    assert len(server.bodies) == 1


def test_a_tool_call_comes_before_the_answer_and_is_not_checked(server: OpenAIServer) -> None:
    server.then(calls_tool("search", "{}"))
    reply = asyncio.run(model(server).complete(ASK, schema=Person, tools=[Tool(name="search")]))
    assert reply.tool_calls[0].name == "search"
    assert len(server.bodies) == 1


def test_a_filtered_reply_is_not_sent_back_for_repair(server: OpenAIServer) -> None:
    server.then(says("I canno", finish="content_filter"))
    with pytest.raises(BadReply):
        asyncio.run(model(server).complete(ASK, schema=Person))
    assert len(server.bodies) == 1


def test_strict_mode_requires_every_field_and_closes_every_object() -> None:
    described: dict[str, Any] = response_format(Team)["json_schema"]
    team, person = described["schema"], described["schema"]["$defs"]["Person"]
    assert (described["name"], described["strict"]) == ("Team", True)
    assert team["required"] == ["lead", "members", "default"]
    assert person["required"] == ["name", "age"]
    assert team["additionalProperties"] is person["additionalProperties"] is False
    assert "default" not in person["properties"]["age"]


def test_free_keys_rule_strict_mode_out() -> None:
    described: dict[str, Any] = response_format(Scores)["json_schema"]
    assert (described["strict"], described["schema"]) == (False, Scores.model_json_schema())
