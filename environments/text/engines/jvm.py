"""A Java engine beside this worker, reached by py4j over the loopback."""

from __future__ import annotations

import os
import socket
from typing import Any

OPTIONS = ("-XX:+UseSerialGC", "-XX:+UnlockExperimentalVMOptions", "-XX:hashCode=2")
"""Objects have one hash code for all: an order by addresses would let the same actions end differently another time."""


class Machine:
    """A virtual machine; `classes` is py4j's way to those of its jar."""

    def __init__(self, classes: Any, port: int) -> None:
        self.classes, self._port, self._name = classes, port, os.urandom(8).hex()

    def line(self, name: str) -> socket.socket | None:
        """Return one more line to it, if it is the machine of that name."""
        return socket.create_connection(("127.0.0.1", self._port)) if name == self._name else None

    def at(self, simulator: Any, start: float = 0.0) -> dict[str, Any]:
        """Say where an object of it is found."""
        return {"line": self._name, "object": simulator._get_object_id(), "start": start}


def started(java: str, jar: str, folder: str, memory_mb: int) -> Machine:
    """Start a virtual machine with a jar."""
    from py4j.java_gateway import GatewayParameters, JavaGateway, launch_gateway

    port, process = launch_gateway(
        classpath=jar, cwd=folder, die_on_exit=True, return_proc=True, java_path=java,
        javaopts=[*OPTIONS, f"-Xmx{memory_mb}m"],
    )  # fmt: skip
    gateway = JavaGateway(gateway_parameters=GatewayParameters(auto_field=True, port=port), java_process=process)
    return Machine(gateway.jvm, port)


def failure() -> type[Exception]:
    """Return what py4j raises where Java code raised."""
    from py4j.protocol import Py4JJavaError

    error: type[Exception] = Py4JJavaError
    return error
