"""Calls of objects in a virtual machine as lines of py4j's, and plain values of theirs, for who holds a line to it."""

from __future__ import annotations

from collections.abc import Callable, Mapping

_ESCAPED = str.maketrans({"\\": "\\\\", "\n": "\\n", "\r": "\\r"})
_VALUES: Mapping[str, Callable[[str], object]] = {
    "s": lambda said: _unescaped(said), "d": float, "i": int, "b": lambda said: said == "true",
}  # fmt: skip


def call(object_: str, method: str, *texts: str) -> str:
    """Return the lines that call a method with texts."""
    return "".join([f"c\n{object_}\n{method}\n", *(f"s{text.translate(_ESCAPED)}\n" for text in texts), "e\n"])


def release(object_: str) -> str:
    """Return the lines that let go of an object."""
    return f"m\nd\n{object_}\ne\n"


def value(line: bytes) -> object:
    """Return the plain value that a line answers with; None for all else, and where Java code raised."""
    said = line.decode(errors="replace")
    read = _VALUES.get(said[2:3]) if said.startswith("!y") else None
    try:
        return read(said[3:]) if read else None
    except ValueError:
        return None


def raised(line: bytes) -> str:
    """Return the name of the exception that a line answers with, which is held until it is released; "" for none."""
    return line[3:].decode(errors="replace") if line.startswith(b"!xr") else ""


def _unescaped(said: str) -> str:
    if "\\" not in said:
        return said
    whole = (part.replace("\\n", "\n").replace("\\r", "\r") for part in said.split("\\\\"))
    return "\\".join(whole)
