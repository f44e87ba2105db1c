"""`agentevo` as a process of its own: on a terminal, or interrupted while its model is being waited for."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

from openai_server import OpenAIServer

AGENTEVO = Path(sys.executable).parent / "agentevo"


class Done(NamedTuple):
    """How a command ended, and what it wrote."""

    status: int
    out: str
    talk: str


def done(*arguments: str) -> Done:
    """Run a command to its end."""
    ended = subprocess.run([str(AGENTEVO), *arguments], capture_output=True, text=True, check=False)
    return Done(ended.returncode, ended.stdout, ended.stderr)


def interrupted(server: OpenAIServer, requests: int, *arguments: str) -> Done:
    """Run a command, and interrupt it when so many requests have come, the last of which is to hang."""
    command = [str(AGENTEVO), *arguments]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    server.wait_for_requests(requests)
    process.send_signal(signal.SIGINT)
    out, talk = process.communicate(timeout=120)
    return Done(process.returncode, out, talk)


def on_a_terminal(columns: int, *arguments: str) -> bytes:
    """Return what a command, which must succeed, writes to a terminal of so many columns."""
    ours, theirs = pty.openpty()
    variables = {**os.environ, "COLUMNS": str(columns), "TERM": "xterm"}
    process = subprocess.Popen([str(AGENTEVO), *arguments], env=variables, stdout=theirs, stderr=subprocess.DEVNULL)
    os.close(theirs)
    said = b""
    try:
        while piece := os.read(ours, 65_536):
            said += piece
    except OSError:
        pass  # a terminal whose other end is closed
    finally:
        os.close(ours)
    assert process.wait(120) == 0
    return said
