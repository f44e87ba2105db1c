"""A program that tries what walls forbid: as an engine, an MCP server, or in the place of a simulator of BFCL."""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
from collections.abc import Callable
from typing import Any


def look(secret: str, outside: str, port: int, address: str, victim: int) -> dict[str, str]:
    """Try to read, to write, to reach somebody over the network and through a file, and to end a process."""
    return {
        "read": _tried(lambda: open(secret).read()),  # noqa: PTH123
        "write": _tried(lambda: open(outside, "w").write("x")),  # noqa: PTH123
        "connect": _tried(lambda: socket.create_connection(("127.0.0.1", port), timeout=5).close()),
        "speak": _tried(lambda: socket.socket(socket.AF_UNIX).connect(address)),
        "signal": _tried(lambda: os.kill(victim, signal.SIGTERM)),
    }


def _tried(act: Callable[[], object]) -> str:
    try:
        act()
    except OSError as error:
        return type(error).__name__
    return "did it"


class Canary:
    """As an engine."""

    def look(self, **given: Any) -> dict[str, str]:
        return look(**given)


class MathAPI(Canary):
    """As a simulator: what it finds comes back as the result of a call."""


def serve() -> None:
    """As a server: lines of JSON in and out."""
    for line in sys.stdin:
        asked = json.loads(line)
        if "id" in asked:
            result = _answer(asked["method"], asked.get("params", {}))
            said = {"result": result} if result else {"error": {"code": -32601, "message": "Method not found"}}
            sys.stdout.write(json.dumps({"jsonrpc": "2.0", "id": asked["id"], **said}) + "\n")
            sys.stdout.flush()


def _answer(method: str, given: dict[str, Any]) -> dict[str, Any]:
    if method == "initialize":
        server = {"name": "canary", "version": "1"}
        return {"protocolVersion": given["protocolVersion"], "capabilities": {"tools": {}}, "serverInfo": server}
    if method == "tools/list":
        return {"tools": [{"name": "look", "inputSchema": {"type": "object"}}]}
    if method == "tools/call":
        return {"content": [{"type": "text", "text": json.dumps(look(**given["arguments"]))}]}
    return {}


if __name__ == "__main__":
    serve()
