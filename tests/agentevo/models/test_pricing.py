"""What calls cost where litellm's price list has the model, and where somebody else knows."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest
from openai_server import Behaviour, Exchange, OpenAIServer, completion

from agentevo.models import LiteLLMModel
from agentevo.models.pricing import without_search
from agentevo.models.runtime import load_litellm
from agentevo.types import Json

ASKED: list[dict[str, object]] = [{"role": "user", "content": "hello"}]
USED = {"prompt_tokens": 1000, "completion_tokens": 100, "total_tokens": 1100}


def answers(model: str, headers: Mapping[str, str] | None = None) -> Behaviour:
    async def behave(exchange: Exchange) -> None:
        body = completion(exchange.body, ["hi"], "stop", {})
        await exchange.send_json({**body, "model": model, "usage": USED}, 200, headers)

    return behave


def cost(behaviour: Behaviour, name: str = "openai/nobody-knows", extra: Mapping[str, Json] | None = None) -> float:
    with OpenAIServer(behaviour) as server:
        model = LiteLLMModel(name, api_base=server.url, api_key="k", extra=extra)
        return asyncio.run(model.complete(ASKED)).usage.cost_usd


def test_a_model_that_nobody_knows_costs_nothing() -> None:
    assert cost(answers("nobody-knows")) == 0.0


def test_a_known_model_costs_what_the_list_says() -> None:
    assert cost(answers("gpt-4o"), "openai/gpt-4o") == pytest.approx(1000 * 2.5e-6 + 100 * 1e-5)


def test_a_name_of_ones_own_for_a_known_model_costs_what_the_model_does_that_answered() -> None:
    assert cost(answers("gpt-4o")) == pytest.approx(1000 * 2.5e-6 + 100 * 1e-5)


def test_a_server_that_says_what_a_call_cost_is_believed() -> None:
    assert cost(answers("nobody-knows", {"x-litellm-response-cost": "0.125"})) == 0.125


def test_prices_of_ones_own_are_counted() -> None:
    own: dict[str, Json] = {"input_cost_per_token": 0.001, "output_cost_per_token": 0.01}
    assert cost(answers("priced-here"), "openai/priced-here", own) == pytest.approx(2.0)
    assert cost(answers("x"), "openai/x", {"base_model": "gpt-4o"}) == pytest.approx(1000 * 2.5e-6 + 100 * 1e-5)


@pytest.mark.parametrize("priced", [{"base_model": "gpt-4o"}, {"metadata": {}}, {"input_cost_per_token": 0.1}])
def test_a_call_that_may_say_what_it_costs_is_left_to_litellm(priced: dict[str, Any]) -> None:
    arguments = {"model": "openai/nobody-knows", "messages": ASKED, **priced}
    assert without_search(arguments) is arguments


def test_no_price_is_searched_for_where_the_list_has_none() -> None:
    searched: list[str] = []

    class Answered(load_litellm().ModelResponse):  # type: ignore[misc] # of a package that is loaded late
        def __getattribute__(self, name: str) -> Any:
            searched.extend([name] if name == "usage" else [])
            return super().__getattribute__(name)

    def priced(name: str) -> Any:
        searched.clear()
        call = without_search({"model": name, "messages": ASKED})["litellm_logging_obj"]
        return call.response_cost_calculator(result=Answered(model=name), litellm_model_name=name)

    assert (priced("nobody-knows"), searched) == (None, [])
    assert priced("gpt-4o") is not None
    assert searched, "the way to tell that it searches"
