"""LiteLLMModel against a real HTTP server that behaves."""

from __future__ import annotations

import asyncio
import gc
import json
import threading
import weakref
from collections.abc import Iterator
from types import SimpleNamespace

import pytest
from openai_server import Exchange, OpenAIServer, calls_tool, chunk, completion, hangs, says, streams

from agentevo.errors import BadReply, MissingKey, Misuse, UnknownName
from agentevo.models import LiteLLMModel, Retry, allow_requests, spending
from agentevo.models.replies import read_usage
from agentevo.models.runtime import load_litellm
from agentevo.types import Message, Reply, TokenLogprob, Tool, ToolCall, Usage

ASK: list[Message] = [{"role": "user", "content": "hello there"}]
SEARCH = Tool(name="search", description="Search the web", parameters={"type": "object", "properties": {"q": {}}})


@pytest.fixture
def server() -> Iterator[OpenAIServer]:
    with allow_requests(), OpenAIServer() as running:
        yield running


def model(server: OpenAIServer, name: str = "openai/test", **options: object) -> LiteLLMModel:
    return LiteLLMModel(name, api_base=server.url, api_key="k-secret", timeout_s=20, **options)  # type: ignore[arg-type]


def test_reply_carries_text_finish_usage_and_model(server: OpenAIServer) -> None:
    server.then(says("good day", finish="length"))
    reply = asyncio.run(model(server).complete(ASK))
    assert (reply.text, reply.finish, reply.model) == ("good day", "length", "openai/test")
    assert reply.usage.but(seconds=0.0) == Usage(calls=1, prompt_tokens=2, completion_tokens=2)


def test_options_reach_the_provider_and_unset_ones_do_not(server: OpenAIServer) -> None:
    asked = model(server, extra={"top_p": 0.5}).complete(
        ASK, temperature=0.0, max_tokens=7, stop=["\n", "END"], seed=3, logprobs=2
    )
    asyncio.run(asked)
    asyncio.run(model(server).complete(ASK))
    options = {"temperature": 0.0, "max_tokens": 7, "stop": ["\n", "END"], "seed": 3, "top_p": 0.5}
    assert server.bodies[0] == {
        "model": "test", "messages": ASK, **options, "logprobs": True, "top_logprobs": 2,
    }  # fmt: skip
    assert server.bodies[1] == {"model": "test", "messages": ASK}


def test_a_single_stop_string_is_one_mark_not_its_letters(server: OpenAIServer) -> None:
    asyncio.run(model(server).complete(ASK, stop="END"))
    assert server.bodies[0]["stop"] == ["END"]


def test_tool_calls_are_parsed_and_tools_reach_the_provider(server: OpenAIServer) -> None:
    server.then(calls_tool("search", '{"q": "tea", "k": 3}'))
    reply = asyncio.run(model(server).complete(ASK, tools=[SEARCH], tool_choice="required"))
    assert reply.tool_calls == (ToolCall(id="call_1", name="search", arguments={"q": "tea", "k": 3}),)
    assert reply.finish == "tool_calls"
    assert server.bodies[0]["tools"] == [SEARCH.as_openai()]
    assert server.bodies[0]["tool_choice"] == "required"


def test_a_tool_call_without_arguments_has_none(server: OpenAIServer) -> None:
    server.then(calls_tool("search", ""))
    reply = asyncio.run(model(server).complete(ASK, tools=[SEARCH]))
    assert reply.tool_calls == (ToolCall(id="call_1", name="search"),)


def test_samples_come_in_one_request_where_the_provider_gives_them(server: OpenAIServer) -> None:
    server.then(says("a", "b", "c"))
    reply = asyncio.run(model(server).complete(ASK, n=3))
    assert (reply.texts, reply.usage.calls, len(server.bodies)) == (("a", "b", "c"), 1, 1)


def test_missing_samples_are_asked_for_with_another_seed(server: OpenAIServer) -> None:
    server.then(says("a", "b"), says("c"))
    server.then(says("never asked"))
    reply = asyncio.run(model(server).complete(ASK, n=3, seed=5))
    assert (reply.texts, reply.usage.calls) == (("a", "b", "c"), 2)
    assert [(body.get("n"), body["seed"]) for body in server.bodies] == [(3, 5), (None, 7)]


def test_surplus_samples_are_dropped(server: OpenAIServer) -> None:
    server.then(says("a", "b", "c"))
    assert asyncio.run(model(server).complete(ASK, n=2)).texts == ("a", "b")


def test_logprobs_belong_to_the_first_sample(server: OpenAIServer) -> None:
    server.then(says("so be it", "no"))
    reply = asyncio.run(model(server).complete(ASK, n=2, logprobs=1))
    first = TokenLogprob(token="so ", logprob=-0.5, top={"so ": -0.5, "other": -2.0})
    assert reply.logprobs is not None
    assert (len(reply.logprobs), reply.logprobs[0]) == (3, first)


def test_cost_comes_from_the_price_list_whole_or_streamed(server: OpenAIServer) -> None:
    priced = model(server, "openai/gpt-4o")
    whole = asyncio.run(priced.complete(ASK))
    streamed = asyncio.run(priced.complete(ASK, on_text=lambda _: None))
    assert whole.usage.cost_usd == pytest.approx(2 * 2.5e-6 + 1 * 1e-5)
    assert streamed.usage.cost_usd == pytest.approx(whole.usage.cost_usd)


def test_a_model_without_a_price_costs_nothing(server: OpenAIServer) -> None:
    unpriced = model(server)
    replies = [asyncio.run(unpriced.complete(ASK, on_text=lambda _: None)) for _ in range(2)]
    assert [reply.usage.cost_usd for reply in replies] == [0.0, 0.0]


def test_streaming_hands_over_pieces_and_ends_in_the_same_reply(server: OpenAIServer) -> None:
    server.then(says("one two three"), says("one two three"))
    pieces: list[str] = []
    whole = asyncio.run(model(server).complete(ASK, logprobs=1))
    streamed = asyncio.run(model(server).complete(ASK, logprobs=1, on_text=pieces.append))
    assert pieces == ["one ", "two ", "three"]
    assert streamed.but(usage=Usage()) == whole.but(usage=Usage())
    assert streamed.usage.but(seconds=0.0) == whole.usage.but(seconds=0.0)


def test_streamed_tool_calls_are_put_together(server: OpenAIServer) -> None:
    server.then(calls_tool("search", '{"q": "green tea"}', text="Looking it up"))
    pieces: list[str] = []
    reply = asyncio.run(model(server).complete(ASK, tools=[SEARCH], on_text=pieces.append))
    assert reply.tool_calls == (ToolCall(id="call_1", name="search", arguments={"q": "green tea"}),)
    assert "".join(pieces) == reply.text == "Looking it up"


def test_only_the_first_sample_is_streamed(server: OpenAIServer) -> None:
    server.then(says("first one"), says("second", "third"))
    pieces: list[str] = []
    reply = asyncio.run(model(server).complete(ASK, n=3, on_text=pieces.append))
    assert (reply.texts, "".join(pieces)) == (("first one", "second", "third"), "first one")


def test_an_error_of_the_callers_own_callback_comes_through_as_it_is(server: OpenAIServer) -> None:
    def stop_here(piece: str) -> None:
        raise KeyError(piece)

    with pytest.raises(KeyError, match="hello"):
        asyncio.run(model(server).complete(ASK, on_text=stop_here))
    assert len(server.bodies) == 1


@pytest.mark.parametrize("own", [TimeoutError("mine"), BadReply("mine")])
def test_whatever_kind_of_error_the_callback_raises_it_stays_the_callers(server: OpenAIServer, own: Exception) -> None:
    def too_slow(piece: str) -> None:
        raise own

    with pytest.raises(type(own), match=r"^mine$") as caught:
        asyncio.run(model(server).complete(ASK, on_text=too_slow))
    assert caught.value is own
    assert len(server.bodies) == 1


def test_instances_of_a_name_share_their_places(server: OpenAIServer) -> None:
    server.latency_s = 0.05

    async def crowd() -> None:
        models = [model(server, concurrency=3) for _ in range(4)]
        await asyncio.gather(*(models[i % 4].complete(ASK) for i in range(12)))

    asyncio.run(crowd())
    assert (server.busiest, len(server.bodies)) == (3, 12)


def test_waiting_for_a_place_does_not_use_up_the_time_of_the_call(server: OpenAIServer) -> None:
    server.latency_s = 0.2

    async def queue() -> int:
        narrow = LiteLLMModel("openai/test", api_base=server.url, api_key="k", timeout_s=0.7, concurrency=1)
        await narrow.complete(ASK)
        return len(await asyncio.gather(*(narrow.complete(ASK) for _ in range(5))))

    assert asyncio.run(queue()) == 5


def test_a_cancelled_call_gives_its_place_back(server: OpenAIServer) -> None:
    server.then(hangs)

    async def cancel_then_ask(streamed: bool) -> str:
        narrow = model(server, concurrency=1)
        seen = asyncio.Event()
        callback = (lambda _: seen.set()) if streamed else None
        task = asyncio.create_task(narrow.complete(ASK, on_text=callback))
        await (seen.wait() if streamed else asyncio.to_thread(server.wait_for_requests, 1))
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        return (await narrow.complete(ASK)).text

    assert asyncio.run(cancel_then_ask(streamed=False)) == "hello"
    server.then(streams("a", then=hangs))
    assert asyncio.run(cancel_then_ask(streamed=True)) == "hello"


def test_one_model_serves_several_event_loops_at_once(server: OpenAIServer) -> None:
    shared, texts = model(server, concurrency=2), []

    async def ask_some() -> list[str]:
        return [reply.text for reply in await asyncio.gather(*(shared.complete(ASK) for _ in range(4)))]

    threads = [threading.Thread(target=lambda: texts.extend(asyncio.run(ask_some()))) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert texts == ["hello"] * 12


def test_missing_key_is_named_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    with allow_requests(), pytest.raises(MissingKey, match="OPENAI_API_KEY"):
        asyncio.run(LiteLLMModel("openai/test", retry=Retry(sleep=never)).complete(ASK))


async def never(seconds: float) -> None:
    raise AssertionError(f"waited {seconds} s for what waiting cannot bring")


def test_unknown_provider_lists_the_nearest_first() -> None:
    with allow_requests(), pytest.raises(UnknownName, match="unknown model provider 'opena'; known: openai, "):
        asyncio.run(LiteLLMModel("opena/gpt-4o").complete(ASK))


@pytest.mark.parametrize(
    "options", [{"name": " "}, {"name": "openai/x", "timeout_s": 0}, {"name": "openai/x", "concurrency": 0}]
)
def test_nonsense_is_refused_at_construction(options: dict[str, object]) -> None:
    with pytest.raises(Misuse):
        LiteLLMModel(**options)  # type: ignore[arg-type]


@pytest.mark.parametrize(("messages", "n"), [([], 1), ("hello", 1), (ASK, 0)])
def test_a_malformed_request_is_refused_before_it_is_sent(messages: list[Message], n: int) -> None:
    with pytest.raises(Misuse):
        asyncio.run(LiteLLMModel("openai/x").complete(messages, n=n))


def test_a_misspelt_option_is_an_error() -> None:
    with pytest.raises(TypeError, match="temprature"):
        asyncio.run(LiteLLMModel("openai/x").complete(ASK, temprature=1.0))  # type: ignore[call-arg]


def test_nothing_is_printed_or_logged(server: OpenAIServer, capfd: pytest.CaptureFixture[str]) -> None:
    server.then(calls_tool("search", "{"))
    for asked in (model(server), LiteLLMModel("opena/gpt-4o")):
        with pytest.raises(Exception):  # noqa: B017 - whatever it raises, it must not print
            asyncio.run(asked.complete(ASK))
    assert capfd.readouterr() == ("", "")


def test_calls_are_charged_to_the_open_meter(server: OpenAIServer) -> None:
    with spending("act") as meter:
        reply = asyncio.run(model(server).complete(ASK))
    assert meter.usage == meter.by_label["act"] == reply.usage


@pytest.mark.parametrize("streamed", [False, True])
def test_negative_usage_is_no_credit(server: OpenAIServer, streamed: bool) -> None:
    negative = {"prompt_tokens": -900, "completion_tokens": -7, "total_tokens": -907}

    async def owes(exchange: Exchange) -> None:
        if not streamed:
            await exchange.send_json(completion(exchange.body, ["hello"], "stop", {}) | {"usage": negative})
            return
        await exchange.start_stream()
        await exchange.send_event(json.dumps(chunk({"content": "hello"})))
        await exchange.send_event(json.dumps(chunk({}, finish="stop")))
        await exchange.send_event(json.dumps(chunk({}) | {"choices": [], "usage": negative}))
        await exchange.end_stream()

    server.then(owes)
    with spending() as meter:
        asked = model(server, "openai/gpt-4o").complete(ASK, on_text=(lambda _: None) if streamed else None)
        reply = asyncio.run(asked)
    assert (reply.text, meter.usage.but(seconds=0.0)) == ("hello", Usage(calls=1))


@pytest.mark.parametrize(
    ("said", "counted"),
    [(3, 3), (2.5, 2), ("7", 7), ("x", 0), (-1, 0), (None, 0), ([1], 0), (float("inf"), 0), (float("nan"), 0)],
)
def test_usage_of_any_kind_is_read_as_counts(said: object, counted: int) -> None:
    usage = read_usage(SimpleNamespace(prompt_tokens=said, completion_tokens=said), 0.0)
    assert (usage.prompt_tokens, usage.completion_tokens) == (counted, counted)


def nested(depth: int) -> object:
    value: object = "deep"
    for _ in range(depth):
        value = [value]
    return value


@pytest.mark.parametrize(
    "wrong",
    [
        {"messages": [{"role": "user", "content": "half a pair: \ud800"}]},
        {"messages": [{"role": "user", "content": [{"type": "text", "text": "\udfff"}]}]},
        {"messages": [{"role": "user", "content": b"bytes"}]},
        {"messages": [{"role": "user", "content": {"a", "set"}}]},
        {"messages": [{"role": "user", "content": [float("inf")]}]},
        {"messages": [{"role": "user", "content": [{1: "key"}]}]},
        {"messages": [{"role": "user", "content": nested(100_000)}]},
        {"temperature": float("nan")},
        {"temperature": "\ud800"},
        {"stop": ["\ud800"]},
        {"n": 1.5},
        {"n": "2"},
        {"n": True},
        {"on_text": "print"},
    ],
    ids=lambda wrong: next(iter(wrong)),
)
def test_what_cannot_be_sent_is_the_callers_mistake_and_never_tried(
    server: OpenAIServer, wrong: dict[str, object]
) -> None:
    with pytest.raises(Misuse):
        asyncio.run(model(server).complete(**{"messages": ASK, **wrong}))  # type: ignore[arg-type]
    assert server.bodies == []


def test_texts_of_all_languages_and_nested_content_are_sent(server: OpenAIServer) -> None:
    parts: list[Message] = [{"role": "user", "content": [{"type": "text", "text": "na\u00efve \U0001f600", "x": None}]}]
    asyncio.run(model(server).complete(parts, temperature=1, n=1))
    assert server.bodies[0]["messages"] == parts


@pytest.mark.parametrize("streamed", [False, True])
def test_halves_of_surrogate_pairs_in_a_reply_are_replaced_so_that_it_can_be_kept(
    server: OpenAIServer, streamed: bool
) -> None:
    pieces: list[str] = []
    server.then(calls_tool("search", '{"q\\udc00": ["\\ud800 tea \\ud83d\\ude00"]}', text="caf\u00e9 \ud800 is"))
    asked = model(server).complete(ASK, tools=[SEARCH], logprobs=1, on_text=pieces.append if streamed else None)
    reply = asyncio.run(asked)
    assert reply.text == "caf\u00e9 \ufffd is"
    assert "".join(pieces) == (reply.text if streamed else "")
    assert reply.tool_calls[0].arguments == {"q\ufffd": ["\ufffd tea \U0001f600"]}
    assert Reply.model_validate_json(reply.model_dump_json()) == reply


def test_the_collector_of_cycles_passes_over_litellm_and_nothing_that_comes_after() -> None:
    """A full collection that went through litellm's records would stop an event loop for a third of a second."""
    load_litellm()
    assert gc.get_freeze_count() > 100_000
    ring: list[object] = []
    ring.append(Ring(ring))
    seen = weakref.ref(ring[0])
    del ring
    gc.collect()
    assert seen() is None


class Ring:
    def __init__(self, around: list[object]) -> None:
        self.around = around
