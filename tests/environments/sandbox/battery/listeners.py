"""What listens on the machine, for attackers to reach; every contact is written down."""

from __future__ import annotations

import contextlib
import selectors
import socket
import threading
from collections.abc import Callable
from pathlib import Path
from types import TracebackType

Told = Callable[[str], None]
SOCKETS: list[tuple[str, socket.AddressFamily, socket.SocketKind]] = [
    ("tcp", socket.AF_INET, socket.SOCK_STREAM),
    ("tcp6", socket.AF_INET6, socket.SOCK_STREAM),
    ("udp", socket.AF_INET, socket.SOCK_DGRAM),
]


class Listeners:
    """Sockets of many attacks, served by one thread."""

    def __init__(self) -> None:
        self._waiting = selectors.DefaultSelector()
        self._lock = threading.Lock()
        self._knocked: dict[str, tuple[list[tuple[socket.AddressFamily, object]], Told]] = {}
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._serve, daemon=True)

    def __enter__(self) -> Listeners:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._over.set()
        self._thread.join()
        self._waiting.close()

    def open(self, folder: Path, name: str, told: Told) -> tuple[dict[str, int], list[socket.socket]]:
        """Listen for one attack, by every kind of address; return the ports and the sockets."""
        opened, ports = [], {}
        for label, family, kind in SOCKETS:
            listener = socket.socket(family, kind)
            with contextlib.suppress(OSError):  # a machine without version 6
                listener.bind(("::1" if family == socket.AF_INET6 else "", 0))
                ports[label] = listener.getsockname()[1]
                opened.append((label, listener))
        for label, address, kind in [
            ("abstract", f"\0{name}", socket.SOCK_STREAM),
            ("abstract datagram", f"\0{name}d", socket.SOCK_DGRAM),
            ("socket", str(folder / "socket"), socket.SOCK_STREAM),
        ]:
            listener = socket.socket(socket.AF_UNIX, kind)
            listener.bind(address)
            opened.append((label, listener))
        (folder / "socket").chmod(0o777)
        kept = socket.socket()  # so that nobody else is given this port; who listens on it in earnest may take it over
        kept.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        kept.bind(("127.0.0.1", 0))
        ports["back"] = kept.getsockname()[1]
        with self._lock:
            for label, listener in opened:
                if listener.type == socket.SOCK_STREAM:
                    listener.listen()
                listener.setblocking(False)
                self._waiting.register(listener, selectors.EVENT_READ, (label, told))
            self._knocked[name] = (
                [(socket.AF_INET, ("127.0.0.1", ports["back"])), (socket.AF_UNIX, f"\0{name}b")],
                told,
            )
        return ports, [kept, *(listener for _, listener in opened)]

    def close(self, name: str, sockets: list[socket.socket]) -> None:
        """Stop listening for one attack."""
        with self._lock:
            self._knocked.pop(name, None)
            for listener in sockets:
                if listener in self._waiting.get_map():
                    self._waiting.unregister(listener)
                listener.close()

    def _serve(self) -> None:
        while not self._over.wait(0.02):
            with self._lock:
                for key, _ in self._waiting.select(0):
                    label, told = key.data
                    told(f"reached by {label}")
                    _accept(key.fileobj)
                for addresses, told in self._knocked.values():
                    for family, address in addresses:
                        _knock(family, address, told)


def _accept(listener: object) -> None:
    assert isinstance(listener, socket.socket)
    with contextlib.suppress(OSError):
        if listener.type == socket.SOCK_STREAM:
            listener.accept()[0].close()
        else:
            listener.recv(100)


def _knock(family: socket.AddressFamily, address: object, told: Told) -> None:
    """Try what an attacker may listen on."""
    with contextlib.suppress(OSError), socket.socket(family) as caller:
        caller.settimeout(0.05)
        if not caller.connect_ex(address):  # type: ignore[arg-type]  # an address of either family
            told("answered from inside")
