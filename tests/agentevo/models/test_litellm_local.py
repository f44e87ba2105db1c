"""LiteLLMModel over the real offline model."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import traceback
import warnings

import pytest
from pydantic import BaseModel, Field

from agentevo.errors import Misuse, ModelTimeout, RequestRejected, SchemaMismatch, UnknownName
from agentevo.models import LiteLLMModel, forbid_requests
from agentevo.models.requests import Options
from agentevo.types import Message, Tool

pytestmark = pytest.mark.usefixtures("weights_home")
ASK: list[Message] = [{"role": "user", "content": "Name a person and an age."}]


class Person(BaseModel):
    name: str
    age: int


def local(name: str = "local/smollm2-135m", timeout_s: float = 120.0) -> LiteLLMModel:
    return LiteLLMModel(name, timeout_s=timeout_s)


def test_it_answers_where_real_requests_are_forbidden_and_streams_the_same() -> None:
    pieces: list[str] = []
    with forbid_requests():
        whole = asyncio.run(local().complete(ASK, temperature=0.0, max_tokens=12))
        streamed = asyncio.run(local().complete(ASK, temperature=0.0, max_tokens=12, on_text=pieces.append))
    assert whole.text == streamed.text == "".join(pieces) != ""
    assert (whole.finish, whole.usage.completion_tokens, whole.usage.cost_usd) == ("length", 12, 0.0)
    assert streamed.usage.but(seconds=0.0) == whole.usage.but(seconds=0.0)


@pytest.mark.parametrize("streamed", [False, True])
def test_a_schema_and_a_required_tool_are_enforced(streamed: bool) -> None:
    on_text = (lambda _: None) if streamed else None
    reply = asyncio.run(local().complete(ASK, schema=Person, max_tokens=80, seed=1, on_text=on_text))
    assert reply.parsed(Person).name
    tool = Tool(name="note", parameters={"type": "object", "properties": {"age": {"type": "integer"}}})
    reply = asyncio.run(local().complete(ASK, tools=[tool], tool_choice="required", max_tokens=80, on_text=on_text))
    assert [call.name for call in reply.tool_calls] == ["note"]


def test_samples_and_logprobs() -> None:
    reply = asyncio.run(local().complete(ASK, n=3, seed=3, temperature=1.0, max_tokens=8, logprobs=2))
    assert len(set(reply.texts)) == 3
    assert reply.logprobs is not None
    assert all(len(token.top) >= 2 and token.logprob <= 0 for token in reply.logprobs)


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"max_tokens": -1}, "max_tokens must be 1 or more"),
        ({"max_tokens": 0}, "max_tokens must be 1 or more"),
        ({"stop": [""]}, "must not be empty"),
        ({"stop": ["x", ""]}, "must not be empty"),
    ],
)
def test_what_the_runtime_would_take_for_something_else_is_refused(options: Options, why: str) -> None:
    with pytest.raises(Misuse, match=why):
        asyncio.run(local().complete(ASK, **options))


@pytest.mark.parametrize("name", ["local/no-such-model", "local/smollm2-135m+no-such-adapter"])
def test_an_unknown_model_or_adapter_is_refused(name: str) -> None:
    with pytest.raises(UnknownName):
        asyncio.run(local(name).complete(ASK))


def test_a_prompt_that_is_too_long_is_refused_in_one_line() -> None:
    with pytest.raises(RequestRejected, match="shorten it") as caught:
        asyncio.run(local().complete([{"role": "user", "content": "word " * 9000}]))
    assert "\n" not in str(caught.value)
    assert traceback.format_exception(caught.value)


def test_loading_is_no_part_of_the_time_budget_and_the_budget_holds() -> None:
    with pytest.raises(ModelTimeout):
        asyncio.run(local(timeout_s=0.05).complete(ASK, max_tokens=2000))


def test_a_call_that_is_cancelled_before_it_begins_leaves_no_coroutine_behind() -> None:
    from agentevo.models.local_llm import LocalLLM

    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        dropped = LocalLLM().acompletion("smollm2-135m", [], None, {})
        assert asyncio.iscoroutine(dropped)
        del dropped
        gc.collect()
    assert [str(warning.message) for warning in warned if "never awaited" in str(warning.message)] == []


class Coded(BaseModel):
    code: str = Field(pattern=r"\d{3}-\pL+")


def test_a_pattern_that_the_runtime_does_not_know_is_no_talk_on_stderr(capfd: pytest.CaptureFixture[str]) -> None:
    with contextlib.suppress(SchemaMismatch):
        asyncio.run(local().complete(ASK, schema=Coded, max_tokens=20, seed=1))
    assert capfd.readouterr().err == ""
