"""A server made with the protocol's own package, over stdio, or over HTTP on the port that it is given."""

from __future__ import annotations

import asyncio
import sys

from mcp.server.mcpserver import Context, MCPServer
from mcp_types import ToolAnnotations
from pydantic import BaseModel

server = MCPServer("shop")
stock = {"pen": 3}


class Stock(BaseModel):
    sku: str
    count: int


@server.tool()
def count(sku: str) -> Stock:
    """Count what is there."""
    return Stock(sku=sku, count=stock[sku])


@server.tool()
async def restock(sku: str, by: int, context: Context) -> str:
    """Add to what is there."""
    await context.report_progress(1, 2, "counting")
    stock[sku] += by
    return f"{sku}: {stock[sku]}"


@server.tool()
async def wait() -> str:
    """Wait for what never comes, and note who gave up."""
    try:
        await asyncio.Event().wait()
    finally:
        stock["given up"] = stock.get("given up", 0) + 1
    return "never"


@server.tool(annotations=ToolAnnotations(destructive_hint=True))
def clear() -> str:
    """Throw everything away."""
    stock.clear()
    return "gone"


if __name__ == "__main__":
    if len(sys.argv) > 1:
        server.run("streamable-http", host="127.0.0.1", port=int(sys.argv[1]))
    else:
        server.run("stdio")
