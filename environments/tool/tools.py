"""Tools as an environment for apps that have none: any task can be opened, and none is scored."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from typing import TypeAlias

from agentevo.environments.tool.connection import Connection
from agentevo.environments.tool.episode import Policy, Rules, ToolEpisode
from agentevo.environments.tool.functions import FunctionTool
from agentevo.environments.tool.served import Served
from agentevo.environments.tool.servers import HttpServer, Server, StdioServer, as_server
from agentevo.errors import Misuse, UnknownName
from agentevo.protocols import FeedbackLevel
from agentevo.types import Attempt, Card, Feedback, Task

Given: TypeAlias = Callable[..., object] | FunctionTool


class Tools:
    """Python functions and MCP servers that an agent may call, whatever it is asked; no splits, and no truth.

    A server is an address, a command line, StdioServer or HttpServer; each episode has its own connection.

    destructive: "deny", "allow", or a callable (tool, arguments) -> bool, async or not, that is asked before each call
    of a tool marked so; nothing but True allows it. A call may take `timeout_s` seconds and bring `output_chars`
    characters.
    """

    def __init__(
        self,
        *tools: Given,
        mcp: Sequence[str | Server] = (),
        destructive: Policy = "deny",
        timeout_s: float = 30.0,
        output_chars: int = 10_000,
    ) -> None:
        self._rules = _rules(destructive, timeout_s, output_chars)
        self._given = tuple(t if isinstance(t, FunctionTool) else FunctionTool(t) for t in tools)
        self._served = tuple(tool.served() for tool in self._given)
        self._servers = tuple(as_server(server) for server in _several(mcp))
        check_distinct(self._served)

    def __repr__(self) -> str:
        servers = [f"mcp:{server.name}" for server in self._servers]
        return f"Tools({', '.join([*(tool.name for tool in self._given), *servers])})"

    @property
    def card(self) -> Card:
        return Card(
            name="tools", version="1", description="Whatever a user asks, with tools; nothing is known to be right.",
            ability="tool use", trusted=not self._servers,
        )  # fmt: skip

    def splits(self) -> Sequence[str]:
        return ()

    def tasks(self, split: str) -> Sequence[Task]:
        raise UnknownName("split of tools", split, ())

    def task(self, id: str) -> Task:
        raise UnknownName("task of tools", id, ())

    async def open(self, task: Task, seed: int = 0, feedback: FeedbackLevel = "weak") -> ToolEpisode:
        """Connect to the servers and open an episode. Raise ServerUnavailable for a server that cannot be used."""
        served, held = list(self._served), AsyncExitStack()
        try:
            for connection in [Connection(server) for server in self._servers]:
                held.push_async_callback(connection.close)
                served += (await connection.open()).served
            check_distinct(served)
        except BaseException:
            await held.aclose()
            raise
        return ToolEpisode(task.prompt, served, self._rules, held)

    async def verify(self, task: Task, attempt: Attempt) -> Feedback:
        return Feedback()


def _several(mcp: Sequence[str | Server]) -> Sequence[str | Server]:
    if isinstance(mcp, str | StdioServer | HttpServer):
        raise Misuse(f"mcp is {mcp!r:.80}; expected a list of servers: [...]")
    return mcp


def check_distinct(served: Sequence[Served]) -> None:
    """Raise Misuse where two tools have one name."""
    names = [one.tool.name for one in served]
    for name in names:
        if names.count(name) > 1:
            raise Misuse(
                f"two tools are named {name!r}; give one of them a name of its own: name= of a function, prefix= of a"
                " server, or leave it out with only="
            )


def _rules(destructive: Policy, timeout_s: float, output_chars: int) -> Rules:
    if destructive not in ("allow", "deny") and not callable(destructive):
        raise Misuse(f"destructive is {destructive!r:.80}; expected 'allow', 'deny', or a callable that decides")
    given: tuple[object, object] = timeout_s, output_chars
    are_numbers = isinstance(given[0], int | float) and isinstance(given[1], int)
    if not are_numbers or not timeout_s > 0 or output_chars < 100:
        raise Misuse(
            f"timeout_s={timeout_s!r}, output_chars={output_chars!r}: expected the seconds a call may take, above 0,"
            " and the characters it may bring, 100 or more"
        )
    return Rules(destructive, timeout_s, output_chars)
