"""A server over HTTP, as the MCP client wants it: what it sends is bounded, and is not unpacked."""

from __future__ import annotations

import codecs
import contextlib
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

from agentevo.environments.tool.servers import HttpServer
from agentevo.environments.tool.stdio import MOST_LINE

if TYPE_CHECKING:
    import httpx2
    from mcp.client._transport import TransportStreams


@contextlib.asynccontextmanager
async def over_http(server: HttpServer, bound: Bound) -> AsyncIterator[TransportStreams]:
    """Yield the streams to a server for the length of a block."""
    from mcp.client.streamable_http import streamable_http_client
    from mcp.shared._httpx_utils import create_mcp_http_client

    # A few packed bytes may be gigabytes.
    headers = {"Accept-Encoding": "identity", **server.headers}
    async with create_mcp_http_client(headers=headers) as client:
        client.event_hooks = {"request": [bound.begin], "response": [bound.hold]}
        streams = streamable_http_client(server.url, http_client=client, max_sse_event_size=MOST_LINE)
        async with streams as pair:
            yield pair


class Bound:
    """So many bytes may come between two messages of ours, on all streams together; `problem` says what was wrong."""

    def __init__(self) -> None:
        self._since, self.problem = 0, ""

    async def begin(self, request: httpx2.Request) -> None:
        if request.method == "POST":
            self._since, self.problem = 0, ""

    async def hold(self, response: httpx2.Response) -> None:
        """Have a response end where it is too much. Raise what the client raises for answers that it cannot read."""
        import httpx2

        encoding = response.headers.get("content-encoding", "identity")
        if encoding != "identity":
            self.problem = f"it sent an answer packed as {encoding!r:.40}, which nobody asked for"
            raise httpx2.DecodingError(self.problem)
        stream = response.stream
        assert isinstance(stream, httpx2.AsyncByteStream)
        response.stream = _held(self, stream)

    def count(self, chunk: bytes) -> None:
        import httpx2

        self._since += len(chunk)
        if self._since > MOST_LINE:
            self.problem = f"it sent more than {MOST_LINE // 1_000_000} MB, and was cut off"
            raise httpx2.ReadError(self.problem)


def _held(bound: Bound, stream: httpx2.AsyncByteStream) -> httpx2.AsyncByteStream:
    import httpx2

    class Held(httpx2.AsyncByteStream):
        async def __aiter__(self) -> AsyncIterator[bytes]:
            decoder = codecs.getincrementaldecoder("utf-8")("replace")
            async for chunk in stream:
                bound.count(chunk)
                yield decoder.decode(chunk).encode()
            yield decoder.decode(b"", final=True).encode()

        async def aclose(self) -> None:
            await stream.aclose()

    return Held()
