"""Messages over a socket: four bytes of length, then JSON; never pickle, and never more than a limit."""

from __future__ import annotations

import json
import socket
import struct
from collections.abc import Sequence

LIMIT = 128 * 1024 * 1024
HEAD = struct.Struct("!I")
DESCRIPTORS = 4
"""So many descriptors come with one message at most."""

Message = dict[str, object]


class Broken(ValueError):
    """What came is no message: too long, cut off, or not JSON."""


def pack(message: Message, limit: int = LIMIT) -> bytes:
    """Return a message as bytes with its length before it."""
    body = json.dumps(message, separators=(",", ":")).encode()
    if len(body) > limit:
        raise Broken(f"a message of {len(body)} bytes is over the limit of {limit}")
    return HEAD.pack(len(body)) + body


def unpack(body: bytes | bytearray) -> Message:
    """Return the message that bytes hold."""
    try:
        message = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise Broken(f"not JSON: {error}") from None
    if not isinstance(message, dict):
        raise Broken(f"expected an object, not {type(message).__name__}")
    return message


def length(head: bytes | bytearray, limit: int = LIMIT) -> int:
    """Return how many bytes follow a head; raise Broken where that is over the limit."""
    size = int(HEAD.unpack(head)[0])
    if size > limit:
        raise Broken(f"a message of {size} bytes is over the limit of {limit}")
    return size


def send(to: socket.socket, message: Message, descriptors: Sequence[int] = (), limit: int = LIMIT) -> None:
    """Send one message, and descriptors with it."""
    data = pack(message, limit)
    if descriptors:
        sent = socket.send_fds(to, [data], [*descriptors])
        data = data[sent:]
    if data:  # a reader that has all of it may be gone already
        to.sendall(data)


def receive(source: socket.socket, limit: int = LIMIT) -> Message | None:
    """Wait for one message; None where the other side has gone."""
    message, descriptors = receive_all(source, limit)
    if descriptors:
        raise Broken(f"{len(descriptors)} descriptors came, and none was expected")
    return message


def receive_all(source: socket.socket, limit: int = LIMIT) -> tuple[Message | None, list[int]]:
    """Wait for one message and the descriptors that come with it."""
    head, descriptors, _, _ = socket.recv_fds(source, HEAD.size, DESCRIPTORS)
    if not head:
        return None, descriptors
    if len(head) < HEAD.size:
        head += _exactly(source, HEAD.size - len(head))
    return unpack(_exactly(source, length(head, limit))), descriptors


def _exactly(source: socket.socket, size: int) -> bytearray:
    body = bytearray(size)
    view, at = memoryview(body), 0
    while at < size:
        got = source.recv_into(view[at:])
        if not got:
            raise Broken(f"the other side went after {at} of {size} bytes")
        at += got
    return body
