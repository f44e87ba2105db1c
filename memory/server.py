"""The address of a Chroma server."""

from __future__ import annotations

import re

from agentevo.errors import Misuse

_ADDRESS = re.compile(r"(?:(https?)://)?(\[[0-9a-f:.]+\]|[\w.-]+)(?::([0-9]{1,5}))?/?", re.IGNORECASE)
_PORTS = {"http": "8000", "https": "443"}


def address(given: str) -> str:
    """Return the URL of a server, port and all; raise Misuse, without any password, where this names none."""
    found = _ADDRESS.fullmatch(given)
    scheme, host, port = found.groups() if found else (None, None, None)
    if host is None or not (scheme or port) or not 0 < int(port or 1) < 2**16:
        before, _, after = given.rpartition("@")
        shown = f"...@{after}" if before else after
        raise Misuse(
            f"chroma is {shown!r:.80}; expected the address of a Chroma server, http://HOST:PORT, https://HOST or "
            "HOST:PORT, without a path, a name or a password"
        )
    scheme = (scheme or "http").lower()
    return f"{scheme}://{host}:{port or _PORTS[scheme]}"
