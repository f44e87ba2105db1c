"""A server over HTTP without any package, in this process: it says what it is told to, byte by byte."""

from __future__ import annotations

import contextlib
import gzip
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar

from plain_server import HOSTILE, text, tool

TOOLS = ("hostile", "huge", "endless", "packed", "garbled", "torrent", "event", "refuse", "away")


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    visited: ClassVar[list[str]] = []

    def do_POST(self) -> None:
        self.visited.append(self.path)
        request = json.loads(self.rfile.read(int(self.headers["content-length"])))
        if "id" not in request:
            return self.send(b"", status=202)
        if request["method"] == "tools/call":
            return getattr(self, request["params"]["name"])(request["id"])  # type: ignore[no-any-return]
        return self.reply(request["id"], self.answer(request["method"], request.get("params", {})))

    def answer(self, method: str, params: dict[str, Any]) -> dict[str, Any] | None:
        if method == "initialize":
            who = {"name": "raw", "version": "1"}
            version = params["protocolVersion"]
            return {"protocolVersion": version, "capabilities": {"tools": {}}, "serverInfo": who}
        return {"tools": [tool(name) for name in TOOLS]} if method == "tools/list" else None

    def reply(self, id: object, result: dict[str, Any] | None) -> None:
        error = {"code": -32601, "message": "Method not found"}
        said = {"error": error} if result is None else {"result": result}
        self.send(json.dumps({"jsonrpc": "2.0", "id": id, **said}).encode())

    def send(self, body: bytes, status: int = 200, type_: str = "application/json", **headers: str) -> None:
        self.send_response(status)
        for name, value in {"content-type": type_, "content-length": str(len(body)), **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)

    # --- what it does when it is called

    def hostile(self, id: object) -> None:
        self.reply(id, text(HOSTILE))

    def huge(self, id: object) -> None:
        self.reply(id, text(HOSTILE + "y" * 50_000_000))

    def packed(self, id: object) -> None:
        answer = {"jsonrpc": "2.0", "id": id, "result": text("y" * 1_000_000)}
        self.send(gzip.compress(json.dumps(answer).encode()), content_encoding="gzip")

    def garbled(self, id: object) -> None:
        answer = {"jsonrpc": "2.0", "id": id, "result": text("caf@.")}
        self.send(json.dumps(answer).encode().replace(b"@", b"\xff"))

    def endless(self, id: object) -> None:
        self.stream("application/json", b" " * 1_000_000)

    def torrent(self, id: object) -> None:
        event = {"jsonrpc": "2.0", "method": "notifications/message", "params": {"level": "info", "data": "x" * 50_000}}
        self.stream("text/event-stream", f"data: {json.dumps(event)}\n\n".encode())

    def event(self, id: object) -> None:
        """Answer as most servers do: in an event of a stream."""
        answer = {"jsonrpc": "2.0", "id": id, "result": text(HOSTILE + "y" * 50_000_000)}
        self.send(f"data: {json.dumps(answer)}\n\n".encode(), type_="text/event-stream")

    def refuse(self, id: object) -> None:
        self.send(HOSTILE.encode(), status=500)

    def away(self, id: object) -> None:
        self.send(b"", status=307, location="http://localhost:9/elsewhere")

    def stream(self, type_: str, piece: bytes) -> None:
        """Send a piece again and again, until nobody takes it any more."""
        self.send_response(200)
        self.send_header("content-type", type_)
        self.send_header("transfer-encoding", "chunked")
        self.end_headers()
        while True:
            try:
                self.wfile.write(f"{len(piece):x}\r\n".encode() + piece + b"\r\n")
            except OSError:
                self.close_connection = True
                return

    def do_GET(self) -> None:
        self.send(b"", status=405)

    def do_DELETE(self) -> None:
        self.do_GET()

    def handle(self) -> None:
        with contextlib.suppress(ConnectionError):  # who was told too much hangs up
            super().handle()

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@contextmanager
def raw() -> Iterator[str]:
    """Serve for the length of a block; yield the address."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/mcp"
        finally:
            server.shutdown()
