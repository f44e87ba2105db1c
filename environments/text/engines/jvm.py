"""A Java engine beside this worker, reached by py4j over the loopback."""

from __future__ import annotations

import os
import socket
import subprocess
from typing import Any

OPTIONS = ("-XX:+UseSerialGC", "-XX:+UnlockExperimentalVMOptions")
ONE_CODE = "-XX:hashCode=2"
"""Objects have one hash code for all: an order by addresses would let the same actions end differently another time."""
COUNTED_CODES = "-XX:hashCode=3"
"""Objects are numbered: each has its own hash code, the same in each machine that has done the same since its start."""
USUAL_CODES = "-XX:hashCode=5"
"""Each thread draws its own numbers for its objects, as in any virtual machine that is not told otherwise."""

LOOPBACK = "127.0.0.1"
NO_LOOPBACK = (
    "a virtual machine is spoken to over TCP on the loopback, which the walls refuse here: the kernel allows this user"
    " no namespaces, and so no loopback of its own. Allow them (`agentevo doctor` names the tier), or run the engine"
    " with all your rights: walls=False"
)


class NoLoopback(ConnectionError):
    """Nobody can be spoken to over TCP on this machine's loopback."""


class Machine:
    """A virtual machine; `classes` is py4j's way to those of its jar."""

    def __init__(self, gateway: Any, port: int, process: subprocess.Popen[bytes]) -> None:
        self.classes, self._port, self._name = gateway.jvm, port, os.urandom(8).hex()
        self._gateway, self._process = gateway, process

    def line(self, name: str) -> socket.socket | None:
        """Return one more line to it, if it is the machine of that name."""
        return socket.create_connection((LOOPBACK, self._port)) if name == self._name else None

    def at(self, simulator: Any, start: float = 0.0) -> dict[str, Any]:
        """Say where an object of it is found."""
        return {"line": self._name, "object": simulator._get_object_id(), "start": start}

    def end(self) -> None:
        """Stop it; without that it ends with this process."""
        self._gateway.shutdown()
        self._process.kill()
        self._process.wait()  # its output is read, and closed, by threads of py4j
        if self._process.stdin:
            self._process.stdin.close()


def released(simulator: Any) -> None:
    """Have an object be nobody's: in Python it stands in a circle, and would be there until that is collected."""
    simulator._detach()


def started(java: str, jar: str, folder: str, memory_mb: int, codes: str = ONE_CODE) -> Machine:
    """Start a virtual machine with a jar. Raise NoLoopback where it could not be spoken to."""
    _try_loopback()
    from py4j.java_gateway import GatewayParameters, JavaGateway, launch_gateway

    port, process = launch_gateway(
        classpath=jar, cwd=folder, die_on_exit=True, return_proc=True, java_path=java,
        javaopts=[*OPTIONS, codes, f"-Xmx{memory_mb}m"],
    )  # fmt: skip
    gateway = JavaGateway(gateway_parameters=GatewayParameters(auto_field=True, port=port), java_process=process)
    return Machine(gateway, port, process)


def _try_loopback() -> None:
    """Speak to oneself: a virtual machine that must not would never say so, and be waited for."""
    try:
        with socket.create_server((LOOPBACK, 0)) as server, socket.create_connection(server.getsockname()):
            pass
    except OSError as error:
        raise NoLoopback(NO_LOOPBACK) from error


def failure() -> type[Exception]:
    """Return what py4j raises where Java code raised."""
    from py4j.protocol import Py4JJavaError

    error: type[Exception] = Py4JJavaError
    return error
