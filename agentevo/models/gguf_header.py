"""What the head of a GGUF file says, and whether the file is whole: read in milliseconds, without the runtime.

Covered: a head that is damaged, a file that is cut off, one that goes on after its last tensor. Not covered: weights
that are damaged in place (that is what hashes are for), and the sizes of tensors of a type that is not known here; a
file with such tensors is let through, since the runtime may know the type.
"""

from __future__ import annotations

import logging
import math
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, TypeAlias

from agentevo.errors import WeightsError

log = logging.getLogger(__name__)

Value: TypeAlias = int | float | bool | str | None

_SCALARS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
_TEXT, _ARRAY = 8, 9
_LONGEST_TEXT = 1 << 24


_SIZES = {
    0: (1, 4), 1: (1, 2), 2: (32, 18), 3: (32, 20), 6: (32, 22), 7: (32, 24), 8: (32, 34), 10: (256, 84),
    11: (256, 110), 12: (256, 144), 13: (256, 176), 14: (256, 210), 15: (256, 292), 16: (256, 66), 17: (256, 74),
    18: (256, 98), 19: (256, 50), 20: (32, 18), 21: (256, 110), 22: (256, 82), 23: (256, 136), 24: (1, 1), 25: (1, 2),
    26: (1, 4), 27: (1, 8), 28: (1, 8), 29: (256, 56), 30: (1, 2), 34: (256, 54), 35: (256, 66), 39: (32, 17),
    40: (64, 36), 41: (128, 18),
}  # fmt: skip
"""By the number of a tensor's type: how many values a block holds, and how many bytes it takes."""
_ALIGNMENT = 32  # of tensors, where the file does not say
_MOST_DIMENSIONS = 4


@dataclass(frozen=True, slots=True)
class Extent:
    """How far the tensors reach into a file; `unknown` are the types whose sizes are not known here."""

    tensors: int
    end: int
    alignment: int
    unknown: frozenset[int]


def read_header(file: Path) -> dict[str, Value]:
    """Return the metadata, arrays left out; raise WeightsError for what is no GGUF file, or only the start of one."""
    with _reading(file) as stream:
        return _head(stream, file)[0]


def check_whole(file: Path) -> dict[str, Value]:
    """Return the metadata; raise WeightsError if the file has less than its tensors, more, or none at all."""
    with _reading(file) as stream:
        header, tensors = _head(stream, file)
        extent = _extent(stream, header, tensors)
        size = file.stat().st_size
    if not extent.tensors:
        raise WeightsError(f"{file} is a GGUF file without weights: it holds no tensors")
    if size < extent.end:
        raise WeightsError(f"{file} is cut off: it has {size} bytes, but its weights take {extent.end}; get it anew")
    if extent.unknown:
        kinds = ", ".join(map(str, sorted(extent.unknown)))
        log.warning(
            "%s has tensors of types not known here (%s): only the runtime can tell if it is whole", file, kinds
        )
    elif size > _aligned(extent.end, extent.alignment):
        raise WeightsError(f"{file} is damaged: it has {size} bytes, but its weights end at {extent.end}; get it anew")
    return header


def context_of(header: dict[str, Value]) -> int | None:
    """Return how many tokens the model was trained to take in."""
    length = header.get(f"{header.get('general.architecture')}.context_length")
    return length if isinstance(length, int) else None


@contextmanager
def _reading(file: Path) -> Iterator[BinaryIO]:
    try:
        with file.open("rb") as stream:
            yield stream
    except (struct.error, UnicodeDecodeError, ValueError, OverflowError, MemoryError) as error:
        raise WeightsError(f"{file} is a damaged GGUF file: {error}") from error
    except OSError as error:
        raise WeightsError(f"cannot read {file}: {error.strerror or error}") from error


def _head(stream: BinaryIO, file: Path) -> tuple[dict[str, Value], int]:
    """Return the metadata, and how many tensors are described after it."""
    magic = stream.read(4)
    if magic != b"GGUF":
        raise WeightsError(f"{file} is no GGUF file: it begins with {magic!r}, not b'GGUF'")
    version, tensors, count = _unpack(stream, "IQQ")
    if version not in (2, 3):
        raise WeightsError(f"{file} is GGUF version {version}; versions 2 and 3 can be read")
    return dict(_pair(stream) for _ in range(int(count))), int(tensors)


def _extent(stream: BinaryIO, header: dict[str, Value], tensors: int) -> Extent:
    """Read the descriptions of the tensors, which come after the metadata."""
    alignment = header.get("general.alignment", _ALIGNMENT)
    if not isinstance(alignment, int) or alignment < 1:
        raise ValueError(f"an alignment of {alignment!r}")
    ends, unknown = [0], set()
    for _ in range(tensors):
        offset, size, kind = _tensor(stream)
        if size is None:
            unknown.add(kind)
        ends.append(offset + (size or 0))
    return Extent(tensors, _aligned(stream.tell(), alignment) + max(ends), alignment, frozenset(unknown))


def _tensor(stream: BinaryIO) -> tuple[int, int | None, int]:
    """Return where a tensor begins, how many bytes it takes, as far as that is known, and its type."""
    name = _text(stream)
    (dimensions,) = _unpack(stream, "I")
    if dimensions > _MOST_DIMENSIONS:
        raise ValueError(f"tensor {name!r:.60} has {dimensions} dimensions")
    shape = [int(width) for width in _unpack(stream, f"{int(dimensions)}Q")]
    kind, offset = (int(number) for number in _unpack(stream, "IQ"))
    if kind not in _SIZES:
        return offset, None, kind
    block, size = _SIZES[kind]
    if shape and shape[0] % block:
        raise ValueError(f"tensor {name!r:.60} is {shape[0]} wide, no multiple of {block}")
    return offset, math.prod(shape) // block * size, kind


def _aligned(position: int, alignment: int) -> int:
    return -(-position // alignment) * alignment


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
