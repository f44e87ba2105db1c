"""MCP servers from npm, for tests that drive real ones: fetched once into the user's home, with nothing of them run."""

from __future__ import annotations

import functools
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest
from filelock import FileLock

from agentevo.settings import home

VERSION = "2026.8.31"
NAMES = ("filesystem", "memory")


@functools.cache
def fetched() -> Path | str:
    """Return the folder with their programs, or why there is none."""
    if shutil.which("node") is None or shutil.which("npm") is None:
        return "there is no node or no npm on this machine"
    place = home() / "downloads" / f"npm-servers-{VERSION}"
    place.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(place.with_suffix(".lock")):
        return (_missing(place) if not place.exists() else "") or place / "node_modules" / ".bin"


def _missing(place: Path) -> str:
    """Fetch the servers; return why they could not be, which is nothing where they were."""
    with tempfile.TemporaryDirectory(dir=place.parent) as folder:
        packages = [f"@modelcontextprotocol/server-{name}@{VERSION}" for name in NAMES]
        command = ["npm", "install", "--ignore-scripts", "--no-audit", "--no-fund", "--prefix", folder, *packages]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=120)
        except subprocess.TimeoutExpired:
            return "the npm registry does not answer"
        if done.returncode:
            return f"npm could not fetch them: {done.stderr.strip()[-200:]}"
        os.rename(folder, place)  # noqa: PTH104 - TemporaryDirectory must find nothing to delete
        Path(folder).mkdir()
    return ""


def program(name: str) -> str:
    """Return the path of a server's program; skip the test, with the reason, where it cannot be had."""
    found = fetched()
    if isinstance(found, str):
        pytest.skip(found)
    return str(found / f"mcp-server-{name}")
