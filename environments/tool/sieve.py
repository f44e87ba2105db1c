"""What a server says, before anybody reads all of it: tools that are none are left out, too long a result is cut."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from agentevo.quote import clean

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from types import TracebackType

    from mcp.client._transport import ReadStream, TransportStreams
    from mcp.shared.message import SessionMessage

MOST_BLOCKS = 1_000
"""Parts of one result that are looked at: each takes as long as some hundred characters of text."""
MOST_LISTED = 10_000
"""Tools of one list that are looked at: each has to be held against the protocol."""
_SAID = 200


class Sieve:
    """What is kept of the messages of a server. `left_out` says what was wrong with each tool that is none."""

    def __init__(self) -> None:
        self.version = ""  # of the protocol, which the client agrees upon before it lists tools
        self.left_out: dict[str, str] = {}

    @asynccontextmanager
    async def over(self, transport: AbstractAsyncContextManager[TransportStreams]) -> AsyncIterator[TransportStreams]:
        """Yield the streams of a transport, with what comes in sifted."""
        async with transport as (incoming, outgoing):
            yield _Sifted(incoming, self), outgoing

    def sift(self, said: SessionMessage | Exception) -> SessionMessage | Exception:
        result: Any = None if isinstance(said, Exception) else getattr(said.message, "result", None)
        match result:
            case {"content": list() as blocks} if (more := len(blocks) - MOST_BLOCKS) > 0:
                told = f"[{more:,} more parts of {len(blocks):,}, not shown]"
                result["content"] = [*blocks[:MOST_BLOCKS], {"type": "text", "text": told}]
            case {"tools": list() as tools}:
                result["tools"] = [tool for tool in tools[:MOST_LISTED] if self._is_one(result, tool)]
        return said

    def _is_one(self, result: dict[str, Any], tool: Any) -> bool:
        """Say whether a tool is one by the protocol, which takes the whole list for none where one is not."""
        from mcp_types.methods import parse_server_result

        try:
            parse_server_result("tools/list", self.version, {**result, "tools": [tool]})
        except ValidationError as error:
            places = [e["loc"][2:] for e in error.errors(include_url=False) if e["loc"][:2] == ("tools", 0)]
            if not places:  # something else about the list is wrong, which is told of all of it
                return True
            name = tool.get("name") if isinstance(tool, dict) else None
            where = f"in {'.'.join(map(str, places[0]))}" if places[0] else "it is no object"
            self.left_out[name if isinstance(name, str) else ""] = clean(where, _SAID)
            return False
        return True


class _Sifted:
    """A stream of messages, each of them sifted."""

    def __init__(self, stream: ReadStream[SessionMessage | Exception], sieve: Sieve) -> None:
        self._stream, self._sieve = stream, sieve

    @property
    def last_context(self) -> object:
        """The context of whoever sent the last message, where the stream knows it."""
        return getattr(self._stream, "last_context", None)

    async def receive(self) -> SessionMessage | Exception:
        return self._sieve.sift(await self._stream.receive())

    async def aclose(self) -> None:
        await self._stream.aclose()

    def __aiter__(self) -> _Sifted:
        return self

    async def __anext__(self) -> SessionMessage | Exception:
        return self._sieve.sift(await self._stream.__anext__())

    async def __aenter__(self) -> _Sifted:
        await self._stream.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool | None:
        return await self._stream.__aexit__(kind, error, trace)
