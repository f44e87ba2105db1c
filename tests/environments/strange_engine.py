"""An engine as somebody else might have written it: it counts, prints, raises, hangs, dies and lies."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any


class Strange:
    def __init__(self, start: int = 0, mark: str = "") -> None:
        if start < 0:
            raise ValueError("it cannot start below zero") from KeyError("zero")
        self.sum, self.mark = start, mark

    def add(self, by: int) -> int:
        print(f"adding {by}")  # noqa: T201 - as engines do
        self.sum += by
        return self.sum

    def fail(self, how: str) -> Any:
        if how == "raise":
            raise ValueError("no \x1b[31mway\x1b[0m " + "x" * 10_000)
        if how == "exit":
            sys.exit("bye")
        return {"object": object(), "nan": float("nan"), "deep": self._deep()}[how]

    def _deep(self) -> list[Any]:
        found: list[Any] = []
        for _ in range(100_000):
            found = [found]
        return found

    def hang(self) -> None:
        time.sleep(600)

    def die(self) -> None:
        print("out of cheese")  # noqa: T201 - its last words
        os._exit(3)

    def chatter(self) -> str:
        sys.stderr.write("la" * 2_000_000)
        return "said"

    def shout(self) -> None:
        while True:
            sys.stderr.write("la" * 1_000)

    def flood(self) -> str:
        return "x" * 65_000_000

    def lie(self, text: str) -> None:
        """Speak where only the worker should."""
        for descriptor in range(3, 32):
            try:
                os.write(descriptor, text.encode() + b"\n")
            except OSError:
                continue

    def line(self, name: str) -> socket.socket | None:
        """Hand over a line to somebody who answers, but for some words, in capitals."""
        if name == "nobody":
            return None
        ours, theirs = socket.socketpair()
        threading.Thread(target=self._answering, args=(ours,), daemon=True).start()
        return theirs

    def _answering(self, end: socket.socket) -> None:
        for line in end.makefile("rb"):
            if line == b"go\n":
                return end.shutdown(socket.SHUT_RDWR)
            time.sleep({b"wait\n": 0.3, b"hang\n": 600}.get(line, 0))
            end.sendall(line.upper())
        return None

    def spawn(self, mark: str) -> str:
        """Leave a process behind that wants to outlive everybody."""
        code = "import time; time.sleep(600)"
        subprocess.Popen([sys.executable, "-S", "-c", code, mark], start_new_session=True)
        return "spawned"

    def seen(self) -> list[Any]:
        return [sorted(os.environ), str(Path.cwd()) == os.environ["HOME"], os.environ["HOME"], sys.stdin.read()]


NOT_CALLABLE = 1
