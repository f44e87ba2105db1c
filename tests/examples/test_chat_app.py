"""The chat example, over real sockets: two visitors at once, each with a memory of their own."""

from __future__ import annotations

import asyncio
import json
import runpy
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import NamedTuple

import aiohttp
import pytest
from aiohttp import web

from agentevo import FunctionModel
from agentevo.protocols import Model
from agentevo.types import ChatMessage, Message, Reply

EXAMPLE = Path(__file__).parents[2] / "examples" / "chat_app" / "app.py"


class Event(NamedTuple):
    kind: str
    data: dict[str, object]


class Visitor(NamedTuple):
    """A browser: it keeps its cookie."""

    session: aiohttp.ClientSession

    async def ask(self, text: str) -> list[Event]:
        async with self.session.post("/chat", json={"text": text}) as reply:
            assert reply.status == 200, await reply.text()
            blocks = (await reply.text()).split("\n\n")
        lines = [block.split("\n") for block in blocks if block]
        return [Event(kind[len("event: ") :], json.loads(data[len("data: ") :])) for kind, data in lines]

    async def judge(self, **sent: object) -> int:
        async with self.session.post("/feedback", json=sent) as reply:
            return reply.status


@asynccontextmanager
async def serving(model: Model, folder: Path) -> AsyncIterator[Callable[..., Awaitable[Visitor]]]:
    """Serve the app on a free port; yield what lets one more visitor open the page."""
    made: web.Application = runpy.run_path(str(EXAMPLE))["app"](model, str(folder), "hash")
    runner, sessions = web.AppRunner(made), list[aiohttp.ClientSession]()
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    host, port = runner.addresses[0][:2]

    async def visitor(cookies: dict[str, str] | None = None) -> Visitor:
        jar = aiohttp.CookieJar(unsafe=True)  # keeps cookies of a host that is only a number
        sessions.append(aiohttp.ClientSession(f"http://{host}:{port}", cookie_jar=jar, cookies=cookies))
        async with sessions[-1].get("/") as page:
            assert "A chat that learns" in await page.text()
        return Visitor(sessions[-1])

    try:
        yield visitor
    finally:
        for session in sessions:
            await session.close()
        await runner.cleanup()


def everything(messages: Sequence[Message]) -> str:
    return "\n".join(str(message["content"]) for message in messages)


def test_an_answer_streams_in_pieces_and_ends_with_its_name(tmp_path: Path) -> None:
    async def run() -> None:
        async with serving(FunctionModel(lambda messages: "one two three"), tmp_path) as visitor:
            *pieces, done = await (await visitor()).ask("Count!")
        assert [event.data["text"] for event in pieces] == ["one ", "two ", "three"]
        assert {event.kind for event in pieces} == {"piece"}
        assert (done.kind, done.data["text"], done.data["stopped"]) == ("done", "one two three", "")

    asyncio.run(run())


def test_two_visitors_at_once_are_taught_apart(tmp_path: Path) -> None:
    asked: list[str] = []
    both = asyncio.Barrier(2)

    async def answer(messages: list[Message]) -> str:
        asked.append(everything(messages))
        async with asyncio.timeout(30):
            await both.wait()  # nobody is answered before both are asking
        return "hm"

    async def run() -> None:
        async with serving(FunctionModel(answer), tmp_path) as visitor:
            ann, ben = await visitor(), await visitor()
            (*_, first), (*_, second) = await asyncio.gather(ann.ask("Which tea today?"), ben.ask("Which tea today?"))
            judged = await asyncio.gather(
                ann.judge(attempt=first.data["attempt"], score=0, correction="assam"),
                ben.judge(attempt=second.data["attempt"], score=0, correction="benifuuki"),
            )
            assert set(judged) == {200}
            assert await ben.judge(attempt=first.data["attempt"], score=1) == 404
            asked.clear()
            ended = await asyncio.gather(ann.ask("Which tea now?"), ben.ask("Which tea now?"))
        assert [events[-1].data["used"] for events in ended] == [1, 1]
        assert sorted(("assam" in text, "benifuuki" in text) for text in asked) == [(False, True), (True, False)]

    asyncio.run(run())


def test_what_was_taught_is_there_after_a_restart_and_the_conversation_before(tmp_path: Path) -> None:
    asked: list[str] = []

    def answer(messages: list[Message]) -> str:
        asked.append(everything(messages))
        return "green"

    async def run() -> None:
        async with serving(FunctionModel(answer), tmp_path) as visitor:
            ann = await visitor()
            first = (await ann.ask("Which tea today?"))[-1]
            await ann.ask("And now?")
            assert "Which tea today?\ngreen\nAnd now?" in asked[-1]
            assert await ann.judge(attempt=first.data["attempt"], score=1) == 200
            cookies = {cookie.key: cookie.value for cookie in ann.session.cookie_jar}
        async with serving(FunctionModel(answer), tmp_path) as visitor:
            again = await visitor(cookies)
            assert (await again.ask("Which tea today?"))[-1].data["used"] == 1
            assert (await (await visitor()).ask("Which tea today?"))[-1].data["used"] == 0

    asyncio.run(run())


class Endless:
    """A model that speaks until it is stopped, and says then that it was."""

    name = "endless"

    def __init__(self) -> None:
        self.stopped = asyncio.Event()

    async def complete(self, messages: Sequence[ChatMessage], **options: object) -> Reply:
        on_text = options["on_text"]
        assert callable(on_text)
        try:
            while True:
                on_text("word ")
                await asyncio.sleep(0.001)
        finally:
            self.stopped.set()


def test_the_run_of_a_visitor_who_leaves_is_ended_and_is_no_error(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def run() -> None:
        model = Endless()
        async with serving(model, tmp_path) as visitor:
            leaving = await visitor()
            async with leaving.session.post("/chat", json={"text": "Tell me all"}) as reply:
                assert await reply.content.readuntil(b"\n\n") == b'event: piece\ndata: {"text": "word "}\n\n'
                reply.close()
            async with asyncio.timeout(30):
                await model.stopped.wait()

    asyncio.run(run())
    assert [record.message for record in caplog.records if record.levelname == "ERROR"] == []


def test_a_model_that_fails_ends_the_answer_and_says_so(tmp_path: Path) -> None:
    from agentevo.errors import ModelUnavailable

    async def run() -> None:
        async with serving(FunctionModel(lambda messages: ModelUnavailable("it is down")), tmp_path) as visitor:
            (done,) = await (await visitor()).ask("Hello?")
        assert (done.kind, done.data["stopped"]) == ("done", "model: it is down")

    asyncio.run(run())


@pytest.mark.parametrize(
    ("path", "sent", "status"),
    [
        ("/chat", {"text": "  "}, 400),
        ("/chat", {}, 400),
        ("/chat", [1], 400),
        ("/feedback", {"attempt": "none", "score": 1}, 404),
        ("/feedback", {"score": 1}, 404),
    ],
)
def test_what_makes_no_sense_is_refused(tmp_path: Path, path: str, sent: object, status: int) -> None:
    async def run() -> None:
        async with serving(FunctionModel(lambda messages: "hm"), tmp_path) as visitor:
            browser = (await visitor()).session
            async with browser.post(path, json=sent) as reply:
                assert reply.status == status
            async with browser.post(path, data=b"{not json") as reply:
                assert reply.status == 400
            browser.cookie_jar.clear()
            async with browser.post(path, json={"text": "Hello", "attempt": "x"}) as reply:
                assert reply.status == 401

    asyncio.run(run())


@pytest.mark.parametrize(
    "judgement",
    [{"score": 2}, {"score": None}, {"score": "1"}, {"score": 0, "correction": 7}, {"score": 1, "correction": "x"}],
)
def test_a_judgement_is_a_thumb_and_perhaps_a_text(tmp_path: Path, judgement: dict[str, object]) -> None:
    async def run() -> None:
        async with serving(FunctionModel(lambda messages: "hm"), tmp_path) as visitor:
            ann = await visitor()
            done = (await ann.ask("Well?"))[-1]
            assert await ann.judge(attempt=done.data["attempt"], **judgement) == 400
            assert await ann.judge(attempt=done.data["attempt"], score=0) == 200

    asyncio.run(run())
