"""Where Java is, for the engines that need it."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from agentevo.errors import Misuse


class MissingJava(Misuse):
    """An engine needs Java, and there is none."""

    def __init__(self, engine: str) -> None:
        super().__init__(
            f"{engine} needs Java, and there is no program 'java' here, on PATH or below JAVA_HOME: install a Java"
            " runtime, 8 or newer (Debian, Ubuntu: apt install default-jre-headless; macOS: brew install openjdk)"
        )


def find_java(engine: str) -> str:
    """Return the path of the program. Raise MissingJava, which names the engine, where there is none."""
    home = os.environ.get("JAVA_HOME")
    found = shutil.which("java", path=str(Path(home, "bin"))) if home else None
    found = found or shutil.which("java")
    if found is None:
        raise MissingJava(engine)
    return os.path.realpath(found)


def runtime_of(java: str) -> str:
    """Return the folder that a Java program needs to read: where it is installed."""
    return str(Path(java).parent.parent)
