"""LiteLLMModel against a real HTTP server that misbehaves: typed errors, the reply kept, and never past the budget."""

from __future__ import annotations

import asyncio
import time
import traceback
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from openai_server import (
    Behaviour,
    OpenAIServer,
    calls_tool,
    drips,
    drops,
    ends_early,
    hangs,
    says,
    sends,
    status,
    streams,
)

from agentevo.errors import (
    BadReply,
    BudgetExceeded,
    ModelError,
    ModelTimeout,
    ModelUnavailable,
    RequestRejected,
)
from agentevo.models import Budget, LiteLLMModel, Retry, allow_requests, spending
from agentevo.types import Json, Message, Tool, Usage

ASK: list[Message] = [{"role": "user", "content": "hello there"}]
PATIENCE_S = 5.0  # how much later than its budget a call may end on a busy machine


@pytest.fixture
def server() -> Iterator[OpenAIServer]:
    with allow_requests(), OpenAIServer() as running:
        yield running


def model(server: OpenAIServer, timeout_s: float = 20.0, **retry: object) -> LiteLLMModel:
    impatient = Retry(**{"attempts": 3, "first_wait_s": 0.001, **retry})  # type: ignore[arg-type]
    return LiteLLMModel("openai/test", api_base=server.url, api_key="k-secret", timeout_s=timeout_s, retry=impatient)


def failure(server: OpenAIServer, *behaviours: Behaviour, timeout_s: float = 20.0, **options: object) -> ModelError:
    server.then(*behaviours)
    with pytest.raises(ModelError) as caught:
        asyncio.run(model(server, timeout_s).complete(ASK, **options))  # type: ignore[arg-type]
    return caught.value


HTML = sends(b"<html><body>Bad gateway</body></html>", "text/html")
EMPTY = sends(b'{"choices": [], "usage": {"prompt_tokens": 4, "completion_tokens": 0, "total_tokens": 4}}')
CUT_JSON = sends(b'{"id": "x", "choi')
NO_COMPLETION = sends(b'{"hello": 1}')
RETRIED = [
    (status(408), ModelTimeout),
    (status(409), ModelUnavailable),
    (status(429), ModelUnavailable),
    (status(500), ModelUnavailable),
    (status(502), ModelUnavailable),
    (status(503), ModelUnavailable),
    (status(529), ModelUnavailable),
    (drops, ModelUnavailable),
    (HTML, BadReply),
    (EMPTY, BadReply),
    (CUT_JSON, BadReply),
    (NO_COMPLETION, BadReply),
]


@pytest.mark.parametrize(("behaviour", "kind"), RETRIED)
def test_what_may_pass_is_tried_again_and_then_raised(
    server: OpenAIServer, behaviour: Behaviour, kind: type[ModelError]
) -> None:
    error = failure(server, *[behaviour] * 3, says("too late"))
    assert type(error) is kind
    assert "gave up after 3 attempts" in str(error)
    assert "\n" not in str(error)
    assert len(server.bodies) == 3


@pytest.mark.parametrize("behaviour", [behaviour for behaviour, _ in RETRIED])
def test_what_passes_leads_to_the_reply(server: OpenAIServer, behaviour: Behaviour) -> None:
    server.then(behaviour, says("there you are"))
    with spending() as meter:
        reply = asyncio.run(model(server).complete(ASK))
    assert (reply.text, len(server.bodies)) == ("there you are", 2)
    assert meter.usage.calls == 1


@pytest.mark.parametrize("code", [400, 401, 403, 404, 413, 422])
def test_a_refused_request_is_not_repeated(server: OpenAIServer, code: int) -> None:
    error = failure(server, status(code, message="you may not"))
    assert type(error) is RequestRejected
    assert f"({code}): you may not" in str(error)
    assert len(server.bodies) == 1


def test_an_exhausted_quota_is_not_waited_for(server: OpenAIServer) -> None:
    error = failure(server, status(429, message="insufficient_quota: check your plan"))
    assert (type(error), len(server.bodies)) == (RequestRejected, 1)


def test_a_server_that_is_not_there_is_unavailable() -> None:
    gone = LiteLLMModel("openai/test", api_base="http://127.0.0.1:9/v1", api_key="k", retry=Retry(attempts=1))
    with allow_requests(), pytest.raises(ModelUnavailable, match="cannot be reached"):
        asyncio.run(gone.complete(ASK))


def test_the_key_never_shows(server: OpenAIServer) -> None:
    error = failure(server, status(401, message="Incorrect API key provided: k-secret"))
    assert "***" in str(error)
    assert "k-secret" not in "".join(traceback.format_exception(error))


@pytest.mark.parametrize("behaviour", [hangs, drips])
@pytest.mark.parametrize("streamed", [False, True])
def test_a_silent_or_dripping_server_is_cut_off(server: OpenAIServer, behaviour: Behaviour, streamed: bool) -> None:
    asyncio.run(model(server).complete(ASK))  # litellm's first call loads much
    begin = time.monotonic()
    error = failure(server, behaviour, timeout_s=0.3, on_text=(lambda _: None) if streamed else None)
    assert type(error) is ModelTimeout
    assert time.monotonic() - begin < 0.3 + PATIENCE_S


def test_a_single_attempt_may_time_out_and_be_repeated(server: OpenAIServer) -> None:
    server.then(hangs, says("second try"))
    reply = asyncio.run(model(server, attempt_s=1.0).complete(ASK))
    assert reply.text == "second try"


def test_retry_after_is_waited_for_as_the_server_asks(server: OpenAIServer) -> None:
    waits: list[float] = []

    async def sleep(seconds: float) -> None:
        waits.append(seconds)

    later = format_datetime(datetime.now(UTC) + timedelta(seconds=9), usegmt=True)
    server.then(status(429, {"Retry-After": "7"}), status(503, {"Retry-After": later}))
    asyncio.run(model(server, sleep=sleep).complete(ASK))
    assert waits[0] == 7
    assert 5 < waits[1] <= 9


def test_a_wait_longer_than_the_budget_is_not_begun(server: OpenAIServer) -> None:
    error = failure(server, status(429, {"Retry-After": "3600"}))
    assert type(error) is ModelUnavailable
    assert "the server asks to wait 3.6e+03 s" in str(error)
    assert len(server.bodies) == 1


def test_unreadable_tool_calls_keep_what_was_written(server: OpenAIServer) -> None:
    tools = [Tool(name="search")]
    cut = failure(server, calls_tool("search", '{"q": "gre', text="Let me see"), tools=tools)
    listed = failure(server, calls_tool("search", "[1]"), tools=tools)
    not_json = failure(server, calls_tool("search", '{"q": NaN}'), tools=tools)
    nameless = failure(server, calls_tool("", "{}"), tools=tools)
    for error in (cut, listed, not_json, nameless):
        assert type(error) is BadReply
    assert cut.reply is not None
    assert "Let me see" in cut.reply.text
    assert '{\\"q\\": \\"gre' in cut.reply.text
    assert len(server.bodies) == 4


def test_the_same_holds_for_streamed_tool_calls(server: OpenAIServer) -> None:
    error = failure(server, calls_tool("search", '{"q": "gre'), tools=[Tool(name="search")], on_text=lambda _: None)
    assert type(error) is BadReply
    assert error.reply is not None
    assert "gre" in error.reply.text


@pytest.mark.parametrize("ending", [ends_early, drops, hangs])
def test_a_stream_that_breaks_off_keeps_what_came_and_is_not_repeated(server: OpenAIServer, ending: Behaviour) -> None:
    asyncio.run(model(server).complete(ASK))
    pieces, allowed = list[str](), 1.0 if ending is hangs else 60.0
    error = failure(server, streams("once ", "upon", then=ending), timeout_s=allowed, on_text=pieces.append)
    assert type(error) is BadReply
    assert error.reply is not None
    assert (error.reply.text, error.reply.finish) == ("once upon", "other")
    assert pieces == ["once ", "upon"]
    assert len(server.bodies) == 2


@pytest.mark.parametrize("ending", [ends_early, drops, HTML, EMPTY, status(500)])
def test_a_stream_that_breaks_before_its_first_piece_is_repeated(server: OpenAIServer, ending: Behaviour) -> None:
    server.then(streams(then=ending) if ending in (ends_early, drops) else ending, says("whole at last"))
    pieces: list[str] = []
    reply = asyncio.run(model(server).complete(ASK, on_text=pieces.append))
    assert "".join(pieces) == reply.text == "whole at last"


def test_a_withheld_answer_is_no_reply_and_not_asked_for_again(server: OpenAIServer) -> None:
    error = failure(server, says("", finish="content_filter"))
    assert (type(error), len(server.bodies)) == (BadReply, 1)
    assert error.reply is not None
    assert error.reply.finish == "content_filter"


def test_a_huge_reply_arrives_whole(server: OpenAIServer) -> None:
    server.then(says("x" * 5_000_000))
    assert len(asyncio.run(model(server).complete(ASK)).text) == 5_000_000


def test_a_budget_of_seconds_cuts_the_call_off(server: OpenAIServer) -> None:
    asyncio.run(model(server).complete(ASK))
    server.then(hangs)
    begin = time.monotonic()
    with pytest.raises(BudgetExceeded, match=r"max_seconds=0\.3"), spending(budget=Budget(max_seconds=0.3)):
        asyncio.run(model(server).complete(ASK))
    assert time.monotonic() - begin < 0.3 + PATIENCE_S


def test_the_time_and_tokens_of_failed_calls_are_charged(server: OpenAIServer) -> None:
    server.then(EMPTY, EMPTY, EMPTY)
    with spending() as meter, pytest.raises(BadReply) as caught:
        asyncio.run(model(server).complete(ASK))
    assert caught.value.reply is not None
    assert caught.value.reply.usage == meter.usage
    assert (meter.usage.calls, meter.usage.prompt_tokens) == (1, 12)
    assert meter.usage.seconds > 0


def test_whatever_else_litellm_raises_is_a_model_error(server: OpenAIServer) -> None:
    extra: dict[str, Json] = {"extra_headers": "not a mapping"}
    odd = LiteLLMModel("openai/test", api_base=server.url, api_key="k", extra=extra, retry=Retry(attempts=1))
    with pytest.raises(ModelError, match="dictionary update sequence"):
        asyncio.run(odd.complete(ASK))


def test_a_budget_of_seconds_also_ends_the_wait_for_a_place(server: OpenAIServer) -> None:
    async def queue() -> str:
        narrow = LiteLLMModel("openai/test", api_base=server.url, api_key="k", concurrency=1)
        await narrow.complete(ASK)
        server.then(hangs)
        hog = asyncio.create_task(narrow.complete(ASK))
        await asyncio.to_thread(server.wait_for_requests, 2)
        with (
            pytest.raises(BudgetExceeded, match=r"max_seconds=0\.2"),
            spending(budget=Budget(max_seconds=0.2)) as meter,
        ):
            await asyncio.wait_for(narrow.complete(ASK), 20)
        assert meter.usage == Usage()
        hog.cancel()
        await asyncio.wait([hog])
        return (await narrow.complete(ASK)).text

    assert asyncio.run(queue()) == "hello"


def test_a_stream_that_the_budget_cuts_off_exceeds_the_budget_and_keeps_what_came(server: OpenAIServer) -> None:
    asyncio.run(model(server).complete(ASK))
    server.then(streams("once ", "upon", then=hangs))
    with (
        pytest.raises(BudgetExceeded, match=r"max_seconds=1\b") as caught,
        spending(budget=Budget(max_seconds=1.0)),
    ):
        asyncio.run(model(server).complete(ASK, on_text=lambda _: None))
    cut = caught.value.__cause__
    assert isinstance(cut, BadReply)
    assert cut.reply is not None
    assert cut.reply.text == "once upon"


def test_a_stream_that_breaks_off_by_itself_within_a_budget_is_a_bad_reply(server: OpenAIServer) -> None:
    server.then(streams("once ", "upon", then=drops))
    with pytest.raises(BadReply, match="broke off"), spending(budget=Budget(max_seconds=15)):
        asyncio.run(model(server).complete(ASK, on_text=lambda _: None))


def test_an_attempt_limit_that_cuts_a_stream_is_not_the_budget(server: OpenAIServer) -> None:
    asyncio.run(model(server).complete(ASK))
    server.then(streams("once", then=hangs))
    with pytest.raises(BadReply, match="broke off"), spending(budget=Budget(max_seconds=19)):
        asyncio.run(model(server, attempt_s=1.0).complete(ASK, on_text=lambda _: None))


def test_what_discarded_attempts_used_is_charged_and_stands_in_the_reply(server: OpenAIServer) -> None:
    server.then(EMPTY, status(500), EMPTY, says("there you are"))
    with spending() as meter:
        reply = asyncio.run(model(server, attempts=4).complete(ASK))
    assert reply.usage == meter.usage
    assert reply.usage.but(seconds=0.0) == Usage(calls=1, prompt_tokens=4 + 4 + 2, completion_tokens=3)


def test_a_refusal_after_a_discarded_attempt_is_charged_for_that_attempt(server: OpenAIServer) -> None:
    server.then(EMPTY, status(400))
    with spending() as meter, pytest.raises(RequestRejected):
        asyncio.run(model(server).complete(ASK))
    assert meter.usage.but(seconds=0.0) == Usage(calls=1, prompt_tokens=4)
