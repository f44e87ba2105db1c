"""A listener on a private socket, played by a small HTTP server."""

from __future__ import annotations

import json
import os
import socketserver
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from types import SimpleNamespace

import pytest

from agentevo.errors import ModelError
from agentevo.models.private_socket import PrivateSocket


class Handler(BaseHTTPRequestHandler):
    """Sends back what it was asked, or nonsense."""

    def do_POST(self) -> None:
        asked = self.rfile.read(int(self.headers["Content-Length"]))
        known = {"/echo": (200, asked), "/nonsense": (200, b"<html>"), "/hangup": (200, b"")}
        code, answer = known.get(self.path, (404, b"no such thing"))
        if self.path == "/hangup":
            return
        if self.headers["Authorization"] != f"Bearer {self.server.key}":  # type: ignore[attr-defined]
            code, answer = 401, b"who are you?"
        self.send_response(code)
        self.end_headers()
        self.wfile.write(answer)

    def address_string(self) -> str:
        return "a socket"

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@contextmanager
def listening() -> Iterator[tuple[PrivateSocket, SimpleNamespace]]:
    """Give a private socket that is listened on, and what the listener was told."""
    private, params = PrivateSocket(), SimpleNamespace()
    private.arrange(params)
    with socketserver.ThreadingUnixStreamServer(params.hostnames[0], Handler) as server:
        server.key = params.api_keys[0]  # type: ignore[attr-defined]
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield private, params
        finally:
            server.shutdown()
            thread.join()


def test_what_is_hidden_still_answers_and_leaves_no_file() -> None:
    with listening() as (private, params):
        assert private.ask("/echo", {"content": "é\n"}) == {"content": "é\n"}
        private.hide()
        assert private.ask("/echo", {"content": "again"}) == {"content": "again"}
        assert Path(params.hostnames[0]).parent.exists() != hasattr(os, "O_PATH")
        private.close()


def test_who_lacks_the_key_is_refused() -> None:
    with listening() as (_, params):
        stranger = PrivateSocket()
        stranger._address = params.hostnames[0]
        with pytest.raises(ModelError, match="401"):
            stranger.ask("/echo", {})
        stranger.close()


@pytest.mark.parametrize(("path", "why"), [("/other", "404"), ("/nonsense", "Expecting value"), ("/hangup", "answer")])
def test_no_usable_answer_is_an_error_of_one_line(path: str, why: str) -> None:
    with listening() as (private, _), pytest.raises(ModelError, match=why) as caught:
        private.ask(path, {})
    assert "\n" not in str(caught.value)
    private.close()


def test_a_listener_that_is_gone_is_an_error_and_its_file_too() -> None:
    with listening() as (private, params):
        pass
    with pytest.raises(ModelError, match="does not answer"):
        private.ask("/echo", {})
    private.close()
    assert not Path(params.hostnames[0]).parent.exists()


FORK = """
import os
from types import SimpleNamespace
from agentevo.models.private_socket import PrivateSocket
private, params = PrivateSocket(), SimpleNamespace()
private.arrange(params)
folder = os.path.dirname(params.hostnames[0])
if not (child := os.fork()):
    private.close()
    os._exit(0)
os.waitpid(child, 0)
print(os.path.isdir(folder))
private.close()
print(os.path.isdir(folder))
"""


def test_a_forked_child_leaves_its_parents_file_alone() -> None:
    said = subprocess.run([sys.executable, "-c", FORK], capture_output=True, text=True, check=True)
    assert said.stdout.split() == ["True", "False"]


def test_what_nobody_closes_is_closed_when_nobody_has_it() -> None:
    params = SimpleNamespace()
    private = PrivateSocket()
    private.arrange(params)
    folder = Path(params.hostnames[0]).parent
    assert folder.is_dir()
    assert json.dumps(params.api_keys)
    del private
    assert not folder.exists()
