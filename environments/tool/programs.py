"""What a program needs to read beside itself: the virtual environment or the node_modules that it was installed in."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path


def installed_with(program: str) -> list[str]:
    """Return what a program, or a file that one is given, was installed with; a link is looked at from both ends."""
    ends = dict.fromkeys((program, os.path.realpath(program)))
    return list(dict.fromkeys(str(path) for end in ends for path in _around(Path(end))))


def _around(program: Path) -> Iterator[Path]:
    prefix = program.parent.parent
    if (prefix / "pyvenv.cfg").is_file():
        yield prefix
        yield from _python_of(prefix)
    packages = [folder for folder in program.parents if folder.name == "node_modules"]
    if packages:
        yield packages[-1]
    if (prefix / "lib" / "node_modules").is_dir():
        yield prefix / "lib" / "node_modules"
        yield prefix / "bin" / "node"


def _python_of(environment: Path) -> Iterator[Path]:
    """Yield what the Python of a virtual environment consists of; not its prefix, which may be somebody's home."""
    try:
        lines = (environment / "pyvenv.cfg").read_text("utf-8", "replace").splitlines()
    except OSError:
        return
    told = dict(line.partition("=")[::2] for line in lines)
    home = next((value.strip() for key, value in told.items() if key.strip() == "home"), "")
    if Path(home).is_absolute():
        yield Path(home)
        yield Path(home).parent / "lib"
