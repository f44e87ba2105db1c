"""The runtime's own HTTP listener, which cannot be left out: on a socket that nobody else can reach.

On Linux the socket's file is removed at once, and this process keeps hold of the socket itself; elsewhere it stays in
a folder of the user's until it is closed. Either way it asks for a key that only this process knows.
"""

from __future__ import annotations

import http.client
import json
import os
import secrets
import shutil
import socket
import tempfile
import weakref
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from agentevo.errors import ModelError
from agentevo.types import Json

_ANSWERED_WITHIN_S = 30.0


class PrivateSocket:
    """A place for a listener. `arrange` before it starts, `hide` after, and then `ask`, from any thread."""

    def __init__(self) -> None:
        # The path of a socket has room for about 100 characters.
        folder = tempfile.mkdtemp(prefix="agentevo-", dir=None if len(tempfile.gettempdir()) < 60 else "/tmp")
        self._file, self._key = Path(folder) / "s.sock", secrets.token_hex(32)
        self._address = str(self._file)
        self._free: Callable[[], object] = weakref.finalize(self, _remove, folder, os.getpid())

    def arrange(self, params: Any) -> None:
        """Have a runtime that starts with these parameters listen here."""
        params.hostnames, params.api_keys = [str(self._file)], [self._key]
        params.endpoint_slots, params.ui = False, False

    def hide(self) -> None:
        """Remove the file, where the socket can be reached without it."""
        if not hasattr(os, "O_PATH") or not Path("/proc/self/fd").is_dir():
            return
        held = os.open(self._file, os.O_PATH | os.O_CLOEXEC)
        self._address = f"/proc/self/fd/{held}"
        self._free()
        self._free = weakref.finalize(self, os.close, held)

    def close(self) -> None:
        """Remove what is left of it."""
        self._free()

    def ask(self, path: str, body: Mapping[str, Json]) -> Any:
        """Post a request to the runtime and return its answer; raise ModelError if there is none."""
        connection = _Connection(self._address)
        try:
            headers = {"Authorization": f"Bearer {self._key}", "Content-Type": "application/json"}
            connection.request("POST", path, json.dumps(body), headers)
            response = connection.getresponse()
            answer = response.read()
            if response.status != 200:
                raise ModelError(f"the offline runtime refused {path} ({response.status}): {answer[:200]!r}")
            return json.loads(answer)
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise ModelError(f"the offline runtime does not answer to {path}: {error}") from error
        finally:
            connection.close()


def _remove(folder: str, owner: int) -> None:
    if os.getpid() == owner:  # a forked child ends before its parent, which still listens there
        shutil.rmtree(folder, ignore_errors=True)


class _Connection(http.client.HTTPConnection):
    """HTTP over a socket with a path."""

    def __init__(self, address: str) -> None:
        super().__init__("localhost")
        self._address = address

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(_ANSWERED_WITHIN_S)
        self.sock.connect(self._address)
