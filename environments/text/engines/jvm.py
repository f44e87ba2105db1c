"""A Java engine beside this worker, reached by py4j over the loopback."""

from __future__ import annotations

from typing import Any

OPTIONS = ("-XX:+UseSerialGC", "-XX:+UnlockExperimentalVMOptions", "-XX:hashCode=2")
"""Objects have one hash code for all: an order by addresses would let the same actions end differently another time."""


def started(java: str, jar: str, folder: str, memory_mb: int) -> Any:
    """Start a virtual machine with a jar, and return py4j's way to its classes."""
    from py4j.java_gateway import GatewayParameters, JavaGateway, launch_gateway

    port, process = launch_gateway(
        classpath=jar, cwd=folder, die_on_exit=True, return_proc=True, java_path=java,
        javaopts=[*OPTIONS, f"-Xmx{memory_mb}m"],
    )  # fmt: skip
    return JavaGateway(gateway_parameters=GatewayParameters(auto_field=True, port=port), java_process=process).jvm


def failure() -> type[Exception]:
    """Return what py4j raises where Java code raised."""
    from py4j.protocol import Py4JJavaError

    error: type[Exception] = Py4JJavaError
    return error
