"""A real Chroma server on a free port, for as long as a test needs it."""

from __future__ import annotations

import contextlib
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def chroma_server(folder: Path) -> Iterator[str]:
    """Run a Chroma server over a folder; give its address."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [str(Path(sys.executable).with_name("chroma")), "run", "--path", str(folder), "--port", str(port)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            _answers(process, f"http://127.0.0.1:{port}/api/v2/heartbeat")
            yield f"http://127.0.0.1:{port}"
        finally:
            process.kill()


def _answers(process: subprocess.Popen[bytes], url: str) -> None:
    for _ in range(300):
        with contextlib.suppress(urllib.error.URLError, OSError), urllib.request.urlopen(url, timeout=1):
            return
        assert process.poll() is None, "the server ended by itself"
        time.sleep(0.1)
    raise AssertionError(f"{url} did not answer")
