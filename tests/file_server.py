"""A real HTTP server on loopback that serves files in ranges, and misbehaves on demand.

    with FileServer({"/a.bin": b"..."}) as server:
        server.then(cut(after=100), status(503))
        urlopen(server.url + "/a.bin")

Each request takes the next behaviour from the queue; once it is empty, the file is served as it should be.
"""

from __future__ import annotations

import contextlib
import hashlib
import re
import socket
import struct
import threading
from collections import Counter, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Self, TypeAlias


@dataclass(frozen=True)
class Asked:
    """One request as it came."""

    path: str
    headers: Mapping[str, str]


class FileServer:
    """Serves `files`, by path. `etags` and `ranges` can be switched off; `seen` keeps what was asked.

    `sent` counts the bytes of files that were sent, by path.
    """

    def __init__(self, files: Mapping[str, bytes], *, etags: bool = True, ranges: bool = True) -> None:
        self.files, self.etags, self.ranges = dict(files), etags, ranges
        self.seen: list[Asked] = []
        self.sent: Counter[str] = Counter()
        self.arrived = threading.Semaphore(0)
        """Released once for each request."""
        self._queue: deque[Behaviour] = deque()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                outer.seen.append(Asked(self.path, dict(self.headers)))
                outer.arrived.release()
                behaviour = outer._queue.popleft() if outer._queue else serve
                behaviour(outer, self)

            def log_message(self, format: str, *args: object) -> None:
                """Say nothing."""

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._http.daemon_threads = True
        self._thread = threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._http.server_address[1]}"

    def then(self, *behaviours: Behaviour) -> None:
        """Queue what the next requests get."""
        self._queue.extend(behaviours)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()


Behaviour: TypeAlias = Callable[[FileServer, BaseHTTPRequestHandler], None]


def serve(server: FileServer, request: BaseHTTPRequestHandler) -> None:
    """Send the file, or the part of it that is asked for."""
    _serve(server, request, None)


def cut(after: int) -> Behaviour:
    """Break the connection after so many bytes of what should be sent."""
    return lambda server, request: _serve(server, request, after)


def stall(after: int) -> Behaviour:
    """Send so many bytes of what should be sent, then nothing until the client leaves."""

    def behave(server: FileServer, request: BaseHTTPRequestHandler) -> None:
        _serve(server, request, after, abort=False)
        request.close_connection = True
        with contextlib.suppress(OSError):
            request.connection.recv(1)

    return behave


def status(code: int, headers: Mapping[str, str] | None = None) -> Behaviour:
    """Answer with a status and no content."""

    def behave(_server: FileServer, request: BaseHTTPRequestHandler) -> None:
        _head(request, code, {"Content-Length": "0", **(headers or {})})

    return behave


def instead(content: bytes, headers: Mapping[str, str] | None = None) -> Behaviour:
    """Send something else."""

    def behave(_server: FileServer, request: BaseHTTPRequestHandler) -> None:
        _head(request, 200, {"Content-Length": str(len(content)), **(headers or {})})
        request.wfile.write(content)

    return behave


def redirect(url: str, headers: Mapping[str, str] | None = None) -> Behaviour:
    """Send the client elsewhere."""
    return status(302, {"Location": url, **(headers or {})})


def hold(until: threading.Event, gone: threading.Event | None = None) -> Behaviour:
    """Send nothing until the event is set, then the file; `gone` is set if the client leaves before."""

    def behave(server: FileServer, request: BaseHTTPRequestHandler) -> None:
        request.connection.settimeout(0.02)
        while not until.is_set():
            try:
                left = request.connection.recv(1) == b""
            except TimeoutError:
                continue
            except OSError:
                left = True
            if left:
                if gone is not None:
                    gone.set()
                request.close_connection = True
                return
        request.connection.settimeout(None)
        _serve(server, request, None)

    return behave


def etag(content: bytes) -> str:
    """Return the tag that the server gives to a content: its SHA-256, as model hubs do."""
    return f'"{hashlib.sha256(content).hexdigest()}"'


def _serve(server: FileServer, request: BaseHTTPRequestHandler, after: int | None, abort: bool = True) -> None:
    content = server.files.get(request.path)
    if content is None:
        _head(request, 404, {"Content-Length": "0"})
        return
    start = _start(server, request, content)
    if start > 0 and start >= len(content):
        _head(request, 416, {"Content-Length": "0", "Content-Range": f"bytes */{len(content)}"})
        return
    kind = "text/html" if request.path.endswith("/") else "application/octet-stream"
    headers = {"Content-Length": str(len(content) - start), "Content-Type": kind}
    if server.etags:
        headers["ETag"] = etag(content)
    if start:
        headers["Content-Range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
    _head(request, 206 if start else 200, headers)
    sending = content[start:] if after is None else content[start : start + after]
    server.sent[request.path] += len(sending)
    request.wfile.write(sending)
    if after is not None and abort:
        _abort(request)


def _start(server: FileServer, request: BaseHTTPRequestHandler, content: bytes) -> int:
    asked = re.fullmatch(r"bytes=(\d+)-", request.headers.get("Range", ""))
    known = request.headers.get("If-Range", etag(content)) == etag(content)
    return int(asked[1]) if asked and server.ranges and known else 0


def _head(request: BaseHTTPRequestHandler, code: int, headers: Mapping[str, str]) -> None:
    request.send_response(code)
    for name, value in headers.items():
        request.send_header(name, value)
    request.end_headers()


def _abort(request: BaseHTTPRequestHandler) -> None:
    """Close so that the client sees the connection break, after it has what was sent."""
    request.wfile.flush()
    request.close_connection = True
    request.connection.shutdown(socket.SHUT_WR)


def reset(_server: FileServer, request: BaseHTTPRequestHandler) -> None:
    """Drop the connection without a word."""
    request.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    request.close_connection = True
    request.connection.close()
