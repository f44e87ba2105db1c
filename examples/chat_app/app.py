"""A chat on the web: each visitor has a memory of their own, replies stream, and thumbs up or down teach the agent.

    python examples/chat_app/app.py            # then open http://127.0.0.1:8080

The framework is aiohttp, which comes with agentevo. A visitor is known by a cookie; an app with accounts takes the user
of its session instead.
"""

from __future__ import annotations

import asyncio
import json
import secrets
from collections import OrderedDict
from contextlib import aclosing, suppress
from dataclasses import dataclass, field
from pathlib import Path

from aiohttp import web

from agentevo import Agent, Attempt, Memory
from agentevo.events import Ended, Piece
from agentevo.protocols import Model
from agentevo.recipes import load
from agentevo.types import Message

COOKIE = "visitor"
LATEST = 20
"""So many attempts of a visitor can still be judged."""
SEEN = 3
"""So many of them the agent sees as the conversation so far."""


@dataclass
class Visitor:
    """An agent over the memory of one visitor, and what they talked about last."""

    agent: Agent
    attempts: OrderedDict[str, Attempt] = field(default_factory=OrderedDict)

    def asked(self, text: str) -> list[Message]:
        """Return what is asked as the end of the conversation so far."""
        earlier: list[Message] = []
        for attempt in list(self.attempts.values())[-SEEN:]:
            earlier.append({"role": "user", "content": attempt.task.prompt})
            earlier.append({"role": "assistant", "content": attempt.answer})
        return [*earlier, {"role": "user", "content": text}]

    def keep(self, attempt: Attempt) -> None:
        self.attempts[attempt.id] = attempt
        if len(self.attempts) > LATEST:
            self.attempts.popitem(last=False)


class Chat:
    """The routes, and the visitors of this process; memories are in one folder, a namespace each."""

    def __init__(self, model: str | Model, folder: Path, embedder: str | None) -> None:
        self._model, self._folder, self._embedder = model, folder, embedder
        self._visitors: dict[str, Visitor] = {}
        self._opening = asyncio.Lock()

    async def page(self, request: web.Request) -> web.StreamResponse:
        response = web.FileResponse(Path(__file__).with_name("page.html"))
        if COOKIE not in request.cookies:
            response.set_cookie(COOKIE, secrets.token_urlsafe(), httponly=True, samesite="Strict")
        return response

    async def chat(self, request: web.Request) -> web.StreamResponse:
        """Stream an answer as server-sent events: `piece` as the model speaks, then `done` with the attempt's name."""
        text = str((await _sent(request)).get("text") or "").strip()
        if not text:
            raise web.HTTPBadRequest(text="say something")
        visitor = await self._visitor(request)
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream", "Cache-Control": "no-store"})
        await response.prepare(request)
        with suppress(ConnectionResetError):  # a visitor who leaves makes the write fail, and that ends the run
            async with aclosing(visitor.agent.astream(visitor.asked(text))) as events:
                async for event in events:
                    if isinstance(event, Piece):
                        await _send(response, "piece", {"text": event.text})
                    elif isinstance(event, Ended):
                        visitor.keep(event.attempt)
                        await _send(response, "done", _ended(event.attempt))
        return response

    async def feedback(self, request: web.Request) -> web.Response:
        """Take what a visitor thinks of an answer that they got, and learn from it."""
        sent, visitor = await _sent(request), await self._visitor(request)
        attempt = visitor.attempts.get(str(sent.get("attempt")))
        score, correction = sent.get("score"), sent.get("correction")
        if attempt is None:
            raise web.HTTPNotFound(text="that answer is not yours, or too long ago")
        if score not in (0, 1) or not (correction is None or (isinstance(correction, str) and score == 0)):
            raise web.HTTPBadRequest(text="score is 1 or 0, correction null, or a text where the score is 0")
        learnt = await visitor.agent.afeedback(attempt, score=float(score), correction=correction or None)
        return web.json_response({"items": list(learnt.items)})

    async def close(self, app: web.Application) -> None:
        for visitor in self._visitors.values():
            await asyncio.to_thread(visitor.agent.memory.close)

    async def _visitor(self, request: web.Request) -> Visitor:
        name = request.cookies.get(COOKIE, "")
        if not name:
            raise web.HTTPUnauthorized(text="open the page first: it gives you a cookie")
        async with self._opening:
            if name not in self._visitors:
                self._visitors[name] = Visitor(await asyncio.to_thread(self._agent, name))
        return self._visitors[name]

    def _agent(self, name: str) -> Agent:
        memory = Memory.open(self._folder, namespace=f"visitor {name}", embedder=self._embedder)
        return Agent(self._model, memory=memory, recipe=load("evo", reflect=False, max_tokens=256))


async def _sent(request: web.Request) -> dict[str, object]:
    try:
        sent = await request.json()
    except ValueError:
        sent = None
    if not isinstance(sent, dict):
        raise web.HTTPBadRequest(text="expected a JSON object")
    return sent


async def _send(response: web.StreamResponse, kind: str, data: dict[str, object]) -> None:
    await response.write(f"event: {kind}\ndata: {json.dumps(data)}\n\n".encode())


def _ended(attempt: Attempt) -> dict[str, object]:
    return {
        "attempt": attempt.id, "text": attempt.answer, "used": len(attempt.used), "stopped": attempt.stopped
    }  # fmt: skip


def app(
    model: str | Model = "local/smollm2-135m", folder: str = "chat", embedder: str | None = None
) -> web.Application:
    """Return the app; the folder holds what its visitors taught it."""
    chat = Chat(model, Path(folder), embedder)
    made = web.Application()
    made.add_routes([web.get("/", chat.page), web.post("/chat", chat.chat), web.post("/feedback", chat.feedback)])
    made.on_cleanup.append(chat.close)
    return made


if __name__ == "__main__":
    web.run_app(app(), host="127.0.0.1", port=8080)
