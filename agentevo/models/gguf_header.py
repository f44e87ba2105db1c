"""What the head of a GGUF file says: read in a millisecond, without the runtime."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import BinaryIO, TypeAlias

from agentevo.errors import WeightsError

Value: TypeAlias = int | float | bool | str | None

_SCALARS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
_TEXT, _ARRAY = 8, 9
_LONGEST_TEXT = 1 << 24


def read_header(file: Path) -> dict[str, Value]:
    """Return the metadata, arrays left out; raise WeightsError for what is no GGUF file, or only the start of one."""
    try:
        with file.open("rb") as stream:
            magic = stream.read(4)
            if magic != b"GGUF":
                raise WeightsError(f"{file} is no GGUF file: it begins with {magic!r}, not b'GGUF'")
            version, _tensors, count = _unpack(stream, "IQQ")
            if version not in (2, 3):
                raise WeightsError(f"{file} is GGUF version {version}; versions 2 and 3 can be read")
            return dict(_pair(stream) for _ in range(int(count)))
    except (struct.error, UnicodeDecodeError, ValueError, MemoryError) as error:
        raise WeightsError(f"{file} is a damaged GGUF file: {error}") from error
    except OSError as error:
        raise WeightsError(f"cannot read {file}: {error.strerror or error}") from error


def context_of(header: dict[str, Value]) -> int | None:
    """Return how many tokens the model was trained to take in."""
    length = header.get(f"{header.get('general.architecture')}.context_length")
    return length if isinstance(length, int) else None


def _pair(stream: BinaryIO) -> tuple[str, Value]:
    name = _text(stream)
    (kind,) = _unpack(stream, "I")
    return name, _value(stream, int(kind))


def _value(stream: BinaryIO, kind: int) -> Value:
    if kind == _TEXT:
        return _text(stream)
    if kind == _ARRAY:
        _skip_array(stream)
        return None
    if kind not in _SCALARS:
        raise ValueError(f"unknown type {kind}")
    (value,) = _unpack(stream, _SCALARS[kind])
    return value


def _skip_array(stream: BinaryIO) -> None:
    element, count = _unpack(stream, "IQ")
    if element in _SCALARS:
        stream.seek(int(count) * struct.calcsize(_SCALARS[int(element)]), 1)
        return
    for _ in range(int(count)):
        _value(stream, int(element))


def _text(stream: BinaryIO) -> str:
    (length,) = _unpack(stream, "Q")
    if length > _LONGEST_TEXT:
        raise ValueError(f"a text of {length} bytes")
    return _exactly(stream, int(length)).decode("utf-8", "replace")


def _unpack(stream: BinaryIO, layout: str) -> tuple[int | float | bool, ...]:
    layout = "<" + layout
    return struct.unpack(layout, _exactly(stream, struct.calcsize(layout)))


def _exactly(stream: BinaryIO, length: int) -> bytes:
    block = stream.read(length)
    if len(block) < length:
        raise ValueError("it ends too early")
    return block
