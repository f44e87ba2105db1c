"""Texts that try to give orders to the agent that reads them."""

from __future__ import annotations

import re

_ORDERS = re.compile(
    r"ignore (?:all |any )?(?:the |your )?(?:previous|prior|above) (?:instructions|rules)", re.IGNORECASE
)


def gives_orders(text: str) -> bool:
    """Say whether a text addresses the agent as if it could command it."""
    return _ORDERS.search(text) is not None
