"""A connection to an MCP server: its tools as ours, its results as text, and what it does wrong as an answer."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import itertools
import logging
import re
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pydantic import ValidationError

from agentevo.environments.tool.http import Bound, over_http
from agentevo.environments.tool.results import in_words
from agentevo.environments.tool.schemas import Checker, fit
from agentevo.environments.tool.served import BadCall, Served
from agentevo.environments.tool.servers import HttpServer, Server, ServerUnavailable, StdioServer
from agentevo.environments.tool.sieve import MOST_LISTED, Sieve
from agentevo.environments.tool.stdio import StdioTransport
from agentevo.errors import MissingExtra, UnknownName
from agentevo.quote import clean, cut
from agentevo.together import to_the_end
from agentevo.types import Json, Tool

if TYPE_CHECKING:
    import mcp_types
    from mcp import Client
    from mcp.shared.dispatcher import ProgressFnT

LOG = logging.getLogger(__name__)

MOST_TOOLS = 128
"""A model that is told of more finds none; providers refuse them too."""
MOST_PAGES = 100
START_TIMEOUT_S = 60.0
END_TIMEOUT_S = 5.0
SIGN_TIMEOUT_S = 5.0
"""For a server that let a call run out to show that it is there; it is started again otherwise."""
_SAID, _SCHEMA = 2_000, 20_000
_ODD = re.compile(r"[^A-Za-z0-9_-]")
_LONGEST_NAME = 64


@dataclass
class Connection:
    """One server, started or reached for as long as it is needed, and again where it broke off.

    It lives in a task of its own, which enters and leaves the client: whoever opens an episode need not be who closes
    it.
    """

    server: Server
    served: tuple[Served, ...] = ()
    _client: Client | None = None
    _process: StdioTransport | None = None
    _bound: Bound = field(default_factory=Bound)
    _sieve: Sieve = field(default_factory=Sieve)
    _is_doubted: bool = False
    _is_silent: bool = False
    _task: asyncio.Task[None] | None = None
    _done: asyncio.Event = field(default_factory=asyncio.Event)
    _lock: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def open(self) -> Connection:
        """Connect and list the tools. Raise ServerUnavailable, which says why, where that cannot be done."""
        ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._done, self._is_doubted, self._is_silent = asyncio.Event(), False, False
        self._task = asyncio.create_task(self._live(ready))
        try:
            async with asyncio.timeout(START_TIMEOUT_S):
                await asyncio.shield(ready)
        except TimeoutError as error:
            why = self._why("it does not answer") + self._offline()
            await self.close()
            raise ServerUnavailable(f"{self.server.name} did not start within {START_TIMEOUT_S:g} s: {why}") from error
        except BaseException:
            await self.close()
            raise
        return self

    async def close(self) -> None:
        """Leave the server; a process that was started is gone afterwards."""
        self._done.set()
        if self._task is not None:
            task, self._task = self._task, None
            await to_the_end(_ended(task, 0 if self._client is None else END_TIMEOUT_S))

    async def _live(self, ready: asyncio.Future[None]) -> None:
        try:
            async with AsyncExitStack() as stack:
                self._client = await stack.enter_async_context(self._made())
                self._sieve.version = self._client.protocol_version
                self.served = tuple([served async for served in self._listed(self._client)])
                ready.set_result(None)
                await self._done.wait()
        except Exception as error:  # noqa: BLE001 - whatever a server makes of the client
            if not ready.done():
                ready.set_exception(self._unavailable(error))
                ready.exception()  # whoever waited may be gone
        finally:
            self._client = None
            if not ready.done():
                ready.cancel()

    def _made(self) -> Client:
        try:
            from mcp import Client
        except ModuleNotFoundError as error:
            raise MissingExtra("MCP servers", "tool") from error
        if isinstance(self.server, StdioServer):
            self._process = StdioTransport(self.server)
            return Client(self._sieve.over(self._process))
        return Client(self._sieve.over(over_http(self.server, self._bound)))

    # --- its tools

    async def _listed(self, client: Client) -> AsyncIterator[Served]:
        tools = await self._all_tools(client)
        self._check_names([tool.name for tool in tools])
        only = self.server.only
        known = {tool.name: tool for tool in reversed(tools) if tool.name}  # of two with one name the first
        taken = [tool for tool in reversed(known.values()) if not only or tool.name in only]
        if len(taken) > MOST_TOOLS:
            count = f"{len(taken)} tools" + (", or more" if len(tools) >= MOST_LISTED else "")
            raise ServerUnavailable(
                f"{self.server.name} has {count}, and an agent is told of {MOST_TOOLS} at most: use only="
            )
        fitting = _distinct([self.server.prefix + tool.name for tool in taken])
        for tool, name in zip(taken, fitting, strict=True):
            yield self._served(tool, name)

    def _check_names(self, names: Sequence[str]) -> None:
        """Raise for a tool that is named and not there, or asked for and none; say which ones are left out."""
        who, left_out = self.server.name, self._sieve.left_out
        for name in (*self.server.only, *self.server.destructive, *self.server.allowed):
            if name not in names and name not in left_out:
                raise UnknownName(f"tool of {who}", name, names)
        for name in self.server.only:
            if name in left_out and name not in names:
                raise ServerUnavailable(
                    f"tool {name!r} of {who} cannot be used: it does not keep to the protocol, {left_out[name]};"
                    " leave it out of only="
                )
        told = cut(", ".join(f"{clean(name, 80)!r} ({why})" for name, why in left_out.items()), _SAID)
        if left_out and not names:
            raise ServerUnavailable(f"{who} cannot be used: no tool of it keeps to the protocol: {told}")
        if left_out and not self.server.only:
            LOG.warning("%s has tools that do not keep to the protocol, which are left out: %s", who, told)

    async def _all_tools(self, client: Client) -> list[mcp_types.Tool]:
        page = await client.list_tools()
        tools = [*page.tools]
        for pages in itertools.count(1):
            if not page.next_cursor or len(tools) >= MOST_LISTED:
                break
            if pages == MOST_PAGES:
                told = f"its list of tools has no end: {pages} pages with {len(tools)} tools so far"
                raise ServerUnavailable(f"{self.server.name} cannot be used: {told}")
            page = await client.list_tools(cursor=page.next_cursor)
            tools += page.tools
        return tools

    def _served(self, tool: mcp_types.Tool, name: str) -> Served:
        marked = tool.annotations is not None and tool.annotations.destructive_hint is True
        schema = fit(tool.input_schema, _SCHEMA)
        is_destructive = tool.name in self.server.destructive or (marked and tool.name not in self.server.allowed)
        ours = Tool(
            name=name, description=clean(tool.description or "", _SAID),
            parameters=schema, destructive=is_destructive,
        )  # fmt: skip
        checker = Checker(ours.name, schema)
        run = functools.partial(self._run, tool.name, checker)
        return Served(ours, run, f"{self.server.name}.{ours.name}", checker.check)

    # --- its calls

    async def _run(self, name: str, checker: Checker, arguments: Mapping[str, Json]) -> str:
        checker.check(arguments)
        client, said = await self._connected(), [""]

        async def note(progress: float, total: float | None, message: str | None) -> None:
            said[0] = f"{progress:g}{f' of {total:g}' if total else ''} {clean(message or '', 200)}".strip()

        try:
            result = await _called(client, name, arguments, note)
        except asyncio.CancelledError as error:
            self._is_doubted = True
            if said[0]:
                error.add_note(f"it had last said: {said[0]}")
            raise
        except Exception as error:  # whatever a server makes of the client
            raise BadCall(self._failed(name, error)) from error
        text = in_words(result)
        if result.is_error:
            raise BadCall(text or f"{name!r} failed, and does not say why")
        return text

    async def _connected(self) -> Client:
        """Return the client; one that broke off is connected again, by one call of those that wait."""
        async with self._lock:
            if self._client is None or (self._process is not None and await self._is_lost(self._client)):
                before = {one.tool.name for one in self.served}
                await self.close()
                try:
                    await self.open()
                except ServerUnavailable as error:
                    raise BadCall(str(error)) from error
                if not before <= {one.tool.name for one in self.served}:
                    raise BadCall(f"{self.server.name} was started again, and has other tools than before")
            assert self._client is not None
            return self._client

    async def _is_lost(self, client: Client) -> bool:
        """Say whether a process has ended, or no longer listens: one that let a call run out is asked for a sign."""
        assert self._process is not None
        if self._is_doubted and not (self._process.is_over or self._is_silent):
            try:
                async with asyncio.timeout(SIGN_TIMEOUT_S):
                    await _sign(client)
            except asyncio.CancelledError:  # this call has no more time; the next one need not wait again
                self._is_silent = True
                raise
            except Exception:  # noqa: BLE001 - whatever a server makes of the client
                return True
        self._is_doubted = False
        return self._process.is_over or self._is_silent

    def _failed(self, name: str, error: Exception) -> str:
        told = self._bound.problem or _told(error)
        if self._process is not None and self._process.is_over:
            return f"{name!r} failed: the server stopped ({self._why('')}); the next call starts it again"
        if self._task is None or self._task.done() or self._is_broken(error):
            self._done.set()
            self._client = None
            return f"{name!r} failed: the connection broke ({told}); the next call makes it anew"
        if isinstance(_first(error), ValidationError):
            return f"{name!r} failed: what the server answered is no result of a tool"
        return f"{name!r} failed: {told}"

    def _is_broken(self, error: Exception) -> bool:
        """Say whether an error is of the connection, and not the answer to what was asked over it."""
        from mcp import MCPError
        from mcp_types import CONNECTION_CLOSED

        first = _first(error)
        if not isinstance(first, MCPError):
            return not isinstance(first, ValidationError)
        is_closed = first.code == CONNECTION_CLOSED or first.message == "Session terminated"
        return is_closed and isinstance(self.server, HttpServer)  # of a process more is known: see is_over

    def _unavailable(self, error: BaseException) -> BaseException:
        first = _first(error)
        if isinstance(first, ServerUnavailable | MissingExtra | UnknownName):
            return first
        if isinstance(first, ValidationError):
            where = ".".join(map(str, first.errors(include_url=False)[0]["loc"]))
            return ServerUnavailable(f"{self.server.name} cannot be used: it does not keep to the protocol, in {where}")
        if self._process is not None and self._process.was_stopped:
            return ServerUnavailable(f"{self.server.name} cannot be used: {_told(error)}{self._process.last_words()}")
        return ServerUnavailable(f"{self.server.name} cannot be used: {self._why(_told(error))}")

    def _offline(self) -> str:
        """Name what programs that fetch themselves, as npx and uvx do, wait for in vain."""
        is_cut_off = isinstance(self.server, StdioServer) and self.server.walls and not self.server.network
        return "; it has no network, which network=True grants" if is_cut_off else ""

    def _why(self, otherwise: str) -> str:
        return self._process.why() if self._process is not None else otherwise


def _distinct(names: Sequence[str]) -> list[str]:
    """Return names as every provider takes them; those that are alike then are numbered, but for one that was fit."""
    fitting: list[str] = []
    known = {name for name in names if _fit(name) == name}
    for name in names:
        short, found = _fit(name), _fit(name)
        for number in itertools.count(2):
            if found == name or found not in known:
                break
            found = f"{short[: _LONGEST_NAME - len(str(number)) - 1]}_{number}"
        known.add(found)
        fitting.append(found)
    return fitting


def _fit(name: str) -> str:
    return _ODD.sub("_", name)[:_LONGEST_NAME]


async def _sign(client: Client) -> None:
    """Wait for any answer; not to a ping, which newer versions of the protocol do not have."""
    import mcp_types
    from mcp import MCPError

    with contextlib.suppress(MCPError):
        await client.session.send_request(mcp_types.ListToolsRequest(), mcp_types.ListToolsResult)


async def _called(
    client: Client, name: str, arguments: Mapping[str, Json], note: ProgressFnT
) -> mcp_types.CallToolResult:
    """Call a tool, and take its result as it is: checking it by the server's schema could take hours, for a pattern."""
    import mcp_types

    request = mcp_types.CallToolRequest(params=mcp_types.CallToolRequestParams(name=name, arguments=dict(arguments)))
    return await client.session.send_request(request, mcp_types.CallToolResult, progress_callback=note)


async def _ended(task: asyncio.Task[None], patience_s: float) -> None:
    """Wait for a connection to end, and end it where it does not by itself."""
    _, pending = await asyncio.wait({task}, timeout=patience_s)
    if pending:
        task.cancel()
        await asyncio.wait({task})


def _first(error: BaseException) -> BaseException:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


def _told(error: BaseException) -> str:
    first = _first(error)
    return clean(cut(f"{first}" or type(first).__name__, 300))
