"""The agent's side of a zygote: starts it, asks it for workers, notices when it has gone."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path

from agentevo.environments.sandbox.limits import Limits
from agentevo.environments.sandbox.results import SandboxBroken

BOX = Path(__file__).parent / "box"
PACKAGE = "agentevo.environments.sandbox.box"
START = f"""
import sys, types
parts = {PACKAGE!r}.split(".")
for count in range(1, len(parts) + 1):
    package = sys.modules[".".join(parts[:count])] = types.ModuleType(".".join(parts[:count]))
    package.__path__ = []
package.__path__ = [sys.argv.pop(1)]
from {PACKAGE} import forks
forks.keep()
from {PACKAGE}.zygote import main
main()
"""
ENVIRONMENT = {
    "PATH": "/usr/local/bin:/usr/bin:/bin", "LANG": "C.UTF-8", "TZ": "UTC", "PYTHONHASHSEED": "0",
    "PYTHONDONTWRITEBYTECODE": "1", "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1",
}  # fmt: skip
"""All that a program sees of any environment."""
START_TIMEOUT_S = 20.0
END_TIMEOUT_S = 5.0
MESSAGE = 65536


class TierFailed(Exception):
    """A tier whose walls could not be put up here."""


@dataclass(slots=True)
class Worker:
    """The agent's end of the channel to one worker's supervisor, and its number in the zygote's world."""

    channel: socket.socket
    number: int


@dataclass(slots=True)
class Zygote:
    """A running zygote; `ask` it for workers from any thread. It ends when it is closed, or with this process."""

    tier: str
    readable: Sequence[str] = ()
    process: subprocess.Popen[bytes] = field(init=False)
    _folder: str = field(init=False)
    _control: socket.socket = field(init=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, init=False)
    _asked: deque[Future[Worker]] = field(default_factory=deque, init=False)
    _gone: bool = field(default=False, init=False)
    _owner: int = field(default_factory=os.getpid, init=False)

    def __post_init__(self) -> None:
        self._control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._folder = "" if self.tier == "namespaces" else tempfile.mkdtemp(prefix="agentevo-sandbox-")
        config = json.dumps({"tier": self.tier, "readable": [*self.readable], "folder": self._folder})
        python = os.path.realpath(getattr(sys, "_base_executable", sys.executable))
        with theirs:
            self.process = subprocess.Popen(
                [python, "-P", "-s", "-S", "-c", START, str(BOX), config, str(theirs.fileno())],
                stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()], env=ENVIRONMENT, cwd="/", start_new_session=True,
            )  # fmt: skip
        try:
            self._wait_until_ready()
        except BaseException:
            self.close()
            self._control.close()
            raise
        threading.Thread(target=self._listen, name="agentevo-sandbox", daemon=True).start()

    def _wait_until_ready(self) -> None:
        self._control.settimeout(START_TIMEOUT_S)
        try:
            data = self._control.recv(MESSAGE)
        except TimeoutError:
            raise TierFailed(f"its zygote was not ready within {START_TIMEOUT_S:.0f} s") from None
        if not data:
            raise TierFailed(f"its zygote ended with status {self.process.wait(START_TIMEOUT_S)}")
        said = json.loads(data)
        if "failed" in said:
            raise TierFailed(str(said["failed"]))
        self._control.settimeout(None)

    @property
    def is_alive(self) -> bool:
        """Whether it can still be asked; a forked child of the agent has none of its own."""
        return not self._gone and self._owner == os.getpid()

    def ask(self, limits: Limits) -> Future[Worker]:
        """Ask for one more worker; the answer comes later, SandboxBroken among the possible ones."""
        answer: Future[Worker] = Future()
        with self._lock:
            if not self._gone:
                self._asked.append(answer)
                with contextlib.suppress(OSError):  # then the listener sees the end, and answers
                    self._control.send(json.dumps({"fork": limits.as_dict()}).encode())
                return answer
        answer.set_exception(SandboxBroken("the zygote has ended"))
        return answer

    def kill(self, number: int) -> None:
        """End one worker at once, with all its processes."""
        self._tell({"kill": number})

    def leave(self, number: int) -> None:
        """Say that a worker is not needed any more: too many that are still about to go hold up new ones."""
        self._tell({"left": number})

    def _tell(self, what: dict[str, int]) -> None:
        with self._lock, contextlib.suppress(OSError):
            self._control.send(json.dumps(what).encode())

    def _listen(self) -> None:
        """Hand out workers as they come, until the zygote has gone."""
        while True:
            try:
                data, descriptors, _, _ = socket.recv_fds(self._control, MESSAGE, 1)
            except OSError:
                break
            if not data:
                break
            said = json.loads(data)
            if "worker" in said:
                _hand(self._asked.popleft(), Worker(socket.socket(fileno=descriptors[0]), int(said["worker"])))
            else:
                _refuse(self._asked.popleft(), f"no worker could be forked: {said['refused']}")
        with self._lock:
            self._gone = True
            left = [*self._asked]
            self._asked.clear()
        for answer in left:
            _refuse(answer, "the zygote has ended")
        self._control.close()
        self.process.wait()

    def close(self) -> None:
        """End the zygote and with it all its workers; closing twice is fine."""
        self._gone = True
        if self._owner != os.getpid():  # a forked child only lets go: the zygote is its parent's
            self._control.close()
            return
        with contextlib.suppress(OSError):
            self._control.shutdown(socket.SHUT_RDWR)
        try:
            self.process.wait(END_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        if self._folder:
            shutil.rmtree(self._folder, ignore_errors=True)


def _hand(answer: Future[Worker], worker: Worker) -> None:
    if answer.set_running_or_notify_cancel():
        answer.set_result(worker)
    else:
        worker.channel.close()


def _refuse(answer: Future[Worker], why: str) -> None:
    if answer.set_running_or_notify_cancel():
        answer.set_exception(SandboxBroken(why))
