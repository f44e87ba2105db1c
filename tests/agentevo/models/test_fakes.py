from __future__ import annotations

import asyncio
import itertools
from typing import Any

import pytest
from pydantic import BaseModel

from agentevo.errors import Misuse, ModelError, ModelTimeout, SchemaMismatch
from agentevo.models import FunctionModel, ScriptedModel, spending
from agentevo.types import Message, Reply, Tool, ToolCall, Usage

ASK: list[Message] = [{"role": "user", "content": "hello there"}]
SEARCH = ToolCall(id="1", name="search", arguments={"q": "tea leaves"})


class Person(BaseModel):
    name: str


def reply_of(scripted: Any, **options: Any) -> Reply:
    return asyncio.run(ScriptedModel([scripted]).complete(ASK, **options))


def test_replies_come_in_order_and_requests_are_kept() -> None:
    model = ScriptedModel(["one", "two"], name="pupil")
    texts = [asyncio.run(model.complete(ASK, seed=seed)).text for seed in (1, 2)]
    assert texts == ["one", "two"]
    assert [(list(request.messages), request.seed) for request in model.requests] == [(ASK, 1), (ASK, 2)]
    assert model.name == "pupil"


def test_every_kind_of_reply() -> None:
    whole = Reply(texts=("x",), finish="length", model="other", usage=Usage(calls=1, prompt_tokens=9))
    assert reply_of("hi") == Reply(
        texts=("hi",), model="scripted", usage=Usage(calls=1, prompt_tokens=2, completion_tokens=1)
    )
    assert reply_of(whole) == whole
    assert reply_of(Reply(texts=("x",))).model == "scripted"
    assert reply_of(SEARCH).tool_calls == (SEARCH,)
    assert reply_of([SEARCH, SEARCH]).tool_calls == (SEARCH, SEARCH)
    assert reply_of([SEARCH]).finish == "tool_calls"
    assert reply_of(Person(name="Ada"), schema=Person).parsed(Person) == Person(name="Ada")
    assert reply_of(["a", "b"], n=2).texts == ("a", "b")
    with pytest.raises(ModelTimeout):
        reply_of(ModelTimeout("too slow"))


@pytest.mark.parametrize("nonsense", [None, 3, [], ["a", SEARCH], {"text": "a"}, Reply(texts=())])
def test_what_is_no_reply_is_refused(nonsense: Any) -> None:
    with pytest.raises(Misuse, match="cannot reply with"):
        reply_of(nonsense)


def test_a_text_instead_of_a_list_of_texts_is_refused() -> None:
    with pytest.raises(Misuse, match="list of replies"):
        ScriptedModel("hello")


def test_a_script_that_is_used_up_says_after_how_many_calls() -> None:
    model = ScriptedModel(["one"])
    asyncio.run(model.complete(ASK))
    with pytest.raises(ModelError, match="'scripted' is used up: this is call 2"):
        asyncio.run(model.complete(ASK))


def test_a_script_may_be_endless() -> None:
    model = ScriptedModel(itertools.cycle(["yes", "no"]))
    assert [asyncio.run(model.complete(ASK)).text for _ in range(3)] == ["yes", "no", "yes"]


def test_single_replies_are_gathered_into_samples() -> None:
    model = ScriptedModel(["a", ["b", "c", "d"], "e"])
    assert asyncio.run(model.complete(ASK, n=3)).texts == ("a", "b", "c")
    assert asyncio.run(model.complete(ASK)).text == "e"


def test_concurrent_calls_get_each_reply_once() -> None:
    model = ScriptedModel([str(i) for i in range(100)])

    async def crowd() -> list[Reply]:
        return await asyncio.gather(*(model.complete(ASK) for _ in range(100)))

    assert sorted(int(reply.text) for reply in asyncio.run(crowd())) == list(range(100))


def test_stop_strings_cut_every_sample() -> None:
    assert reply_of(["one\ntwo", "three END four"], n=2, stop=["END", "\n"]).texts == ("one", "three ")


def test_a_reply_that_does_not_fit_the_schema_is_an_error_with_the_reply() -> None:
    with pytest.raises(SchemaMismatch) as caught:
        reply_of('{"nam": "Ada"}', schema=Person)
    assert caught.value.reply is not None
    assert caught.value.reply.text == '{"nam": "Ada"}'


def test_pieces_make_up_the_text() -> None:
    pieces: list[str] = []
    reply = reply_of(" so  be it\n", on_text=pieces.append)
    assert len(pieces) > 2
    assert "".join(pieces) == reply.text


def test_usage_is_estimated_in_words_and_charged() -> None:
    with spending() as meter:
        reply = reply_of(["a b c", "d"], n=2)
        called = reply_of(SEARCH)
    assert reply.usage == Usage(calls=1, prompt_tokens=2, completion_tokens=4)
    assert called.usage.completion_tokens == 4
    assert meter.usage == reply.usage + called.usage


def test_a_function_gets_the_options_it_names() -> None:
    seen: list[Any] = []

    def function(messages: list[Message], seed: int | None, *, tools: Any, extra: str = "mine") -> str:
        seen.append((messages, seed, tools, extra))
        return "ok"

    tool = Tool(name="search")
    asyncio.run(FunctionModel(function).complete(ASK, seed=7, tools=[tool], temperature=0.5))
    assert seen == [(ASK, 7, [tool], "mine")]


def test_a_function_with_open_keywords_gets_all_options() -> None:
    seen: list[str] = []

    def function(messages: list[Message], **options: Any) -> str:
        seen.extend(sorted(options))
        return "ok"

    asyncio.run(FunctionModel(function, name="open").complete(ASK))
    assert seen == sorted(
        ["tools", "tool_choice", "schema", "n", "temperature", "max_tokens", "stop", "seed", "logprobs", "on_text"]
    )


def test_an_async_function_is_awaited_and_asked_again_for_missing_samples() -> None:
    numbers = itertools.count()

    async def function(messages: list[Message]) -> str:
        await asyncio.sleep(0)
        return f"{next(numbers)}: {messages[-1]['content']}"

    reply = asyncio.run(FunctionModel(function).complete(ASK, n=2))
    assert reply.texts == ("0: hello there", "1: hello there")


def test_an_error_in_the_function_comes_through() -> None:
    def function(messages: list[Message]) -> str:
        raise KeyError("oops")

    with pytest.raises(KeyError, match="oops"):
        asyncio.run(FunctionModel(function).complete(ASK))


def test_a_function_cannot_change_the_callers_messages() -> None:
    def function(messages: list[Message]) -> str:
        messages[0]["content"] = "changed"
        messages.clear()
        return "ok"

    before = [dict(message) for message in ASK]
    asyncio.run(FunctionModel(function).complete(ASK))
    assert before == ASK


def test_a_function_that_wants_what_nobody_gives_is_refused_at_once() -> None:
    with pytest.raises(Misuse, match="colour"):
        FunctionModel(lambda messages, colour: "x")
    with pytest.raises(Misuse, match="no parameter"):
        FunctionModel(lambda: "x")
