"""`local/NAME` through litellm's own functions, with the real runtime and the real weights."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from gguf_files import write_adapter

from agentevo.errors import Misuse, RequestRejected, UnknownName
from agentevo.models.litellm_model import LiteLLMModel
from agentevo.models.provider import register
from agentevo.models.runtime import load_litellm
from agentevo.types import Message, Tool

MODEL = "local/smollm2-135m"
HI: list[Message] = [{"role": "user", "content": "hi"}]
REFUND = Tool(
    name="refund",
    description="Refund an order",
    parameters={"type": "object", "properties": {"order": {"type": "integer"}}, "required": ["order"]},
)


@pytest.fixture
def litellm(weights_home: Path) -> Iterator[Any]:
    """litellm with the provider in it; what was registered before is put back."""
    loaded = load_litellm()
    before = list(loaded.custom_provider_map)
    register()
    yield loaded
    loaded.custom_provider_map = before


def options(**more: object) -> dict[str, Any]:
    return {"model": MODEL, "messages": HI, "max_tokens": 4, "temperature": 0, **more}


def streamed(chunks: list[Any]) -> str:
    return "".join(chunk.choices[0].delta.content or "" for chunk in chunks)


def test_all_four_ways_to_ask_give_the_same_reply(litellm: Any) -> None:
    async def awaited() -> tuple[str, str]:
        whole = await litellm.acompletion(**options())
        chunks = [chunk async for chunk in await litellm.acompletion(**options(stream=True))]
        return whole.choices[0].message.content, streamed(chunks)

    whole = litellm.completion(**options()).choices[0].message.content
    assert whole == "Hello there! How"
    assert streamed(list(litellm.completion(**options(stream=True)))) == whole
    assert asyncio.run(awaited()) == (whole, whole)


def test_a_reply_says_why_it_ended_and_what_it_used(litellm: Any) -> None:
    reply = litellm.completion(**options())
    assert reply.choices[0].finish_reason == "length"
    assert (reply.usage.prompt_tokens, reply.usage.completion_tokens, reply.usage.total_tokens) == (31, 4, 35)


def test_a_stream_ends_with_its_finish_and_its_usage(litellm: Any) -> None:
    chunks = list(litellm.completion(**options(stream=True, stream_options={"include_usage": True})))
    assert [chunk.choices[0].finish_reason for chunk in chunks if chunk.choices[0].finish_reason] == ["length"]
    assert (chunks[-1].usage.prompt_tokens, chunks[-1].usage.completion_tokens) == (31, 4)


@pytest.mark.parametrize(("asked", "given"), [(None, 0), (3, 3)])
def test_log_probabilities_come_with_as_many_alternatives_as_asked_for(
    litellm: Any, asked: int | None, given: int
) -> None:
    whole = litellm.completion(**options(logprobs=True, top_logprobs=asked)).choices[0].logprobs.content
    chunks = list(litellm.completion(**options(logprobs=True, top_logprobs=asked, stream=True)))
    pieces = [token for c in chunks if c.choices[0].logprobs for token in c.choices[0].logprobs.content]
    assert [token.token for token in whole] == ["Hello", " there", "!", " How"] == [token.token for token in pieces]
    assert all(len(token.top_logprobs) == given for token in [*whole, *pieces])
    assert all(token.logprob < 0 for token in whole)


def test_samples_of_one_seed_differ_and_repeat(litellm: Any) -> None:
    ask = options(n=3, seed=5, temperature=1.0, max_tokens=12)

    async def twice() -> list[list[str]]:
        replies = [await litellm.acompletion(**ask) for _ in range(2)]
        return [[choice.message.content for choice in reply.choices] for reply in replies]

    first, again = asyncio.run(twice())
    assert first == again
    assert len(set(first)) == 3
    assert [choice.message.content for choice in litellm.completion(**ask).choices] == first


def test_an_adapter_is_named_after_a_plus(litellm: Any, own_model: Callable[[str], Path]) -> None:
    write_adapter(own_model("based") / "adapters" / "one.gguf", seed=1)
    with_adapter = litellm.completion(**options(model="local/based+one")).choices[0].message.content
    assert with_adapter != litellm.completion(**options(model="local/based")).choices[0].message.content


# --- tools


def test_a_required_call_is_one_whatever_the_model_would_say(litellm: Any) -> None:
    ask = options(tools=[REFUND.as_openai()], tool_choice="required", max_tokens=200, _skip_mcp_handler=True)
    reply = litellm.completion(**ask).choices[0]
    (call,) = reply.message.tool_calls
    assert (call.function.name, reply.finish_reason, reply.message.content) == ("refund", "tool_calls", None)


def test_a_streamed_call_is_read_like_a_whole_one(litellm: Any) -> None:
    model, pieces = LiteLLMModel(MODEL), list[str]()
    asked: list[Message] = [{"role": "user", "content": "Refund order 7"}]
    how: dict[str, Any] = {"tools": [REFUND], "tool_choice": "required", "temperature": 0, "max_tokens": 200}

    async def both() -> list[Any]:
        return [await model.complete(asked, **how), await model.complete(asked, **how, on_text=pieces.append)]

    whole, in_pieces = asyncio.run(both())
    assert whole.tool_calls[0].arguments == in_pieces.tool_calls[0].arguments
    assert [reply.finish for reply in (whole, in_pieces)] == ["tool_calls"] * 2
    assert pieces == []


def test_tools_that_are_not_called_leave_a_text(litellm: Any) -> None:
    ask = options(tools=[REFUND.as_openai()], tool_choice="auto", _skip_mcp_handler=True)
    whole = litellm.completion(**ask).choices[0].message
    assert whole.content
    assert not whole.tool_calls
    assert streamed(list(litellm.completion(**ask, stream=True))) == whole.content


def test_a_call_that_is_cut_off_is_text_that_says_so(litellm: Any) -> None:
    ask = options(tools=[REFUND.as_openai()], tool_choice="required", max_tokens=3, _skip_mcp_handler=True)
    reply = litellm.completion(**ask).choices[0]
    assert (reply.message.tool_calls, reply.finish_reason) == (None, "length")


# --- errors


async def ask_async(litellm: Any, **ask: Any) -> None:
    reply = await litellm.acompletion(**ask)
    if ask.get("stream"):
        async for _ in reply:
            pass


def ask_now(litellm: Any, **ask: Any) -> None:
    reply = litellm.completion(**ask)
    if ask.get("stream"):
        list(reply)


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("asked", "theirs", "ours"),
    [
        ({"model": "local/smolm"}, "NotFoundError", UnknownName),
        ({"model": MODEL + "+none"}, "NotFoundError", UnknownName),
        ({"messages": [{"role": "user", "content": "x " * 5000}]}, "ContextWindowExceededError", RequestRejected),
        ({"temperature": "hot"}, "BadRequestError", RequestRejected),
        ({"colour": "red"}, "BadRequestError", Misuse),
        ({"n": 0}, "BadRequestError", Misuse),
    ],
)
def test_errors_are_litellms_with_ours_as_the_cause(
    litellm: Any, asked: dict[str, Any], theirs: str, ours: type[Exception], stream: bool
) -> None:
    ask = options(**asked, stream=stream)
    with pytest.raises(getattr(litellm, theirs)) as caught:
        ask_now(litellm, **ask)
    assert isinstance(caught.value.__cause__, ours)
    with pytest.raises(getattr(litellm, theirs)) as caught:
        asyncio.run(ask_async(litellm, **ask))
    assert isinstance(caught.value.__cause__, ours)


def test_several_samples_are_not_streamed(litellm: Any) -> None:
    with pytest.raises(litellm.BadRequestError, match="where the reply is streamed"):
        ask_now(litellm, **options(n=2, stream=True))


def test_a_failing_sample_ends_the_others_with_one_error(litellm: Any) -> None:
    with pytest.raises(litellm.NotFoundError):
        asyncio.run(ask_async(litellm, **options(model="local/smolm", n=3)))


def test_damaged_weights_are_a_server_error_to_litellm(litellm: Any, own_model: Callable[[str], Path]) -> None:
    file = own_model("damaged") / "model.gguf"
    file.unlink()
    file.write_bytes(b"GGUF")
    with pytest.raises(litellm.APIError, match="is not what was installed"):
        ask_now(litellm, **options(model="local/damaged"))


def test_our_own_model_raises_our_own_errors(litellm: Any) -> None:
    with pytest.raises(UnknownName, match="known: smollm2-135m"):
        asyncio.run(LiteLLMModel("local/smolm").complete(HI))
    with pytest.raises(RequestRejected, match="takes in 4096"):
        asyncio.run(LiteLLMModel(MODEL).complete([{"role": "user", "content": "x " * 5000}]))


def test_a_cancelled_task_frees_its_place(litellm: Any) -> None:
    async def main() -> str:
        for _ in range(5):
            stream = await litellm.acompletion(**options(max_tokens=3000, stream=True, messages=[
                {"role": "user", "content": "Count to a million."}]))  # fmt: skip
            await anext(aiter(stream))
            await stream.aclose()
        async with asyncio.timeout(60):
            reply = await litellm.acompletion(**options())
        return str(reply.choices[0].message.content)

    assert asyncio.run(main()) == "Hello there! How"


# --- registering


def test_registering_again_and_from_many_threads_changes_nothing(litellm: Any) -> None:
    before = list(litellm.custom_provider_map)
    threads = [threading.Thread(target=register) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert litellm.custom_provider_map == before
    assert [entry["provider"] for entry in before].count("local") == 1


def test_other_providers_stay_as_they_are(litellm: Any) -> None:
    theirs = {"provider": "theirs", "custom_handler": litellm.CustomLLM()}
    litellm.custom_provider_map = [theirs]
    register()
    assert litellm.custom_provider_map[0] is theirs
    assert litellm.completion(**options()).choices[0].message.content


def test_another_provider_of_that_name_is_not_replaced(litellm: Any) -> None:
    litellm.custom_provider_map = [{"provider": "local", "custom_handler": litellm.CustomLLM()}]
    with pytest.raises(Misuse, match="another provider called 'local'"):
        register()
