"""A real HTTP server on loopback that speaks OpenAI chat completions, and misbehaves on demand.

    with OpenAIServer() as server:
        server.then(status(429, {"Retry-After": "1"}), says("hello"))
        LiteLLMModel("openai/test", api_base=server.url, api_key="k")

Each request takes the next behaviour from the queue; once it is empty, `default` answers. It is one asyncio loop in a
thread, so that hundreds of connections at once cost little; `latency_s` delays every answer.
"""

from __future__ import annotations

import asyncio
import json
import struct
import threading
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self, TypeAlias

Body: TypeAlias = dict[str, Any]


@dataclass
class Exchange:
    """One request and the connection to answer it on."""

    body: Body
    headers: dict[str, str]
    path: str
    writer: asyncio.StreamWriter

    async def send(self, status: int, payload: bytes, headers: Mapping[str, str] | None = None) -> None:
        fields = {"Content-Type": "application/json", **(headers or {}), "Content-Length": str(len(payload))}
        self.writer.write(_head(status, fields) + payload)
        await self.writer.drain()

    async def send_json(self, body: Body, status: int = 200, headers: Mapping[str, str] | None = None) -> None:
        await self.send(status, json.dumps(body).encode(), headers)

    async def start_stream(self) -> None:
        self.writer.write(_head(200, {"Content-Type": "text/event-stream", "Transfer-Encoding": "chunked"}))
        await self.writer.drain()

    async def send_event(self, data: str) -> None:
        payload = f"data: {data}\n\n".encode()
        self.writer.write(b"%x\r\n%s\r\n" % (len(payload), payload))
        await self.writer.drain()

    async def end_stream(self) -> None:
        await self.send_event("[DONE]")
        self.writer.write(b"0\r\n\r\n")
        await self.writer.drain()

    def abort(self) -> None:
        """Drop the connection; what was not sent yet is lost."""
        self.writer.transport.abort()


Behaviour: TypeAlias = Callable[[Exchange], Awaitable[None]]


def says(*texts: str, finish: str = "stop", **message: Any) -> Behaviour:
    """Answer with these texts: one text is given for all n samples, several are the samples."""

    async def behave(exchange: Exchange) -> None:
        wanted = exchange.body.get("n") or 1
        samples = list(texts) * wanted if len(texts) == 1 else list(texts)
        if exchange.body.get("stream"):
            await _stream(exchange, samples, finish, message)
        else:
            await exchange.send_json(completion(exchange.body, samples, finish, message))

    return behave


def calls_tool(name: str, arguments: str, text: str | None = None) -> Behaviour:
    """Answer with one tool call; the arguments are sent as they are, JSON or not."""
    call = {"id": "call_1", "type": "function", "function": {"name": name, "arguments": arguments}}
    return says(text or "", finish="tool_calls", tool_calls=[call])


def status(code: int, headers: Mapping[str, str] | None = None, message: str = "no luck") -> Behaviour:
    """Answer with an HTTP error in OpenAI's shape."""

    async def behave(exchange: Exchange) -> None:
        await exchange.send_json({"error": {"message": message, "type": "test", "code": None}}, code, headers)

    return behave


def sends(payload: bytes, content_type: str = "application/json") -> Behaviour:
    """Answer 200 with these bytes: HTML, JSON cut in the middle, a body without choices."""

    async def behave(exchange: Exchange) -> None:
        await exchange.send(200, payload, {"Content-Type": content_type})

    return behave


def streams(*pieces: str, then: Behaviour | None = None) -> Behaviour:
    """Stream these pieces; then end properly, or go on as told (hang, drop the connection)."""

    async def behave(exchange: Exchange) -> None:
        await exchange.start_stream()
        for piece in pieces:
            await exchange.send_event(json.dumps(chunk({"content": piece})))
        if then is not None:
            await then(exchange)
            return
        await exchange.send_event(json.dumps(chunk({}, finish="stop")))
        await exchange.end_stream()

    return behave


async def hangs(exchange: Exchange) -> None:
    """Never say another word."""
    await asyncio.Event().wait()


async def drops(exchange: Exchange) -> None:
    """Reset the connection."""
    sock = exchange.writer.get_extra_info("socket")
    sock.setsockopt(1, 13, struct.pack("ii", 1, 0))  # SO_LINGER with no time: close sends a reset
    exchange.abort()


async def ends_early(exchange: Exchange) -> None:
    """End a stream as if it were complete, without a finish reason and without [DONE]."""
    exchange.writer.write(b"0\r\n\r\n")
    await exchange.writer.drain()


async def drips(exchange: Exchange) -> None:
    """Send a byte every 50 ms, for ever: no single read times out."""
    exchange.writer.write(_head(200, {"Content-Type": "application/json", "Content-Length": "100000"}))
    while True:
        exchange.writer.write(b" ")
        await exchange.writer.drain()
        await asyncio.sleep(0.05)


def completion(body: Body, texts: Sequence[str], finish: str, message: Mapping[str, Any]) -> Body:
    """Build a chat completion as OpenAI sends it."""
    choices = [
        {
            "index": i,
            "finish_reason": finish,
            "message": {"role": "assistant", "content": text, **message},
            "logprobs": _logprobs(text) if body.get("logprobs") else None,
        }
        for i, text in enumerate(texts)
    ]
    return {**_frame("chat.completion"), "choices": choices, "usage": _usage(body, texts)}


def chunk(delta: Body, finish: str | None = None, index: int = 0, logprobs: Body | None = None) -> Body:
    """Build one event of a stream as OpenAI sends it."""
    choice = {"index": index, "delta": delta, "finish_reason": finish, "logprobs": logprobs}
    return {**_frame("chat.completion.chunk"), "choices": [choice]}


class OpenAIServer:
    """The server; use it as a context manager. It keeps every request body, and the most connections seen at once."""

    def __init__(self, default: Behaviour | None = None, latency_s: float = 0.0) -> None:
        self.default = default or says("hello")
        self.latency_s = latency_s
        self.bodies: list[Body] = []
        self.headers: list[dict[str, str]] = []
        self.busiest = 0
        self._busy = 0
        self._queue: deque[Behaviour] = deque()
        self._arrivals = threading.Condition()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._connections: set[asyncio.Task[None]] = set()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}/v1"

    def then(self, *behaviours: Behaviour) -> Self:
        self._queue.extend(behaviours)
        return self

    def wait_for_requests(self, count: int) -> None:
        """Wait until so many requests have arrived in full."""
        with self._arrivals:
            if not self._arrivals.wait_for(lambda: len(self.bodies) >= count, timeout=120):
                raise TimeoutError(f"{len(self.bodies)} requests came, expected {count}")

    def __enter__(self) -> Self:
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._start(), self._loop).result(timeout=60)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        asyncio.run_coroutine_threadsafe(self._stop(), self._loop).result(timeout=60)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(timeout=60)
        self._loop.close()

    async def _start(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, backlog=1024)
        self._port = self._server.sockets[0].getsockname()[1]

    async def _stop(self) -> None:
        self._server.close()
        for connection in self._connections:
            connection.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._connections.add(task)
        try:
            while await self._answer(reader, writer):
                pass
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass  # the client left, or the server stops: both are the end of this connection
        finally:
            self._connections.discard(task)
            writer.transport.abort()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = await reader.readuntil(b"\r\n\r\n")
        request_line, *lines = head.decode("latin-1").strip().split("\r\n")
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
        body: Body = json.loads(await reader.readexactly(int(headers.get("content-length", 0))) or b"{}")
        exchange = Exchange(body, headers, request_line.split()[1], writer)
        with self._arrivals:
            self.bodies.append(body)
            self.headers.append(headers)
            behave = self._queue.popleft() if self._queue else self.default
            self._arrivals.notify_all()
        self._busy += 1
        self.busiest = max(self.busiest, self._busy)
        try:
            if self.latency_s:
                await asyncio.sleep(self.latency_s)
            await behave(exchange)
        finally:
            self._busy -= 1
        return not writer.transport.is_closing()


async def _stream(exchange: Exchange, texts: Sequence[str], finish: str, message: Mapping[str, Any]) -> None:
    await exchange.start_stream()
    for index, text in enumerate(texts):
        for event in _events(exchange.body, text, finish, index, message):
            await exchange.send_event(json.dumps(event))
    if (exchange.body.get("stream_options") or {}).get("include_usage"):
        usage = _usage(exchange.body, texts)
        await exchange.send_event(json.dumps({**_frame("chat.completion.chunk"), "choices": [], "usage": usage}))
    await exchange.end_stream()


def _events(body: Body, text: str, finish: str, index: int, message: Mapping[str, Any]) -> Iterable[Body]:
    yield chunk({"role": "assistant", "content": ""}, index=index)
    for word in _words(text):
        yield chunk({"content": word}, index=index, logprobs=_logprobs(word) if body.get("logprobs") else None)
    for position, call in enumerate(message.get("tool_calls", ())):
        arguments = call["function"]["arguments"]
        opening = {**call, "index": position, "function": {**call["function"], "arguments": ""}}
        yield chunk({"tool_calls": [opening]}, index=index)
        for part in (arguments[: len(arguments) // 2], arguments[len(arguments) // 2 :]):
            yield chunk({"tool_calls": [{"index": position, "function": {"arguments": part}}]}, index=index)
    yield chunk({}, finish=finish, index=index)


def _words(text: str) -> list[str]:
    words = text.split(" ")
    return [word + " " for word in words[:-1]] + ([words[-1]] if words[-1] else [])


def _logprobs(text: str) -> Body:
    words = _words(text)
    return {"content": [{"token": w, "logprob": -0.5, "bytes": None, "top_logprobs": _top(w)} for w in words]}


def _top(word: str) -> list[Body]:
    return [{"token": word, "logprob": -0.5, "bytes": None}, {"token": "other", "logprob": -2.0, "bytes": None}]


def _usage(body: Body, texts: Sequence[str]) -> Body:
    prompt = sum(len(str(message.get("content")).split()) for message in body.get("messages", ()))
    completed = sum(len(text.split()) for text in texts)
    return {"prompt_tokens": prompt, "completion_tokens": completed, "total_tokens": prompt + completed}


def _frame(kind: str) -> Body:
    return {"id": "chatcmpl-1", "object": kind, "created": 0, "model": "test"}


def _head(code: int, fields: Mapping[str, str]) -> bytes:
    lines = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
    return f"HTTP/1.1 {code} Status\r\n{lines}\r\n".encode()
